"""Which golden findings become candidates."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from cachewarm_client.text import entry_id

from cachewarm_pipeline.candidates.golden_candidates import choose_golden_candidates
from cachewarm_pipeline.candidates.provenance import source_row_hash
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.sources.golden_tables import GOLDEN
from cachewarm_pipeline.storage.schemas import GOLDEN_CANDIDATES, conform
from tests.support.source_data import NOON

Row = dict[str, Any]


def candidates(
    *rows: Row, cap: int = 500, max_response_bytes: int = 1000
) -> tuple[list[Row], Counter[ExclusionReason]]:
    finding = {
        "content_preview": "def f(): pass",
        "agent_type": "reviewer",
        "output": '{"risk": "low"}',
        "confidence_score": 0.9,
        "analysis_id": "1",
        "url": "https://example.org/1",
        "created_at": NOON,
    }
    table = pa.Table.from_pylist([finding | row for row in rows], schema=GOLDEN)
    found, excluded = choose_golden_candidates(table, cap=cap, max_response_bytes=max_response_bytes)
    assert conform("golden_candidates", found).schema == GOLDEN_CANDIDATES
    return found.to_pylist(), excluded


def test_no_findings_give_no_candidates() -> None:
    assert candidates() == ([], {})


def test_a_finding_becomes_a_candidate_with_its_lineage() -> None:
    (row,), excluded = candidates({"content_preview": "x" * 3000, "output": ' {"b": 1, "a": 2}\n', "url": None})
    assert not excluded
    assert row["prompt"] == "x" * 2000
    assert row["entry_id"] == entry_id("x" * 2000, "reviewer")
    assert row["response"] == '{"b": 1, "a": 2}'
    assert (row["source"], row["quality_score"], row["demand"], row["cost_usd"]) == ("golden", 0.9, 0.0, None)
    assert json.loads(row["provenance"]) == {
        "analysis_id": "1",
        "url": None,
        "created_at": "2026-11-10T12:00:00+00:00",
        "confidence": 0.9,
        "depends": {
            "source_row": source_row_hash('{"b": 1, "a": 2}', "0.9"),
            "answer_model": None,
            "prompt_version": None,
            "embedder": None,
        },
    }


def test_another_output_or_confidence_is_another_source_row() -> None:
    changes: list[dict[str, Any]] = [{}, {"output": '{"n": 2}'}, {"confidence_score": 0.95}, {"url": "https://x.org"}]
    rows = [json.loads(candidates(change)[0][0]["provenance"])["depends"]["source_row"] for change in changes]
    assert rows[0] == rows[3]
    assert len(set(rows)) == 3


def test_of_one_prompt_the_best_then_the_newest_finding_is_kept() -> None:
    rows, excluded = candidates(
        {"content_preview": "DEF f(): pass!", "confidence_score": 0.85, "created_at": NOON + timedelta(9)},
        {"confidence_score": 0.95, "output": '{"n": 1}'},
        {"confidence_score": 0.95, "output": '{"n": 2}', "created_at": NOON + timedelta(1)},
        {"agent_type": "planner", "confidence_score": 0.8},
    )
    assert [(row["agent_type"], row["response"]) for row in rows] == [
        ("reviewer", '{"n": 2}'),
        ("planner", '{"risk": "low"}'),
    ]
    assert excluded == {ExclusionReason.DUPLICATE_PROMPT: 2}


def test_the_cap_keeps_the_best() -> None:
    rows, excluded = candidates(
        *({"content_preview": f"content {n}", "confidence_score": 0.8 + n / 100} for n in range(10)), cap=3
    )
    assert [row["quality_score"] for row in rows] == pytest.approx([0.89, 0.88, 0.87])
    assert excluded == {ExclusionReason.OVER_CAP: 7}


def test_a_cap_of_zero_keeps_nothing() -> None:
    assert candidates({}, cap=0) == ([], {ExclusionReason.OVER_CAP: 1})


@pytest.mark.parametrize(
    "output", ['{"a": 1}', "[1]", '"text"', '  {"a": NaN2}  '.replace("NaN2", "null"), '{"a": 1e999}']
)
def test_objects_arrays_and_strings_are_answers(output: str) -> None:
    rows, excluded = candidates({"output": output})
    assert [row["response"] for row in rows] == [output.strip()]
    assert not excluded


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"output": "{broken"}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "plain words"}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": '{"a": NaN}'}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "17"}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "0"}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "true"}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "[" * 900}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": "9" * 1000}, ExclusionReason.UNPARSABLE_OUTPUT),
        ({"output": None}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": " \n"}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": "null"}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": "{}"}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": "[]"}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": '" "'}, ExclusionReason.EMPTY_RESPONSE),
        ({"output": '"' + "é" * 500 + '"'}, ExclusionReason.RESPONSE_TOO_LARGE),
        ({"content_preview": None}, ExclusionReason.EMPTY_PROMPT),
        ({"content_preview": " \u200b?! "}, ExclusionReason.EMPTY_PROMPT),
        ({"content_preview": " " * 2000 + "beyond the cut"}, ExclusionReason.EMPTY_PROMPT),
    ],
)
def test_a_finding_that_is_not_an_answer_is_excluded_with_its_reason(row: Row, reason: ExclusionReason) -> None:
    assert candidates(row) == ([], {reason: 1})


@pytest.mark.parametrize(
    "row",
    [
        {"content_preview": "OWNER = 'ada@acme.io'"},
        {"output": '{"owner": "ada@acme.io"}'},
        {"content_preview": "x" * 1988 + " ada@acme.io beyond the cut"},
    ],
)
def test_a_finding_with_personal_data_in_its_prompt_or_answer_is_excluded(row: Row) -> None:
    assert candidates(row) == ([], {ExclusionReason.PERSONAL: 1})


def test_personal_data_beyond_the_cut_is_not_part_of_the_prompt() -> None:
    rows, excluded = candidates({"content_preview": "x" * 1999 + " ada@acme.io"})
    assert (len(rows), excluded) == (1, {})


def test_a_personal_finding_does_not_count_towards_the_cap_and_the_next_finding_of_its_prompt_is_kept() -> None:
    personal = {"output": '{"owner": "ada@acme.io"}', "confidence_score": 0.99}
    rows, excluded = candidates(personal, {}, cap=1)
    assert [row["response"] for row in rows] == ['{"risk": "low"}']
    assert excluded == {ExclusionReason.PERSONAL: 1}


def test_an_excluded_finding_does_not_hide_a_good_one_of_the_same_prompt() -> None:
    rows, excluded = candidates({"confidence_score": 1.0, "output": "{broken"}, {"confidence_score": 0.8})
    assert [row["quality_score"] for row in rows] == [0.8]
    assert excluded == {ExclusionReason.UNPARSABLE_OUTPUT: 1}


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [
        {"content_preview": f"content {n % 4}", "confidence_score": 0.8 + (n % 3) / 10, "output": f'{{"n": {n}}}'}
        for n in range(20)
    ]
    assert candidates(*rows) == candidates(*reversed(rows))
