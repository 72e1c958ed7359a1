"""The off-peak window, and how many entries a loading tick may write. Wall-clock time of a named zone."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_WINDOW = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")


def parse_window(text: str) -> tuple[time, time]:
    """First and last wall-clock time of ``HH:MM-HH:MM``; it may wrap midnight. ``24:00`` is midnight.

    Raises ValueError for another form, and for a window that begins when it ends: all day is ``00:00-24:00``.
    """
    found = _WINDOW.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a window: write HH:MM-HH:MM, such as 22:00-06:00")
    hours = [(int(found[1]), int(found[2])), (int(found[3]), int(found[4]))]
    if hours[1] == (24, 0):
        hours[1] = (0, 0)
        if hours[0] == (0, 0):
            return time(0), time(0)
    if any(hour > 23 or minute > 59 for hour, minute in hours):
        raise ValueError(f"{text!r} has an hour over 23 or a minute over 59: write HH:MM-HH:MM, such as 22:00-06:00")
    begins, ends = (time(*one) for one in hours)
    if begins == ends:
        raise ValueError(f"{text!r} is empty: for the whole day write 00:00-24:00")
    return begins, ends


@dataclass(frozen=True)
class OffPeak:
    """A daily window of wall-clock time. ``begins`` == ``ends`` is the whole day.

    When clocks go forward, times that do not exist are skipped; when they go back, an hour that comes twice is off-peak
    twice. On these days the window is shorter or longer, but its edges on the clock stay.
    """

    begins: time
    ends: time
    zone: ZoneInfo

    def contains(self, now: datetime) -> bool:
        """Whether the moment (aware) is off-peak; the window's end is not."""
        clock = now.astimezone(self.zone).time()
        if self.begins < self.ends:
            return self.begins <= clock < self.ends
        return self.begins == self.ends or clock >= self.begins or clock < self.ends

    def next_begin(self, now: datetime) -> datetime:
        """The next moment (UTC) at which the window is open; inside it, ``now``."""
        if self.contains(now):
            return now
        minute = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        while not self.contains(minute):
            minute += timedelta(minutes=1)
        return minute

    def __str__(self) -> str:
        return f"{self.begins:%H:%M} to {self.ends:%H:%M} {self.zone.key}"


def allowance(entries_per_minute: int, minutes: int, last: datetime | None, now: datetime) -> int:
    """Entries that a tick may write: those of the time since the ``last`` one, of at most ``minutes``.

    So over any stretch of time T no more than (T + ``minutes``) x ``entries_per_minute`` are written, however often
    ticks come. The first tick has a whole allowance.
    """
    since = timedelta(minutes=minutes) if last is None else max(timedelta(0), now - last)
    return math.floor(entries_per_minute * min(since / timedelta(minutes=1), minutes))
