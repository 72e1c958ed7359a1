"""The knobs of what runs by itself: schedules, sensors, off-peak loading, refreshing, alerts. A part of `Settings`."""

import re
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, SecretStr, field_validator

from cachewarm_pipeline.settings.off_peak_window import OffPeak, parse_window
from cachewarm_pipeline.settings.share import Share


class AutomationSettings(BaseModel):
    """Fields that `Settings` inherits; read from the environment there."""

    # Schedules
    time_zone: str = Field(
        "UTC",
        description="Named zone (Europe/Vienna) of the schedules and of the off-peak window. Partitions stay UTC days.",
    )
    daily_schedule: bool = Field(True, description="Warm every day for the last complete UTC day. Gates guard it.")
    daily_cron: str = Field(
        "0 2 * * *",
        description="When, in CACHEWARM_TIME_ZONE; the seed's 02:00. All year after UTC midnight: in Athens 04:00.",
    )
    weekly_schedule: bool = Field(
        True, description="Once a week also measure how fast answers change, refresh stale ones and set TTLs by it."
    )
    weekly_cron: str = Field("30 3 * * 0", description="When, in CACHEWARM_TIME_ZONE; after Sunday's daily run.")
    monthly_schedule: bool = Field(
        False, description="The same of every entry and not of a sample; with CACHEWARM_REFRESH=llm it costs as much."
    )
    monthly_cron: str = Field("30 4 1 * *", description="When, in CACHEWARM_TIME_ZONE.")
    catch_up: bool = Field(
        True, description="Mine days of the window that are missing, and try a failed daily run again, at most 3 times."
    )

    # A falling hit rate
    hit_rate_sensor: bool = Field(True, description="Warm again, with the present day's log, when the hit rate falls.")
    hit_rate_floor: Share | None = Field(
        None, description="Hit rate under which it is low. Unset: CACHEWARM_HIT_RATE_FLOOR_SHARE of the forecast."
    )
    hit_rate_floor_share: Share = Field(
        0.7, description="Part of the live generation's forecast that is the floor; 0.7: noise of a day stays over it."
    )
    hit_rate_margin: Share = Field(
        0.05, description="How far over the floor the rate must come before a low is over, so that it does not flutter."
    )
    hit_rate_hours: int = Field(3, ge=1, le=48, description="Hours of lookups that the rate is of.")
    hit_rate_low_minutes: int = Field(60, ge=0, description="So long it must stay low before anything is started.")
    hit_rate_min_lookups: int = Field(
        200, ge=1, description="Fewer lookups in these hours say nothing: of 200 the rate is known to 7 points."
    )
    rewarm_cooldown_hours: float = Field(
        12, ge=0, description="After a warming that was started so, none is started for so long."
    )

    # Wrong hits
    wrong_hit_sensor: bool = Field(True, description="Take entries that users report as wrong out of service at once.")
    wrong_hit_reports: int = Field(
        2, ge=1, description="Different reporters that confirm a wrong hit: one may be mistaken, or malicious."
    )
    wrong_hit_max_share: Share = Field(
        0.05,
        description="Share of a generation that reports may take out of service; more is no case for single entries: "
        "the run fails and says so.",
    )

    # Off-peak loading
    progressive: bool = Field(
        False, description="Load generations little by little in the off-peak window, instead of at once (a second)."
    )
    off_peak: str = Field(
        "22:00-06:00", description="Window of CACHEWARM_TIME_ZONE in which progressive loading writes; the seed's."
    )
    entries_per_minute: int = Field(
        60,
        ge=1,
        description="Entries written to Redis, and requests to the embedding and the chat server, a minute. The seed's "
        "10 would take 100 minutes for 1,000 entries.",
    )
    progressive_minutes: int = Field(
        5, ge=1, le=60, description="Minutes between two loads; each writes at most so many minutes' entries."
    )

    # Stale answers
    answer_model: str | None = Field(
        None, description="Model that answers now. Entries known to be of another one are stale. Unset: not compared."
    )
    prompt_version: str | None = Field(
        None, description="Version of your application's prompt, kept with each entry; a change makes entries stale."
    )
    refresh: Literal["log", "llm"] = Field(
        "log",
        description="What answers are compared with: the log's own later ones, or fresh ones of CACHEWARM_LLM_MODEL, "
        "where that model answers as your application does (costs money, so it is never the default).",
    )
    refresh_sample: int = Field(
        50,
        ge=0,
        description="Frequent queries an agent_type whose answer is checked each week; 0 of 50 changed bounds 6%.",
    )
    refresh_max: int = Field(
        200, ge=0, description="Stale entries that a run answers again with CACHEWARM_REFRESH=llm; most worth first."
    )
    stale_entries: Literal["drop", "keep"] = Field(
        "drop", description="What becomes of a stale entry that nothing answered again: wrong is dearer than a miss."
    )
    max_stale_share: Share = Field(
        0.1, gt=0, lt=1, description="Share of an agent_type's answers that may have changed when their TTL ends."
    )
    ttl_min_days: float = Field(
        2, gt=0, description="TTL of the fastest changing agent_type: under a day entries would end between daily runs."
    )

    # Alerts
    alert_webhook: SecretStr | None = Field(
        None, description="URL that failed runs are posted to as JSON with a `text` (Slack's form). Unset: log only."
    )

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone: write a name such as Europe/Vienna or UTC") from None
        return value

    @field_validator("daily_cron", "weekly_cron", "monthly_cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        # What the fields may hold is checked by Dagster when the schedules are made.
        if len(value.split()) != 5:
            raise ValueError(f"{value!r} is no cron expression: write five fields, such as '0 2 * * *'")
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"https?://[^/\s]+", value.get_secret_value()):
            raise ValueError("it is no address: write http(s)://host/path")
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
