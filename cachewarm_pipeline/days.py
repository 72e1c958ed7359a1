"""UTC days as moments."""

from datetime import UTC, date, datetime, timedelta


def start_of(day: date) -> datetime:
    """The first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(day: date) -> datetime:
    """The moment at which a UTC day is over: the first of the next."""
    return start_of(day) + timedelta(days=1)


def window(as_of: date, days: int) -> list[date]:
    """The days of a window that ends at ``as_of``, oldest first."""
    return [as_of - timedelta(days=back) for back in range(days - 1, -1, -1)]
