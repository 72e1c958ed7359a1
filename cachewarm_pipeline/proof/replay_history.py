"""Past replays as lines over days: what warming would have brought. Pure; the chart is in replay_history_chart.py."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.number_format import plural

MAX_DAYS = 90
"""Days that one chart shows: a quarter of a year. It also bounds how many replays a run reads."""


@dataclass(frozen=True)
class ReplayPoint:
    """One replay, summed over its held-out days. Rates in [0, 1], None where nothing was asked or judged."""

    day: date
    """The day of the replay: its held-out days end there."""
    lookups: int
    hit_rate: float | None
    """Of the warmed cache, including the app entries that it stores on misses."""
    cold_hit_rate: float | None
    wrong_hit_rate: float | None
    """Wrong hits / judged hits, of warmed entries."""


Line = tuple[list[int], list[float]]
"""Days as ``date.toordinal()``, and the rate of each day."""


def replay_point(day: date, rows: pa.Table) -> ReplayPoint | None:
    """Totals of one stored replay. ``rows``: REPLAY. None if nothing was held out."""
    if not rows.num_rows:
        return None

    def total(*columns: str) -> int:
        return sum(int(pc.sum(rows[column]).as_py() or 0) for column in columns)

    lookups, judged = total("lookups"), total("exact_judged", "semantic_judged")
    return ReplayPoint(
        day,
        lookups,
        total("warmed_hits") / lookups if lookups else None,
        total("cold_hits") / lookups if lookups else None,
        total("exact_wrong", "semantic_wrong") / judged if judged else None,
    )


def rate_line(points: Iterable[ReplayPoint], rate: str) -> Line:
    """One rate over days, oldest first, without the days that do not have it. ``rate``: name of a field."""
    values = [(p.day.toordinal(), getattr(p, rate)) for p in sorted(points, key=lambda p: p.day)]
    return [x for x, y in values if y is not None], [y for _, y in values if y is not None]


def history_sentence(points: Iterable[ReplayPoint]) -> str:
    """One sentence: the rates of the newest day, and on how many days a warmed cache was better than a cold one."""
    ordered = sorted((p for p in points if p.hit_rate is not None), key=lambda p: p.day)
    if not ordered:
        return "No day has been replayed yet."
    newest = ordered[-1]
    better = sum((p.hit_rate or 0.0) > (p.cold_hit_rate or 0.0) for p in ordered)
    wrong = "no hit judged" if newest.wrong_hit_rate is None else f"{newest.wrong_hit_rate:.2%} of hits wrong"
    return (
        f"Hit rate {newest.hit_rate:.1%} warmed, {newest.cold_hit_rate:.1%} cold, {wrong} ({newest.day}); warmed was "
        f"better than cold on {better} of {plural(len(ordered), 'day')}"
    )
