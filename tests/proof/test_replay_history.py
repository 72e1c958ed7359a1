"""The chart of past replays: which days it shows, and its sentence."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from cachewarm_pipeline.proof.replay_history import MAX_DAYS, history_sentence, rate_line, replay_point
from cachewarm_pipeline.proof.replay_history_chart import ReplayHistory
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.schemas import REPLAY

DAY = date(2026, 3, 20)


def rows(day: date = DAY, **counts: int) -> pa.Table:
    zeros = dict.fromkeys(REPLAY.names, 0)
    return pa.Table.from_pylist([{**zeros, "agent_type": "auditor", "date": day, **counts}], schema=REPLAY)


def test_a_point_adds_up_agent_types_and_held_out_days() -> None:
    first = rows(lookups=60, warmed_hits=30, cold_hits=12, exact_judged=10, semantic_judged=10, semantic_wrong=1)
    second = rows(lookups=40, warmed_hits=20, cold_hits=8, exact_judged=20, exact_wrong=1)
    found = replay_point(DAY, pa.concat_tables([first, second]))
    assert found
    assert (found.hit_rate, found.cold_hit_rate, found.wrong_hit_rate) == (0.5, 0.2, 0.05)


def test_a_replay_without_lookups_has_no_point_and_one_without_judged_hits_has_no_rate_of_zero() -> None:
    assert replay_point(DAY, REPLAY.empty_table()) is None
    unjudged = replay_point(DAY, rows(lookups=10, warmed_hits=5))
    assert unjudged
    assert unjudged.wrong_hit_rate is None
    assert rate_line([unjudged], "wrong_hit_rate") == ([], [])
    assert history_sentence([]) == "No day has been replayed yet."
    assert "no hit judged" in history_sentence([unjudged])


def test_the_sentence_counts_the_days_on_which_warming_was_better() -> None:
    worse = replay_point(DAY - timedelta(days=1), rows(lookups=10, warmed_hits=2, cold_hits=2))
    better = replay_point(DAY, rows(lookups=10, warmed_hits=4, cold_hits=2, exact_judged=4, exact_wrong=1))
    assert worse
    assert better
    assert history_sentence([better, worse]) == (
        "Hit rate 40.0% warmed, 20.0% cold, 25.00% of hits wrong (2026-03-20); warmed was better than cold on 1 of "
        "2 days"
    )


@pytest.fixture
def stored(tmp_path: Path) -> DatasetStore:
    """A hundred days of replays that end on DAY."""
    datasets = DatasetStore(str(tmp_path))
    for back in range(100):
        day = DAY - timedelta(days=back)
        datasets.write("replay", day, rows(day, lookups=100, warmed_hits=100 - back))
    return datasets


def test_the_chart_of_a_day_has_at_most_ninety_days_and_none_after_it(stored: DatasetStore) -> None:
    before = DAY - timedelta(days=1)
    alone = ReplayHistory(stored, DAY, DAY, pytest.fail).metadata(DAY, 0.05)
    assert f"on {MAX_DAYS} of {MAX_DAYS} days" in alone["what_warming_would_have_brought"]
    assert "(2026-03-20)" in alone["what_warming_would_have_brought"]
    in_range = ReplayHistory(stored, before, DAY, pytest.fail)
    assert in_range.metadata(DAY, 0.05) == alone
    assert in_range.metadata(before, 0.05) == ReplayHistory(stored, before, before, pytest.fail).metadata(before, 0.05)


def test_a_stored_replay_that_cannot_be_read_is_missing_in_the_chart_and_does_not_fail_the_run(
    stored: DatasetStore, tmp_path: Path
) -> None:
    (tmp_path / "replay" / "2026-03-19.parquet").write_bytes(b"cut off")
    warnings: list[str] = []
    history = ReplayHistory(stored, DAY, DAY, warnings.append)
    assert f"of {MAX_DAYS - 1} days" in history.metadata(DAY, 0.05)["what_warming_would_have_brought"]
    assert len(warnings) == 1
    assert "2026-03-19" in warnings[0]
