"""A window of days: what is frequent, and which response is its answer."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.text import entry_id
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.candidates import window_counts
from cachewarm_pipeline.candidates import window_rollup as rollup_module
from cachewarm_pipeline.candidates.provenance import source_row_hash
from cachewarm_pipeline.candidates.window_rollup import LOG_QUALITY, roll_up_frequent_queries
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.query_log.response_text import canonical_response, exact_probability
from cachewarm_pipeline.storage.schemas import (
    MAX_USERS,
)
from tests.support.window_days import FLAT, Days, asked, at, rolled, said, unfit, whole


def test_an_empty_window_has_no_rows() -> None:
    assert rolled() == ([], {})
    assert rolled([], []) == ([], {})


def test_frequencies_add_up_over_the_days() -> None:
    rows, excluded = rolled(
        [asked("often", 3, said(day=0), cost_usd=0.5, costed=2), asked("once", 4, said())],
        [],
        [asked("often", 3, said(day=2), cost_usd=0.25, costed=1, prompt="Often?")],
        min_frequency=5,
    )
    assert excluded == {ExclusionReason.RARE: 1}
    (row,) = rows
    assert row["entry_id"] == entry_id("often", "a")
    assert (row["frequency"], row["demand"], row["cost_usd"]) == (6, 6 / 30, 0.25)
    assert (row["source"], row["quality_score"]) == ("query_log", LOG_QUALITY)
    assert row["last_answer_at"] == at(2)
    assert json.loads(row["provenance"]) == {
        "first_day": "2026-11-01",
        "last_day": "2026-11-03",
        "frequency": 6,
        "distinct_users": None,
        "support": 2,
        "last_answer_at": "2026-11-03T12:00:00+00:00",
        "depends": {
            "source_row": source_row_hash("yes"),
            "answer_model": None,
            "prompt_version": None,
            "embedder": None,
        },
    }


def test_the_chosen_response_has_the_model_of_its_newest_row_in_the_window() -> None:
    days = [
        [asked("q", 2, said(day=day) | {"model": model})] for day, model in ((0, "old"), (2, "new"), (1, "between"))
    ]
    (row,), _ = rolled(*days)
    assert json.loads(row["provenance"])["depends"]["answer_model"] == "new"
    (row,), _ = rolled(*days, [asked("q", 1, said(day=3))])
    assert json.loads(row["provenance"])["depends"]["answer_model"] is None


def test_the_prompt_is_the_spelling_with_most_rows_over_the_window() -> None:
    days = [[asked("hi", n, said(), prompt=prompt)] for n, prompt in ((3, "hi?"), (2, "Hi"), (2, "Hi"), (4, "HI"))]
    assert rolled(*days)[0][0]["prompt"] == "HI"
    assert rolled(*days[:2], [asked("hi", 1, said(), prompt="Hi")])[0][0]["prompt"] == "Hi"


def test_output_is_ordered_by_frequency_then_entry_id() -> None:
    rows, _ = rolled([asked(name, number, said()) for name, number in (("x", 1), ("y", 2), ("z", 1), ("w", 2))])
    expected = sorted(rows, key=lambda row: (-row["frequency"], row["entry_id"]))
    assert rows == expected
    assert [row["frequency"] for row in rows] == [2, 2, 1, 1]


def test_each_agent_type_is_counted_separately() -> None:
    rows, excluded = rolled([asked("q", 3, said()), asked("q", 2, said(), agent_type="b")], min_frequency=3)
    assert [row["agent_type"] for row in rows] == ["a"]
    assert excluded == {ExclusionReason.RARE: 1}


def test_one_user_alone_cannot_fill_the_cache_but_unknown_users_can() -> None:
    rows, excluded = rolled(
        [asked("one", 9, said(), users=["u1"]), asked("two", 9, said(), users=["u1"]), asked("anon", 9, said())],
        [asked("one", 9, said(), users=["u1"]), asked("two", 9, said(), users=["u2"])],
        min_users=2,
    )
    assert {row["prompt"]: row["distinct_users"] for row in rows} == {"two": 2, "anon": None}
    assert excluded == {ExclusionReason.FEW_USERS: 1}


def test_more_users_than_are_kept_count_as_the_number_kept() -> None:
    days = [[asked("q", 9, said(), users=[f"{day}-{n}" for n in range(10)])] for day in range(3)]
    (row,), _ = rolled(*days, min_users=MAX_USERS)
    assert row["distinct_users"] == MAX_USERS


def test_a_query_without_any_uncached_response_has_no_evidence() -> None:
    rows, excluded = rolled([asked("q", 9, answered=0, cache_hits=9), asked("large", 9, answered=9)])
    assert (rows, excluded) == ([], {ExclusionReason.NO_EVIDENCE: 2})


def test_an_answer_that_users_rejected_is_not_warmed() -> None:
    rows, excluded = rolled(
        [
            asked("bad", 3, said("no", 3, negative=2)),
            asked("mixed", 9, said("no", 5, negative=3), said("yes", 4, negative=1)),
        ]
    )
    assert [(row["prompt"], row["response"], row["stability"]) for row in rows] == [("mixed", "yes", 1.0)]
    assert excluded == {ExclusionReason.NEGATIVE_FEEDBACK: 1}


def test_equivalent_responses_are_one_answer_and_its_newest_wording_is_kept() -> None:
    rows, _ = rolled(
        [asked("q", 5, said('{"a": 1, "b": [2]}', 2, day=0), said("other", 3, day=0))],
        [asked("q", 2, said('{"b":[2],"a":1}', 2, day=1))],
    )
    assert (rows[0]["response"], json.loads(rows[0]["provenance"])["support"]) == ('{"b":[2],"a":1}', 4)


def test_within_an_answer_the_newest_wording_without_negative_feedback_is_kept() -> None:
    rows, _ = rolled(
        [asked("q", 9, said("Yes", 4, hour=1), said("yes", 4, hour=3, negative=1), said("yes.", 1, hour=2))]
    )
    assert rows[0]["response"] == "yes."


def test_of_equally_supported_answers_the_newer_is_kept() -> None:
    rows, _ = rolled([asked("q", 4, said("old", 2, hour=1), said("new", 2, hour=2))])
    assert (rows[0]["response"], json.loads(rows[0]["provenance"])["support"]) == ("new", 2)


def test_an_answer_wins_by_its_support_over_all_days_not_by_its_best_day() -> None:
    days = [[asked("q", 3, said(f"one off {day}", 2, day=day), said("steady", 1, day=day))] for day in range(20)]
    rows, _ = rolled(*days)
    assert (rows[0]["response"], json.loads(rows[0]["provenance"])["support"]) == ("steady", 20)


def test_a_query_with_personal_data_is_excluded_before_any_judge_sees_it() -> None:
    seen: list[str] = []

    def judge(pairs: Sequence[AnswerPair]) -> Any:
        seen.extend(text for pair in pairs for text in pair if text is not None)
        return exact_probability(pairs)

    day = [
        asked("mail ada@acme.io", 6, said("a", 3)),
        asked("q", 6, said("b", 3), said("c", 1)),
        asked("rare +49 30 901820", 1),
    ]
    found = whole(day, min_frequency=2, judge=judge)
    assert [row["prompt"] for row in found.table.to_pylist()] == ["q"]
    assert found.excluded == {ExclusionReason.PERSONAL: 1, ExclusionReason.RARE: 1}
    assert seen == ["q", "b", "c"]
    assert found.unfit_queries.to_pylist() == [
        {
            "entry_id": entry_id("mail ada@acme.io", "a"),
            "agent_type": "a",
            "prompt": "mail [email]",
            "reason": "personal",
            "detail": "email in the prompt",
            "frequency": 6,
            "stability": None,
            "demand": 6 / 30,
        }
    ]


def test_personal_data_excludes_a_query_in_its_best_supported_response_and_not_in_another() -> None:
    mail = "write to ada@acme.io"
    day = [asked("one", 9, said(mail, 2), said("x", 1)), asked("other", 9, said(mail, 1), said("x", 2))]
    found = whole(day, min_stability=0.5)
    assert [(row["prompt"], row["response"]) for row in found.table.to_pylist()] == [("other", "x")]
    (row,) = found.unfit_queries.to_pylist()
    assert (row["reason"], row["detail"], row["stability"]) == ("personal", "email in the response", None)
    assert mail not in str(row)


def test_personal_data_is_the_reason_even_where_the_answer_changes_too() -> None:
    (row,) = unfit([asked("q", 4, said("call +49 30 901820", 3), said("b", 2))], min_stability=0.9)
    assert row["reason"] == "personal"


def test_unfit_queries_are_ordered_by_frequency_then_entry_id() -> None:
    day = [asked(f"q{n}", 2 + n % 2, *(said(f"{number}", 1) for number in range(5))) for n in range(6)]
    rows = unfit([*day, asked("ada@acme.io", 3)])
    assert len(rows) == 7
    assert rows == sorted(rows, key=lambda row: (-row["frequency"], row["entry_id"]))


def test_another_judge_decides_what_is_equivalent() -> None:
    day = [asked("q", 6, said("cat", 2), said("dog", 3), said("kitten", 2))]
    rows, _ = rolled(day, judge=lambda pairs: np.array([0.1 if "dog" in pair else 0.9 for pair in pairs]))
    assert (rows[0]["response"], json.loads(rows[0]["provenance"])["support"]) == ("kitten", 4)  # says more


def test_the_first_pass_reads_only_narrow_columns() -> None:
    days = Days([asked("q", 9, said())])
    roll_up_frequent_queries(days, weights=FLAT, min_frequency=5, min_users=1)
    assert days.asked_for[0] == ("agent_type", "canonical", "count")
    assert "responses" in days.asked_for[1]


def test_queries_processed_in_batches_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [
        [asked(f"q{n}", n % 7 + 1, said(f"r{n % 3}", 1, day=day), said("x", 1, day=day)) for n in range(50)]
        for day in range(3)
    ]
    at_once = rolled(*days, min_frequency=5)
    monkeypatch.setattr(rollup_module, "_BATCH", 7)
    assert rolled(*days, min_frequency=5) == at_once
    assert len(at_once[0]) > 20


def test_queries_that_share_a_hash_are_counted_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    def collide(table: pa.Table) -> Any:
        return np.zeros(table.num_rows, np.uint64)

    monkeypatch.setattr(window_counts, "hash_keys", collide)
    rows, excluded = rolled([asked("rare", 2, said("r")), asked("often", 5, said("o"))], min_frequency=5)
    assert [(row["prompt"], row["frequency"], row["response"]) for row in rows] == [("often", 5, "o")]
    assert excluded == {ExclusionReason.RARE: 1}


RESPONSE = st.tuples(st.sampled_from(["A", "a", '{"x":1,"y":2}', '{"y": 2, "x": 1}', "b"]), st.integers(1, 3))
QUERY = st.tuples(st.sampled_from(["p", "q", "r"]), st.integers(1, 4), st.lists(RESPONSE, max_size=4))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(QUERY, max_size=3, unique_by=lambda query: query[0]), max_size=5), st.integers(1, 8))
def test_the_rollup_equals_a_plain_loop(days: list[list[tuple[str, int, list[tuple[str, int]]]]], least: int) -> None:
    tables, frequency, supports = [], Counter[str](), Counter[tuple[str, str]]()
    answered: Counter[str] = Counter()
    for day in days:
        rows = []
        for query, number, responses in day:
            merged: Counter[str] = Counter()
            for text, times in responses:
                merged[text] += times
            rows.append(asked(query, number, *(said(text, times) for text, times in sorted(merged.items()))))
            frequency[query] += number
            for text, times in merged.items():
                supports[query, canonical_response(text)] += times
                answered[query] += times
        tables.append(rows)
    rows, excluded = rolled(*tables, min_frequency=least)
    frequent = {query for query, number in frequency.items() if number >= least}
    evident = {query for query in frequent if answered[query]}
    volatile = {row["prompt"] for row in unfit(*tables, min_frequency=least)}
    assert {row["prompt"] for row in rows} == evident - volatile
    assert excluded[ExclusionReason.RARE] == len(frequency) - len(frequent)
    assert excluded[ExclusionReason.NO_EVIDENCE] == len(frequent) - len(evident)
    for row in rows:
        query = row["prompt"]
        support = supports[query, canonical_response(row["response"])]
        assert row["frequency"] == frequency[query]
        assert support == max(number for (of, _), number in supports.items() if of == query)
        assert json.loads(row["provenance"])["support"] == support
