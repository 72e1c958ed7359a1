"""The schedules. Each tick requests a run for the last complete UTC day, in whatever time zone its cron is."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from cachewarm_pipeline.automation.jobs import refresh_cache, warm_cache
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.settings import Settings


def last_complete_day(now: datetime) -> date:
    """The UTC day before the one of ``now``, which has a time zone."""
    return now.astimezone(UTC).date() - timedelta(days=1)


def _schedule(
    name: str, job: Any, cron: str, on: bool, settings: Settings, description: str, config: dict[str, Any] | None = None
) -> dg.ScheduleDefinition:
    who = f"{name} schedule"

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = last_complete_day(context.scheduled_execution_time)
        if day < settings.first_day:
            return dg.SkipReason(f"{day} is before the first partition {settings.first_day} (CACHEWARM_FIRST_DAY)")
        return dg.RunRequest(
            run_key=f"{name}:{day}",
            partition_key=day.isoformat(),
            tags=started_by(who, f"for {day}"),
            run_config=config,
        )

    try:
        return dg.ScheduleDefinition(
            name=f"{name}_warming",
            job=job,
            cron_schedule=cron,
            execution_timezone=settings.time_zone,
            execution_fn=tick,
            default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
            description=description,
        )
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            f"CACHEWARM_{name.upper()}_CRON={cron!r} is not a cron expression: write five fields, such as '0 2 * * *'"
        ) from None


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The daily, weekly and monthly schedule. Its setting decides whether a schedule is on by default."""
    all_entries = {"ops": {"answer_checks": {"config": {"whole": True}}}}
    return [
        _schedule(
            "daily",
            warm_cache,
            settings.daily_cron,
            settings.daily_schedule,
            settings,
            "Warm for the last complete day.",
        ),
        _schedule(
            "weekly",
            refresh_cache,
            settings.weekly_cron,
            settings.weekly_schedule,
            settings,
            "Check a sample of answers, refresh or drop stale ones, set TTLs by how fast answers change, and warm.",
        ),
        _schedule(
            "monthly",
            refresh_cache,
            settings.monthly_cron,
            settings.monthly_schedule,
            settings,
            "As the weekly schedule, but the answers of all entries are checked instead of a sample.",
            all_entries,
        ),
    ]
