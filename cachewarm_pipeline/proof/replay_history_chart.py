"""The chart of past replays on the page of `replay`. The stored replays are read once per run."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.lineage.asset_page import PageValue, pictures
from cachewarm_pipeline.plots.drawing import line_plot
from cachewarm_pipeline.proof.replay_history import MAX_DAYS, ReplayPoint, history_sentence, rate_line, replay_point

if TYPE_CHECKING:
    from cachewarm_pipeline.storage.datasets import DatasetStore


class ReplayHistory:
    """The stored replays of a run's days and of the days before them. A run over n days reads up to n + MAX_DAYS
    files."""

    def __init__(self, datasets: "DatasetStore", first: date, last: date, warn: Callable[[str], object]) -> None:
        self._points: dict[date, ReplayPoint | None] = {}
        for day in datasets.days("replay"):
            if first - timedelta(days=MAX_DAYS) < day <= last:
                try:
                    self._points[day] = replay_point(day, datasets.read("replay", day))
                except DatasetError as error:  # a damaged file must not fail the run: it only leaves the chart
                    warn(f"not in the chart of past replays: {error}")

    def put(self, day: date, rows: pa.Table) -> None:
        """Replaces the replay of a day by a new one. ``rows``: REPLAY."""
        self._points[day] = replay_point(day, rows)

    def metadata(self, day: date, target: float) -> dict[str, Any]:
        """Sentence and chart of the days up to ``day``, as a run of that day alone would show them. ``target``: the
        wrong-hit rate that is allowed."""
        points = [p for d, p in self._points.items() if p and day - timedelta(days=MAX_DAYS) < d <= day]
        return {
            "what_warming_would_have_brought": history_sentence(points),
            "hits_and_wrong_hits_by_day": _plots(points, target),
        }


def _plots(points: list[ReplayPoint], target: float) -> PageValue:
    """Two plots, because the scales differ by a factor of ten: hit rates, and wrong hits with the target."""
    hits = {"warmed": rate_line(points, "hit_rate"), "cold": rate_line(points, "cold_hit_rate")}
    wrong = rate_line(points, "wrong_hit_rate")
    top = max([2 * target, *(1.1 * rate for rate in wrong[1])])
    plots = (
        line_plot(
            hits,
            title="What warming would have brought: hit rate on held-out days",
            x_label="day of the replay",
            y_label="hits / lookups",
            percent="y",
            days=True,
            notes={name: f"latest: {rates[-1]:.1%}" for name, (_, rates) in hits.items() if rates},
        ),
        line_plot(
            {"wrong hits": wrong},
            title="Wrong hits of warmed entries, according to the judge",
            x_label="day of the replay",
            y_label="wrong hits / judged hits",
            percent="y",
            days=True,
            limit=(target, f"target: {100 * target:.3g}%"),
            y_range=(0.0, top),
            notes={"wrong hits": f"latest: {wrong[1][-1]:.2%}"} if wrong[1] else {},
        ),
    )
    alts = ("hit rate by day, warmed and cold", "wrong-hit rate by day")
    return pictures(*zip(plots, alts, strict=True))
