"""What warming would have brought, day by day: the replays of the past as lines over days. No plots here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

MAX_DAYS = 90
"""Replays that one chart shows: a quarter of a year, and a bound on what a run reads for it."""


@dataclass(frozen=True)
class Point:
    """The replay of one day over its held-out days. Rates in [0, 1], null where nothing was asked or judged."""

    day: date
    """The day that the replay is of: it holds out the days that end there."""
    lookups: int
    hit_rate: float | None
    """Of the warmed cache, with what it stored itself."""
    cold_hit_rate: float | None
    wrong_hit_rate: float | None
    """Wrong ones of the judged hits of warmed entries."""


Line = tuple[list[int], list[float]]
"""Days as ``date.toordinal()``, and a rate of each."""


def point(day: date, rows: pa.Table) -> Point | None:
    """Totals of one stored replay; ``rows``: REPLAY. None where it held nothing out."""
    if not rows.num_rows:
        return None

    def total(*columns: str) -> int:
        return sum(int(pc.sum(rows[column]).as_py() or 0) for column in columns)

    lookups, judged = total("lookups"), total("exact_judged", "semantic_judged")
    return Point(
        day,
        lookups,
        total("warmed_hits") / lookups if lookups else None,
        total("cold_hits") / lookups if lookups else None,
        total("exact_wrong", "semantic_wrong") / judged if judged else None,
    )


def line(points: Iterable[Point], rate: str) -> Line:
    """One rate over days, oldest first; days without it are left out."""
    there = [(p.day.toordinal(), getattr(p, rate)) for p in sorted(points, key=lambda p: p.day)]
    return [x for x, y in there if y is not None], [y for _, y in there if y is not None]


def history_sentence(points: Iterable[Point]) -> str:
    """What the newest day adds to a cold cache, and over how many days it was better than one; one sentence."""
    ordered = sorted((p for p in points if p.hit_rate is not None), key=lambda p: p.day)
    if not ordered:
        return "No day has been replayed yet."
    newest = ordered[-1]
    better = sum((p.hit_rate or 0.0) > (p.cold_hit_rate or 0.0) for p in ordered)
    wrong = "no hit judged" if newest.wrong_hit_rate is None else f"{newest.wrong_hit_rate:.2%} of hits wrong"
    return (
        f"{newest.hit_rate:.1%} hits warmed, {newest.cold_hit_rate:.1%} cold, {wrong} ({newest.day}); better than cold "
        f"on {better} of {len(ordered)} days"
    )
