"""UTC days: where each begins and ends, and windows of days."""

from datetime import UTC, date, datetime, timedelta


def start_of(day: date) -> datetime:
    """The first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(day: date) -> datetime:
    """The moment at which a UTC day is over: the first moment of the next day."""
    return start_of(day) + timedelta(days=1)


def window(as_of: date, days: int) -> list[date]:
    """The ``days`` days up to and including ``as_of``, oldest first."""
    return [as_of - timedelta(days=back) for back in range(days - 1, -1, -1)]
