"""Tables and columns of every form of source: mapped, missing, empty; golden findings; ``describe``."""

from datetime import UTC, date, datetime, timedelta

import pytest

from cachewarm_pipeline.errors import SourceError
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from tests.support.source_data import DAY, NOON, at, golden_data, log_row, mined
from tests.support.source_forms import Open, log

pytest_plugins = ["tests.support.source_forms"]


def test_a_log_of_the_required_columns_alone_is_enough(opened: Open) -> None:
    required = ("query", "agent_type", "response", "created_at")
    (row,), excluded = mined(opened(log({name: log_row()[name] for name in required})))
    assert (row["count"], row["cache_hits"], row["answered"], row["users"]) == (1, 0, 1, [])
    assert (row["costed"], row["timed"], row["tokens"]) == (0, 0, 0)
    assert not excluded


def test_columns_and_tables_of_other_names_are_mapped(opened: Open) -> None:
    row = {"prompt_text": "Hi?", "tenant": "a", "answer": "Hello.", "at": NOON, "hit": "True"}
    data = {"requests": [row, row | {"hit": "False"}, row | {"hit": None}]}
    mapping = {
        "query": "prompt_text",
        "agent_type": "tenant",
        "response": "answer",
        "created_at": "at",
        "cache_hit": "hit",
    }
    source = opened(data, tables={"llm_query_logs": "requests"}, columns={"llm_query_logs": mapping})
    (found,), _ = mined(source)
    assert (found["canonical"], found["count"], found["cache_hits"]) == ("hi", 3, 1)
    described = source.describe(date(2026, 11, 20)).log
    assert described is not None
    assert described.name == "requests"
    assert {"query", "cache_hit"} <= set(described.columns)


def test_a_missing_column_is_named_with_what_was_found_and_how_to_map_it(opened: Open) -> None:
    rows = [{name: value for name, value in log_row().items() if name not in ("query", "response")}]
    with pytest.raises(SourceError) as raised:
        opened({"llm_query_logs": rows}).day_groups(DAY)
    message = str(raised.value)
    for part in ("llm_query_logs", "query, response", "agent_type", "CACHEWARM_COLUMNS"):
        assert part in message
    assert "\n" not in message


def test_a_mapped_column_that_does_not_exist_is_an_error_even_if_optional(opened: Open) -> None:
    source = opened(log(log_row()), columns={"llm_query_logs": {"cache_hit": "from_cache"}})
    with pytest.raises(SourceError, match="from_cache"):
        source.day_groups(DAY)


def test_a_mapped_table_that_does_not_exist_is_an_error_and_not_a_cold_start(opened: Open) -> None:
    with pytest.raises(SourceError, match=r"requestz.*CACHEWARM_TABLES"):
        opened(golden_data({}), tables={"llm_query_logs": "requestz"})


def test_a_log_without_golden_tables_is_enough(opened: Open) -> None:
    source = opened(log(log_row()))
    found = source.describe(date(2026, 11, 20))
    assert (found.analyses, found.findings, found.first_log_day) == (None, None, DAY)
    assert source.golden(DAY, 0.8).table.num_rows == 0
    assert len(mined(source)[0]) == 1


def test_golden_tables_without_a_log_are_enough(opened: Open) -> None:
    source = opened(golden_data({}))
    found = source.describe(date(2026, 11, 20))
    assert (found.log, found.first_log_day, found.last_log_day) == (None, None, None)
    assert found.findings is not None
    assert found.findings.rows == 1
    assert mined(source) == ([], {})
    assert source.golden(DAY, 0.8).table.num_rows == 1


def test_a_source_with_neither_log_nor_golden_tables_is_an_error(opened: Open) -> None:
    analyses_alone = {"analyses": golden_data({})["analyses"]}
    with pytest.raises(SourceError, match=r"neither llm_query_logs nor both analyses and findings.*CACHEWARM_TABLES"):
        opened(analyses_alone)


def test_empty_tables_give_no_rows_and_no_error(opened: Open) -> None:
    source = opened({"analyses": [], "findings": [], "llm_query_logs": []})
    found = source.describe(date(2026, 11, 20))
    assert (found.first_log_day, found.last_log_day, found.excluded) == (None, None, {})
    assert mined(source) == ([], {})
    golden = source.golden(DAY, 0.8)
    assert (golden.table.num_rows, golden.excluded) == (0, {})


def test_describe_finds_the_days_of_the_log_and_counts_rows_without_a_usable_date(opened: Open) -> None:
    dates = [at(1), at(-30), None, None, datetime(1970, 1, 1, tzinfo=UTC), at(24 * 400)]
    source = opened(log(*(log_row(created_at=moment) for moment in dates)))
    found = source.describe(DAY)
    assert (found.first_log_day, found.last_log_day) == (DAY - timedelta(2), DAY)
    assert found.excluded == {ExclusionReason.NO_DATE: 2, ExclusionReason.ABSURD_DATE: 2}
    assert found.log is not None
    assert set(found.log.columns) == set(log_row())


def test_golden_findings_are_sorted_best_first_then_newest_and_excluded_ones_are_counted(opened: Open) -> None:
    data = golden_data(
        {"analysis_id": 1, "confidence_score": 0.8},
        {"analysis_id": 2, "confidence_score": 0.95, "agent_type": " a,b {c} "},
        {"analysis_id": 3, "confidence_score": 0.95},
        {"analysis_id": 1, "confidence_score": 1.0},
        {"confidence_score": 0.79},
        {"confidence_score": None},
        {"confidence_score": 1.01},
        {"confidence_score": float("nan")},
        {"analysis_id": 99},
        {"analysis_id": None},
        {"analysis_id": 4},
        {"agent_type": ""},
        {"agent_type": "bell\x07"},
        {"output": "z" * 2001},
        {"analysis_id": 5},
        analyses=[
            {"id": 1},
            {"id": 2, "created_at": at(1)},
            {"id": 3, "created_at": at(2)},
            {"id": 4, "created_at": at(24)},
            {"id": 5, "created_at": None},
        ],
    )
    golden = opened(data, max_response_bytes=2000).golden(DAY, 0.8)
    assert [(r["confidence_score"], r["analysis_id"], r["agent_type"]) for r in golden.table.to_pylist()] == [
        (1.0, "1", "reviewer"),
        (0.95, "3", "reviewer"),
        (0.95, "2", "a,b {c}"),
        (0.8, "1", "reviewer"),
    ]
    assert golden.table["created_at"].to_pylist()[1] == at(2)
    assert golden.excluded == {
        ExclusionReason.LOW_QUALITY: 1,
        ExclusionReason.BAD_CONFIDENCE: 3,
        ExclusionReason.NO_ANALYSIS: 2,
        ExclusionReason.EMPTY_AGENT_TYPE: 1,
        ExclusionReason.BAD_AGENT_TYPE: 1,
        ExclusionReason.RESPONSE_TOO_LARGE: 1,
        ExclusionReason.NO_DATE: 1,
    }


def test_a_long_preview_is_cut_to_a_prompt(opened: Open) -> None:
    source = opened(golden_data({}, analyses=[{"content_preview": "é" * 5000}]))
    assert source.golden(DAY, 0.8).table["content_preview"].to_pylist() == ["é" * 2000]
