"""The change rate measured on a sample of a log whose answers change at a known rate."""

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.candidates.window_rollup import FrequentQueries, roll_up_frequent_queries
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.freshness.answer_history import answer_histories, compare
from cachewarm_pipeline.freshness.change_rate import ChangeRate, change_rate
from cachewarm_pipeline.freshness.check_sample import ChangeCheck, newest_of_each, population
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, FREQUENT_QUERIES, UNFIT_QUERIES
from tests.support.window_days import FIRST, FLAT, asked, said

TRIALS = 40
QUERIES = 50
DAYS = 21


class Log:
    """Every trial is an agent_type of QUERIES queries, each asked once a day."""

    def __init__(self, answers: np.ndarray) -> None:
        """``answers`` (trials x queries, days): the answer of each day."""
        names = [(f"trial{trial}", f"question {query}") for trial in range(TRIALS) for query in range(QUERIES)]
        self.tables = [
            pa.Table.from_pylist(
                [
                    asked(query, 1, said(f"answer {answer}", 1, day), agent_type=trial)
                    for (trial, query), answer in zip(names, answers[:, day].tolist(), strict=True)
                ],
                schema=DAILY_QUERY_COUNTS,
            )
            for day in range(answers.shape[1])
        ]

    def __call__(self, columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
        for day, table in enumerate(self.tables):
            yield FIRST + timedelta(day), table.select(list(columns))

    def rolled_up(self) -> FrequentQueries:
        return roll_up_frequent_queries(self, weights=FLAT, min_frequency=5, min_users=1, min_stability=0.67)

    def rates(self, frequent: pa.Table, unfit: pa.Table) -> list[ChangeRate]:
        """The rate measured in each trial."""
        judge = ExactJudge()
        queries = population([], frequent, unfit)
        found = answer_histories(
            self, [(row["agent_type"], row["prompt"]) for row in queries], FIRST + timedelta(DAYS - 1)
        )
        pairs = [(row["prompt"], found[row["agent_type"], row["prompt"]], None) for row in queries]
        by_trial: dict[str, list[tuple[float, bool]]] = {}
        for row, one in zip(queries, compare(pairs, judge, judge.same), strict=True):
            if one and not one.volatile:
                by_trial.setdefault(row["agent_type"], []).append((one.age_days, one.changed))
        return [
            change_rate(*zip(*checks, strict=True), max_stale_share=0.1, ttl_days=30.0, ttl_min_days=2.0)
            for checks in by_trial.values()
        ]


@cache
def changing(rate: float) -> tuple[Log, FrequentQueries]:
    """A log whose answers change at ``rate`` a day, and never back."""
    draw = np.random.default_rng(11)
    changes = draw.random((TRIALS * QUERIES, DAYS)) < -math.expm1(-rate)
    log = Log(np.cumsum(changes, axis=1))
    return log, log.rolled_up()


@pytest.mark.parametrize("true", [0.01, 0.03, 0.06, 0.1])
def test_the_measured_rate_is_right_and_its_upper_bound_covers_the_truth(true: float) -> None:
    log, found = changing(true)
    rates = log.rates(found.table, found.unfit_queries)
    assert len(rates) == TRIALS
    assert sum(rate.high >= true for rate in rates) >= 0.9 * TRIALS
    assert np.mean([rate.rate or 0.0 for rate in rates]) == pytest.approx(true, rel=0.15)


def test_measured_only_on_queries_steady_enough_to_be_warmed_the_rate_would_be_too_low() -> None:
    log, found = changing(0.06)
    rates = log.rates(found.table, UNFIT_QUERIES.empty_table())
    assert sum(rate.high >= 0.06 for rate in rates) < 0.6 * TRIALS
    assert np.mean([rate.rate or 0.0 for rate in rates]) < 0.75 * 0.06


def test_queries_that_go_back_and_forth_do_not_change_the_measured_rate_of_the_others() -> None:
    draw = np.random.default_rng(11)
    changes = np.cumsum(draw.random((TRIALS * QUERIES, DAYS)) < -math.expm1(-0.03), axis=1)
    tossed = np.arange(len(changes)) % 5 == 0
    changes[tossed] = draw.integers(0, 2, (tossed.sum(), DAYS))
    log = Log(changes)
    found = log.rolled_up()
    rates = log.rates(found.table, found.unfit_queries)
    assert np.mean([rate.rate or 0.0 for rate in rates]) == pytest.approx(0.03, rel=0.15)


def test_the_sample_is_of_planned_frequent_and_volatile_queries_each_once() -> None:
    def query(id: str, **more: object) -> dict[str, object]:
        text = dict.fromkeys(("agent_type", "prompt", "response", "source", "provenance", "reason", "detail"), id)
        numbers = dict.fromkeys(("quality_score", "demand", "frequency", "stability"), 1)
        return {"entry_id": id, **text, **numbers, "last_answer_at": 0, **more}

    frequent = pa.Table.from_pylist([query("planned"), query("frequent")], schema=FREQUENT_QUERIES)
    unfit = [
        query("volatile", reason=str(ExclusionReason.VOLATILE)),
        query("personal", reason=str(ExclusionReason.PERSONAL)),
    ]
    planned = {"entry_id": "planned", "response": "its own"}
    found = population([planned], frequent, pa.Table.from_pylist(unfit, schema=UNFIT_QUERIES))
    assert [row["entry_id"] for row in found] == ["planned", "frequent", "volatile"]
    assert [row.get("response") for row in found] == ["its own", None, None]


def test_a_query_that_was_checked_in_several_weeks_counts_once_by_its_newest_check() -> None:
    old, new, other = (ChangeCheck(id, "a", True, age, False) for id, age in (("q", 7.0), ("q", 9.0), ("r", 7.0)))
    assert newest_of_each([[new], [old, other]]) == [new, other]
