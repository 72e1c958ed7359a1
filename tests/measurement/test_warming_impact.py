"""warming_impact: from stored counts to a lift or the reason why there is none, and the page that shows it."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from benchmarks.lift_simulation import EVEN, trials
from cachewarm_pipeline.measurement.assets import warming_impact
from cachewarm_pipeline.measurement.impact_service import CountedDays
from cachewarm_pipeline.measurement.lift import Forecast, impact
from cachewarm_pipeline.measurement.lift.impact_table import impact_table
from cachewarm_pipeline.measurement.lift.impact_text import before_after_sentence, lift_sentence
from cachewarm_pipeline.measurement.lift.measured_impact import (
    DayCounts,
    PlainHitRate,
    days_with_warmed_cache,
    log_hit_rate,
    measured_impact,
)
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.impact_days import (
    AGENT,
    FIRST,
    Shape,
    generation,
    workspace_at,
    write_arms,
    write_counts,
    write_made,
)

DAYS = 4
LAST = FIRST + timedelta(days=DAYS)


def after(days: int) -> date:
    return FIRST + timedelta(days=days)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Warmed since FIRST and counted from the next day on; that day saw warmed entries for only a part of it."""
    workspace = workspace_at(tmp_path, LAST)
    for n in range(DAYS + 1):
        write_made(workspace, after(n))
        if n:
            write_counts(workspace, after(n), Shape(warmed_rate=0.1 if n == 1 else 0.5))
    return workspace


def made(workspace: Workspace, day: date = LAST) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and metadata of the asset."""
    result = dg.materialize([warming_impact], partition_key=day.isoformat(), resources={"workspace": workspace})
    (event,) = result.get_asset_materialization_events()
    rows: list[dict[str, Any]] = workspace.datasets.read("warming_impact", day).to_pylist()
    return rows, {name: value.value for name, value in event.materialization.metadata.items()}


def scope(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["scope"] == name]


def test_the_page_and_the_table_show_lift_forecast_sources_and_both_plain_rates(workspace: Workspace) -> None:
    rows, page = made(workspace)
    (total,), days = scope(rows, "total"), scope(rows, "day")
    assert total["lift"] == pytest.approx(0.3)
    assert total["lift_low"] < 0.3 < total["lift_high"]
    assert (total["hits"], total["lookups"], total["holdout_lookups"]) == (2400, 4800, 480)
    assert (page["lift"], page["days"], page["lookups"]) == (pytest.approx(0.3), 3, 5280)
    assert page["measured"].startswith("warming adds +30.0 points (+2")
    assert [row["name"] for row in days] == [after(n).isoformat() for n in (2, 3, 4)]  # day 1: not warmed all day
    for n, row in enumerate(days, 1):
        assert row["generation"] == generation(after(n))
        assert (row["forecast_hit_rate"], row["forecast_lift"]) == (pytest.approx(0.4), pytest.approx(0.1))
        assert (row["hit_rate"], row["holdout_hit_rate"], row["lift"]) == pytest.approx((0.5, 0.2, 0.3))
        assert row["inside"] is False
    assert "+10.0 points off the forecast, as the mean of 3 days" in page["forecast_and_what_came"]
    sources = {row["name"]: (row["hits"], row["share"]) for row in scope(rows, "source")}
    assert sources == {
        "golden": (1440, pytest.approx(1440 / 2496)),
        "query_log": (480, pytest.approx(480 / 2496)),
        "synthetic": (0, 0.0),
        "application": (576, pytest.approx(576 / 2496)),  # of both arms, not by a warmed entry
    }
    (before,), (plain,) = scope(rows, "before"), scope(rows, "after")
    assert (before["hit_rate"], plain["hit_rate"]) == (pytest.approx(0.1), pytest.approx(2496 / 5280))
    assert "not the effect of warming" in plain["why"]
    assert page["before_and_after"].startswith("before 10.0%, after 47.3%: not the effect of warming")
    assert "data:image/png" in page["by_day"]


def test_readers_without_a_holdout_get_hit_rates_and_sources_and_a_hint_what_to_set(workspace: Workspace) -> None:
    arms = [{"arm": "warmed", "agent_type": AGENT, "bucket": 0, "hits": 60, "lookups": 100}]
    for n in range(1, DAYS + 1):
        write_arms(workspace, after(n), arms, served=0.5, holdout=False)
    rows, page = made(workspace)
    (total,), (own,) = scope(rows, "total"), scope(rows, "agent_type")
    assert (total["lift"], total["hit_rate"], own["hit_rate"]) == (None, 0.6, 0.6)
    assert "holdout=0.05" in total["why"]
    assert "holdout=0.05" in page["measured"]
    assert "lift" not in page
    assert [(row["hit_rate"], row["forecast_hit_rate"]) for row in scope(rows, "day")] == [(0.6, 0.4)] * 3
    assert sum(row["hits"] for row in scope(rows, "source")) == 180


def test_without_counts_the_hit_rate_after_warming_comes_from_the_log_and_nothing_is_plotted(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, LAST)
    for n in range(3):
        write_made(workspace, after(n))
    rows, page = made(workspace, after(2))
    assert "no lookups were counted" in page["measured"]
    assert "by_day" not in page
    assert [row["hit_rate"] for row in rows if row["scope"] in ("before", "after")] == [0.1, 0.1]
    assert scope(rows, "day") == []


def test_only_days_up_to_the_day_and_within_the_window_count(workspace: Workspace) -> None:
    counts = CountedDays(workspace.datasets, 2)
    assert [one.day for one in counts.measured_impact(LAST).days] == [after(3), LAST]
    assert [one.day for one in counts.measured_impact(after(2)).days] == [after(2)]
    assert counts.measured_impact(FIRST).days == []
    # One run over the range gives the same as a run for each day.
    for n in range(DAYS + 1):
        alone = CountedDays(workspace.datasets, 2).measured_impact(after(n))
        assert counts.measured_impact(after(n)).impact == alone.impact


def test_a_day_without_hits_by_entry_counts_as_the_day_before_it(workspace: Workspace) -> None:
    (Path(workspace.settings.datasets) / "entry_hits" / f"{LAST}.parquet").unlink()
    found = CountedDays(workspace.datasets, 14).measured_impact(LAST)
    assert [one.day for one in found.days] == [after(2), after(3), LAST]
    assert found.compared[-1].forecast_hit_rate is None


def one_day(n: int, live: str | None, live_from_start: bool) -> DayCounts:
    return DayCounts(after(n), [], {}, Counter(), live, live_from_start)


@pytest.mark.parametrize("earlier", [False, True])
def test_days_without_a_warmed_cache_from_begin_to_end_are_excluded(earlier: bool) -> None:
    gaps = [one_day(0, None, False), one_day(1, "g", False), one_day(2, None, False), one_day(3, "g", False)]
    assert days_with_warmed_cache(gaps, earlier) == []
    whole = [*gaps, one_day(4, "h", False), one_day(5, None, True), one_day(6, "h", True)]
    assert [one.day for one in days_with_warmed_cache(whole, earlier)] == [after(4), after(6)]
    assert [one.day for one in days_with_warmed_cache([one_day(1, "g", False)], earlier)] == (
        [after(1)] if earlier else []
    )


def test_a_day_with_unknown_generation_counts_as_the_last_known_day() -> None:
    unknown = [replace(one_day(n, None, False), entry_hits_known=False) for n in (1, 3, 4)]
    days = [one_day(0, "g", True), unknown[0], one_day(2, None, False), *unknown[1:], one_day(5, "g", False)]
    assert [one.day for one in days_with_warmed_cache(days, False)] == [after(0), after(1)]
    assert [one.day for one in days_with_warmed_cache(unknown, True)] == [one.day for one in unknown]
    assert days_with_warmed_cache(unknown, False) == []


def test_before_ends_when_a_generation_was_live_and_not_at_the_oldest_plan(workspace: Workspace) -> None:
    old = FIRST - timedelta(days=9)
    write_made(workspace, old)  # a backfilled plan
    counts = CountedDays(workspace.datasets, 14)
    assert counts.first_live() == (after(1), FIRST)
    before = counts.before(LAST)
    assert (before.days, before.lookups) == (2, 20)  # the log of that day and of FIRST
    found = replace(counts.measured_impact(LAST), lookups={})
    assert counts.after(LAST, found).days == 3


def test_before_ends_at_the_oldest_plan_if_it_is_not_known_what_was_live(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, LAST)
    for n in range(3):
        write_made(workspace, after(n))
    counts = CountedDays(workspace.datasets, 14)
    assert counts.first_live() == (None, None)
    assert counts.before(LAST).days == 1


def test_a_log_without_cache_hits_has_no_rate_before_and_gives_the_reason() -> None:
    before = log_hit_rate([(0, 10), (0, 5)], "before the first plan")
    assert (before.hit_rate, before.why) == (None, "the log records no cache_hit before the first plan")
    assert log_hit_rate([], "since").why == "the log has no rows since"
    sentence = before_after_sentence(before, PlainHitRate(1, 4, 1))
    assert sentence.startswith("before not known (the log records no cache_hit before the first plan), after 25.0%")


def test_the_table_of_simulated_traffic_has_the_figures_of_its_impact() -> None:
    trial = next(trials(replace(EVEN, days=2, users=400, holdout=0.3), 1, seed=5))
    by_day = {slot: [count for count in trial.after if count.slot == slot] for slot in {c.slot for c in trial.after}}
    days = [
        DayCounts(date.fromisoformat(slot), counts, {}, Counter(), generation(FIRST), True)
        for slot, counts in sorted(by_day.items())
    ]
    found = measured_impact(days, {days[0].day: Forecast(0.4, 0.2)})
    whole = impact(trial.after)
    assert found.impact == whole
    rows = impact_table(found, PlainHitRate(0, 0, 0, "nothing"), PlainHitRate(0, 0, 0, "nothing")).to_pylist()
    (total,) = scope(rows, "total")
    assert (total["lift"], total["lift_low"]) == (whole.total.lift, whole.total.low)
    assert sum(row["warmed_lookups"] for row in scope(rows, "day")) == whole.total.warmed_lookups
    assert "warming adds" in lift_sentence(found)
