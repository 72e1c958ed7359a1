"""Errors that a user sees: one clear line, the documented exit code, and no half-published cache."""

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.pipeline import Cachewarm

DAY = date(2026, 3, 20)


def write_source(folder: Path, log: list[dict[str, object]] | None, findings: list[dict[str, object]] | None) -> Path:
    folder.mkdir(exist_ok=True)
    if log is not None:
        pq.write_table(pa.Table.from_pylist(log), folder / "llm_query_logs.parquet")
    if findings is not None:
        pq.write_table(pa.Table.from_pylist(findings), folder / "findings.parquet")
        stamp = pa.scalar(f"{DAY}T08:00:00").as_py()
        analyses = [{"id": 1, "url": "u", "content_preview": "Review this login form", "created_at": stamp}]
        pq.write_table(pa.Table.from_pylist(analyses), folder / "analyses.parquet")
    return folder


def asked(query: object = "How do I rotate a key?", agent_type: object = "a", **more: object) -> dict[str, object]:
    return {
        "query": query,
        "agent_type": agent_type,
        "response": '{"answer": "with the vault"}',
        "created_at": f"{DAY}T09:00:00Z",
        **more,
    }


FINDING: dict[str, object] = {
    "analysis_id": 1,
    "agent_type": "a",
    "output": '{"answer": "escape it"}',
    "confidence_score": 0.9,
}


@pytest.fixture
def cachewarm(capsys: pytest.CaptureFixture[str], tmp_path: Path, redis_url: str, cache_name: str) -> Cachewarm:
    return Cachewarm(
        capsys,
        {
            "CACHEWARM_HOME": str(tmp_path / "home"),
            "CACHEWARM_SOURCE_URL": str(tmp_path / "source"),
            "CACHEWARM_REDIS_URL": redis_url,
            "CACHEWARM_NAME": cache_name,
        },
    )


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith(("error:", "stopped:"))]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "0"], "CACHEWARM_BUDGET"),
        (["--budget", "-1"], "CACHEWARM_BUDGET"),
        (["--as-of", "2999-01-01"], "not over yet"),
        (["--as-of", "20-03-2026"], "YYYY-MM-DD"),
        (["--as-of", "2026-03-01"], "no rows on that day"),
        (["--max-wrong-hit-rate", "1.5"], "CACHEWARM_MAX_WRONG_HIT_RATE"),
        (["--name", "warm"], "reserved"),
        (["--name", "a b"], "letters"),
    ],
)
def test_wrong_usage_exits_2_and_names_the_option(
    cachewarm: Cachewarm, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    write_source(tmp_path / "source", [asked()] * 6, [FINDING])
    ran = cachewarm("warm", *arguments)
    assert ran.code == 2
    assert expected in one_line(ran.err)


def test_a_missing_source_is_named_in_the_error(cachewarm: Cachewarm, tmp_path: Path) -> None:
    ran = cachewarm("warm")
    assert ran.code != 0
    assert str(tmp_path / "source") in one_line(ran.err)


def test_a_source_without_any_table_names_the_missing_ones(cachewarm: Cachewarm, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    ran = cachewarm("warm")
    assert ran.code == 1
    assert "llm_query_logs" in one_line(ran.err)


def test_a_missing_column_is_named_with_the_setting_that_maps_it(cachewarm: Cachewarm, tmp_path: Path) -> None:
    rows = [{"question" if k == "query" else k: v for k, v in asked().items()}]
    source = write_source(tmp_path / "source", rows, None)
    ran = cachewarm("warm")
    assert ran.code == 1
    line = one_line(ran.err)
    assert all(word in line for word in ("llm_query_logs", "query", "CACHEWARM_COLUMNS"))
    mapped = cachewarm(
        "warm",
        CACHEWARM_COLUMNS='{"llm_query_logs": {"query": "question"}}',
        CACHEWARM_MIN_FREQUENCY="1",
        CACHEWARM_SOURCE_URL=str(source),
    )
    assert mapped.code == 0, mapped.err


def test_a_log_alone_and_golden_answers_alone_are_each_enough(cachewarm: Cachewarm, tmp_path: Path) -> None:
    log_only = write_source(tmp_path / "log", [asked()] * 6, None)
    golden_only = write_source(tmp_path / "golden", None, [FINDING])
    for source, kind in ((log_only, "query_log"), (golden_only, "golden")):
        ran = cachewarm("warm", "--json", "-", "--allow-rollback", CACHEWARM_SOURCE_URL=str(source))
        assert ran.code == 0, ran.err
        assert ran.json["entries"]["total"] == ran.json["entries"][kind] == 1


def test_empty_tables_block_the_publish_instead_of_emptying_the_cache(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    live = cachewarm("warm", "--json", "-").json["generation"]
    assert live
    empty = write_source(tmp_path / "empty", [asked(agent_type="")], None)
    ran = cachewarm("warm", "--json", "-", CACHEWARM_SOURCE_URL=str(empty))
    assert ran.code == 1
    assert ran.json["blocked_by"] == ["quality_threshold"]
    assert ran.json["generation"] == live


def test_a_run_that_cannot_start_replaces_an_older_report_with_its_reason(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    target = tmp_path / "report.json"
    assert cachewarm("warm", "--json", str(target)).code == 0
    assert json.loads(target.read_text())["published"] is True
    ran = cachewarm("warm", "--json", str(target), "--source", str(tmp_path / "nowhere"))
    assert ran.code == 1
    report = json.loads(target.read_text())
    assert report["published"] is False
    assert "nowhere" in report["reason"]


def test_dirty_rows_are_counted_under_their_reasons(cachewarm: Cachewarm, tmp_path: Path) -> None:
    rows = [
        *[asked()] * 6,
        asked(query=None),
        asked(query="   "),
        asked(query="?!"),
        asked(query="x" * 50_000),
        asked(agent_type=""),
        asked(agent_type="a\x00b"),
        asked(created_at=None),
        asked(created_at="1970-01-01T00:00:00Z"),
        asked(query="asked once"),
    ]
    broken = [{**FINDING, "output": "{not json"}, {**FINDING, "confidence_score": 1.7}, {**FINDING, "analysis_id": 99}]
    write_source(tmp_path / "source", rows, [FINDING, *broken])
    ran = cachewarm("warm", "--json", "-")
    assert ran.code == 0, ran.err
    counts = ran.json["counts"]
    assert counts["empty_prompt"] == 3
    for reason in ("prompt_too_long", "empty_agent_type", "bad_agent_type", "unparsable_output", "bad_confidence"):
        assert counts[reason] == 1, (reason, counts)
    assert counts["no_analysis"] == 1
    assert counts["rare"] == 1
    assert counts["no_date"] == 1
    assert counts["absurd_date"] == 1


def test_an_unreachable_redis_is_reported_before_any_work(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    ran = cachewarm("warm", "--redis-url", "redis://:hunter2@127.0.0.1:1/0")
    assert ran.code == 1
    assert "127.0.0.1:1" in one_line(ran.err)
    assert "hunter2" not in ran.err + ran.out
    assert "golden_candidates" not in ran.err


def test_an_unreachable_postgres_is_reported_without_its_password(cachewarm: Cachewarm) -> None:
    ran = cachewarm("warm", "--source", "postgresql://app:hunter2@127.0.0.1:1/app")
    assert ran.code == 1
    assert "127.0.0.1:1" in one_line(ran.err)
    assert "hunter2" not in ran.err + ran.out


def test_a_refused_embedding_key_stops_the_run_and_publishes_nothing(
    cachewarm: Cachewarm, tmp_path: Path, httpserver: object
) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    httpserver.expect_request("/v1/embeddings").respond_with_json(  # type: ignore[attr-defined]
        {"error": {"message": "Incorrect API key provided: sk-hunter2"}}, status=401
    )
    ran = cachewarm(
        "warm",
        CACHEWARM_EMBEDDER="openai",
        OPENAI_API_KEY="sk-hunter2",
        OPENAI_BASE_URL=httpserver.url_for("/v1"),  # type: ignore[attr-defined]
    )
    assert ran.code == 1
    assert "key" in one_line(ran.err)
    assert "hunter2" not in ran.err + ran.out
    assert cachewarm("generations", "--json").json == []


def test_a_log_older_than_the_first_partition_names_the_setting(cachewarm: Cachewarm, tmp_path: Path) -> None:
    rows = [asked(created_at=f"{DAY - timedelta(days=n)}T09:00:00Z") for n in range(8)]
    write_source(tmp_path / "source", rows, None)
    ran = cachewarm("warm", CACHEWARM_FIRST_DAY="2026-03-18")
    assert ran.code == 2
    assert "CACHEWARM_FIRST_DAY=2026-03-13" in one_line(ran.err)


def test_a_lookup_before_the_first_warm_names_the_command_to_run(cachewarm: Cachewarm) -> None:
    ran = cachewarm("lookup", "anything", "--agent-type", "auditor")
    assert ran.code == 1
    assert "cachewarm warm" in one_line(ran.err)
    assert cachewarm("rollback").code == 1
    assert cachewarm("stats", "--json").json["generation"] is None


def test_a_home_that_cannot_be_written_is_one_error_line(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    ran = cachewarm("warm", CACHEWARM_HOME=str(blocked / "home"))
    assert ran.code == 1
    assert "CACHEWARM_HOME" in one_line(ran.err)


def test_the_sample_is_never_published_to_the_users_own_redis_by_default(cachewarm: Cachewarm) -> None:
    ran = cachewarm("warm", CACHEWARM_SOURCE_URL="")
    assert ran.code == 2
    assert "CACHEWARM_SOURCE_URL" in one_line(ran.err)
    assert cachewarm("generations", "--json").json == []


def test_a_report_file_that_cannot_be_written_is_reported_before_any_work(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 6, None)
    ran = cachewarm("warm", "--json", str(tmp_path / "missing" / "report.json"))
    assert ran.code == 2
    assert "--json" in one_line(ran.err)
    assert cachewarm("generations", "--json").json == []


def test_brackets_in_a_path_are_printed_and_not_read_as_markup(cachewarm: Cachewarm, tmp_path: Path) -> None:
    source = write_source(tmp_path / "x[", [asked()] * 6, None)
    (source / "y]").mkdir()
    ran = cachewarm("warm", CACHEWARM_SOURCE_URL=str(source), CACHEWARM_MIN_FREQUENCY="1")
    assert ran.code == 0, ran.err
    assert str(source) in ran.err


def test_a_day_without_rows_within_the_log_is_reported(cachewarm: Cachewarm, tmp_path: Path) -> None:
    days = (DAY - timedelta(days=2), DAY)
    rows = [asked(created_at=f"{day}T09:00:00Z") for day in days for _ in range(6)]
    write_source(tmp_path / "source", rows, None)
    ran = cachewarm("warm", "--as-of", str(DAY - timedelta(days=1)))
    assert ran.code == 0, ran.err
    assert "no usable rows on 2026-03-19" in ran.err


def test_days_of_a_file_that_was_replaced_are_mined_again(cachewarm: Cachewarm, tmp_path: Path) -> None:
    yesterday = DAY - timedelta(days=1)
    rows = [asked(created_at=f"{day}T09:00:00Z") for day in (yesterday, DAY) for _ in range(6)]
    write_source(tmp_path / "source", rows, None)
    assert cachewarm("warm", "--json", "-").json["entries"]["total"] == 1
    other = [asked(query="Is it new?", created_at=f"{yesterday}T09:00:00Z") for _ in range(7)]
    write_source(tmp_path / "source", [*rows, *other], None)
    assert cachewarm("warm", "--json", "-").json["entries"]["total"] == 2


def test_secrets_in_an_analysed_url_do_not_reach_redis(
    cachewarm: Cachewarm, tmp_path: Path, redis_url: str, cache_name: str
) -> None:
    import redis

    write_source(tmp_path / "source", None, [FINDING])
    table = pq.read_table(tmp_path / "source" / "analyses.parquet")
    url = pa.array(["https://bot:hunter2@example.com/?token=hunter2"])
    at = table.schema.get_field_index("url")
    pq.write_table(table.set_column(at, "url", url), tmp_path / "source" / "analyses.parquet")
    assert cachewarm("warm").code == 0
    with redis.Redis.from_url(redis_url) as client:
        stored = [client.hgetall(key) for key in client.scan_iter(f"warm:{cache_name}:2*", _type="HASH")]
    assert len(stored) == 1
    assert b"hunter2" not in b"".join(stored[0].values())
