"""Which day is warmed, which days of the log it needs, and the sizes of a source in words."""

from datetime import date, timedelta

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.ports import SourceInfo
from cachewarm_pipeline.settings import Settings


def choose_day(asked: date | None, info: SourceInfo, today: date) -> date:
    """The day to warm for: the requested one, else the last complete day of the log, else yesterday.

    Raises ConfigurationError for a day that is not over yet or that the log does not reach.
    """
    yesterday = today - timedelta(days=1)
    if asked is None:
        return min(info.last_log_day, yesterday) if info.last_log_day else yesterday
    if asked > yesterday:
        raise ConfigurationError(f"--as-of {asked} is not over yet (UTC); the last complete day is {yesterday}")
    if info.first_log_day and info.last_log_day and not info.first_log_day <= asked <= info.last_log_day:
        raise ConfigurationError(
            f"--as-of {asked}: the log has no rows on that day; its rows are from {info.first_log_day} "
            f"to {info.last_log_day}"
        )
    return asked


def days_to_mine(as_of: date, settings: Settings, info: SourceInfo) -> list[date]:
    """The days of the lookback window and of the replay's window before it that the log and the partitions have,
    oldest first. The day itself is always included.

    Raises ConfigurationError, which names the setting, if the window begins before the first partition.
    """
    start = as_of - timedelta(days=settings.lookback_days - 1)
    if info.first_log_day is None:
        start = as_of
    elif info.first_log_day > start:
        start = info.first_log_day
    if start < settings.first_day:
        raise ConfigurationError(
            f"the log window of {as_of} begins on {start}, before the first partition day {settings.first_day}: "
            f"set CACHEWARM_FIRST_DAY={start} or earlier"
        )
    if info.first_log_day is not None:
        replayed = as_of - timedelta(days=settings.lookback_days + settings.replay_days - 1)
        start = min(start, max(replayed, info.first_log_day, settings.first_day))
    return [start + timedelta(days=n) for n in range((as_of - start).days + 1)]


def source_sizes(info: SourceInfo) -> str:
    """Rows of each table that the source has, and the tables that it lacks, as one phrase."""
    tables = [(info.analyses, "analyses"), (info.findings, "findings"), (info.log, "log rows")]
    found = [f"{table.rows:,} {name}" if table.rows is not None else name for table, name in tables if table]
    missing = [name for table, name in tables if not table]
    return ", ".join(found) + (f" (no {', no '.join(missing)})" if missing else "")
