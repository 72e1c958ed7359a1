"""Settings of automation: schedules, sensors, off-peak loading, refreshing of answers, alerts."""

import re
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, SecretStr, field_validator

from cachewarm_pipeline.settings.off_peak_window import OffPeak, parse_window
from cachewarm_pipeline.settings.share import Share


class AutomationSettings(BaseModel):
    """Schedules, sensors, off-peak loading, refreshing of answers, alerts."""

    # Schedules
    time_zone: str = Field(
        "UTC",
        description="Named zone (Europe/Vienna) of the schedules and of the off-peak window. Partitions stay UTC days.",
    )
    daily_schedule: bool = Field(True, description="Warm every day for the last complete UTC day. Gates guard it.")
    daily_cron: str = Field(
        "0 2 * * *",
        description="When, in CACHEWARM_TIME_ZONE; 02:00 is off-peak in most places. It must be after UTC midnight "
        "all year: in Athens, use 04:00.",
    )
    weekly_schedule: bool = Field(
        True, description="Once a week, also measure how fast answers change, refresh stale answers and set TTLs."
    )
    weekly_cron: str = Field("30 3 * * 0", description="When, in CACHEWARM_TIME_ZONE; after Sunday's daily run.")
    monthly_schedule: bool = Field(
        False,
        description="Like the weekly run, but for every entry instead of a sample; with CACHEWARM_REFRESH=llm it "
        "costs accordingly.",
    )
    monthly_cron: str = Field("30 4 1 * *", description="When, in CACHEWARM_TIME_ZONE.")
    catch_up: bool = Field(
        True, description="Mine missing days of the window, and repeat a failed daily run, at most 3 times."
    )

    # A falling hit rate
    hit_rate_sensor: bool = Field(True, description="Warm again, with the present day's log, when the hit rate falls.")
    hit_rate_floor: Share | None = Field(
        None, description="Hit rate under which it is low. Unset: CACHEWARM_HIT_RATE_FLOOR_SHARE of the forecast."
    )
    hit_rate_floor_share: Share = Field(
        0.7, description="Share of the live generation's forecast that is the floor. Daily noise stays above 0.7."
    )
    hit_rate_margin: Share = Field(
        0.05,
        description="How far above the floor the rate must rise before a low ends, so that the alarm does not flap.",
    )
    hit_rate_hours: int = Field(3, ge=1, le=48, description="The rate is computed over this many hours of lookups.")
    hit_rate_low_minutes: int = Field(60, ge=0, description="Minutes that the rate must stay low before a run starts.")
    hit_rate_min_lookups: int = Field(
        200,
        ge=1,
        description="With fewer lookups in these hours the rate is not used; 200 lookups give it to within 7 points.",
    )
    rewarm_cooldown_hours: float = Field(12, ge=0, description="Hours between two runs that a low hit rate starts.")

    # Wrong hits
    wrong_hit_sensor: bool = Field(True, description="Withdraw entries that users report as wrong, at once.")
    wrong_hit_reports: int = Field(
        2, ge=1, description="Number of different reporters that confirm a wrong hit: one may be mistaken or malicious."
    )
    wrong_hit_max_share: Share = Field(
        0.05,
        description="Share of a generation that reports may take out of service; more is no case for single entries: "
        "the run fails and says so.",
    )

    # Off-peak loading
    progressive: bool = Field(
        False,
        description="Load generations gradually in the off-peak window, instead of at once (which takes a second).",
    )
    off_peak: str = Field(
        "22:00-06:00", description="Window in CACHEWARM_TIME_ZONE in which progressive loading writes."
    )
    entries_per_minute: int = Field(
        60,
        ge=1,
        description="Entries written to Redis, and requests to the embedding and the chat server, a minute: 1,000 "
        "entries take 17 minutes.",
    )
    progressive_minutes: int = Field(
        5, ge=1, le=60, description="Minutes between two loads; each writes at most the entries of these minutes."
    )

    # Stale answers
    answer_model: str | None = Field(
        None,
        description="The model that answers now. Entries known to come from another model are stale. Unset: not "
        "compared.",
    )
    prompt_version: str | None = Field(
        None, description="Version of your application's prompt, kept with each entry; a change makes entries stale."
    )
    refresh: Literal["log", "llm"] = Field(
        "log",
        description="Answers are compared with later answers of the log (`log`) or with fresh answers of "
        "CACHEWARM_LLM_MODEL (`llm`), "
        "where that model answers as your application does (costs money, so it is never the default).",
    )
    refresh_sample: int = Field(
        50,
        ge=0,
        description="Frequent queries an agent_type whose answer is checked each week; 0 changes in 50 bound the "
        "share by 6%.",
    )
    refresh_max: int = Field(
        200,
        ge=0,
        description="Stale entries that a run answers again with CACHEWARM_REFRESH=llm; the most valuable first.",
    )
    stale_entries: Literal["drop", "keep"] = Field(
        "drop", description="What happens to a stale entry without a new answer. A wrong hit costs more than a miss."
    )
    max_stale_share: Share = Field(
        0.1, gt=0, lt=1, description="Share of an agent_type's answers that may have changed when their TTL ends."
    )
    ttl_min_days: float = Field(
        2, gt=0, description="Shortest TTL of an agent_type. Under a day, entries would expire between daily runs."
    )

    # Alerts
    alert_webhook: SecretStr | None = Field(
        None, description="Failed runs are posted to this URL as JSON with a `text` (Slack's form). Unset: log only."
    )

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone: write a name such as Europe/Vienna or UTC") from None
        return value

    @field_validator("daily_cron", "weekly_cron", "monthly_cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        # What the fields may hold is checked by Dagster when the schedules are made.
        if len(value.split()) != 5:
            raise ValueError(f"{value!r} is not a cron expression: write five fields, such as '0 2 * * *'")
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"https?://[^/\s]+", value.get_secret_value()):
            raise ValueError("it is not a URL: write http(s)://host/path")
        return value

    @field_validator("off_peak")
    @classmethod
    def _window(cls, value: str) -> str:
        parse_window(value)
        return value

    @property
    def window(self) -> OffPeak:
        """The off-peak window in its zone."""
        begins, ends = parse_window(self.off_peak)
        return OffPeak(begins, ends, ZoneInfo(self.time_zone))
