"""The asset over the sample: the recorded writer through Dagster, an OpenAI-compatible one over HTTP, and none."""

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import canonical, entry_id
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.candidates.variant_filter import TOO_CLOSE, TOO_FAR
from cachewarm_pipeline.errors import ConfigurationError, LlmError
from cachewarm_pipeline.reporting.warm_report import build_report
from tests.support.chat_server import KEY, saying
from tests.support.openai_server import error_answer
from tests.support.pipeline import LAST_DAY, environment, home_with_shared_vectors, small_sample
from tests.support.writer_server import PER_ANSWER, WriterServer, asked

DAY = LAST_DAY.isoformat()


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a state folder with the mined log and the candidates of the last day."""
    values = {
        "CACHEWARM_HOME": str(home_with_shared_vectors(tmp_path_factory)),
        "CACHEWARM_SOURCE_URL": str(small_sample(tmp_path_factory.mktemp("sample"))),
        "CACHEWARM_LOOKBACK_DAYS": "10",
    }
    with environment(values), dg.instance_for_test() as instance:
        from cachewarm_pipeline.definitions import defs

        tags = {
            "dagster/asset_partition_range_start": (LAST_DAY - timedelta(days=9)).isoformat(),
            "dagster/asset_partition_range_end": DAY,
        }
        assert defs.resolve_job_def("mine_log").execute_in_process(instance=instance, tags=tags).success
        materialize(["golden_candidates", "frequent_queries"], instance)
    return values


def materialize(assets: list[str], instance: dg.DagsterInstance) -> dict[str, dict[str, Any]]:
    """Metadata by asset, as plain values."""
    from cachewarm_pipeline.definitions import defs

    job = defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in assets]
    result = job.execute_in_process(instance=instance, partition_key=DAY, asset_selection=keys)
    return {
        e.asset_key.to_user_string(): {name: value.value for name, value in e.materialization.metadata.items()}
        for e in result.get_asset_materialization_events()
    }


def synthetic(values: dict[str, str], **more: str) -> tuple[dict[str, Any], pa.Table, pa.Table]:
    """One materialisation of the asset: its metadata, its table, and the day's candidates."""
    with environment(values | more), dg.instance_for_test() as instance:
        from cachewarm_pipeline.workspace.workspace import Workspace

        metadata = materialize(["synthetic_variants"], instance)["synthetic_variants"]
        datasets = Workspace().datasets
        columns = ["entry_id", "agent_type", "prompt", "response", "demand"]
        known = [datasets.read(name, LAST_DAY).select(columns) for name in ("golden_candidates", "frequent_queries")]
        return metadata, datasets.read("synthetic_variants", LAST_DAY), pa.concat_tables(known)


def test_the_recorded_writer_gives_filtered_variants_with_verified_answers(values: dict[str, str]) -> None:
    metadata, table, known = synthetic(values, CACHEWARM_LLM="recorded")
    rows = table.to_pylist()
    assert len(rows) > 50
    verified = {row["entry_id"]: row["response"] for row in reversed(known.to_pylist())}
    taken = {(row["agent_type"], canonical(row["prompt"])) for row in known.to_pylist()}
    for row in rows:
        provenance = json.loads(row["provenance"])
        assert row["response"] == verified[row["base_id"]]
        assert (provenance["recorded"], provenance["base_origin"], provenance["response"]) == (
            True,
            "configured",
            "base",
        )
        assert provenance["model"] == metadata["llm_model"]
        assert (row["source"], row["quality_score"], row["demand"]) == ("synthetic", 0.7, 0.0)
        assert (row["agent_type"], canonical(row["prompt"])) not in taken
        assert TOO_CLOSE <= row["base_distance"] <= TOO_FAR
        assert not find_personal_data(row["prompt"])
        taken.add((row["agent_type"], canonical(row["prompt"])))
    assert metadata["dagster/row_count"] == len(rows)
    assert (metadata["llm"], metadata["recorded"]) == ("recorded", True)
    assert "no model was asked in this run" in metadata["written_by"]
    assert (metadata["generation_tokens"], metadata["generation_usd"], metadata["written"]) == (0, 0.0, 0)
    asked_bases = metadata["bases_configured"]
    assert metadata["known"] == asked_bases
    excluded = metadata["left_out"]
    unanswered = excluded["no_response"]
    assert len(rows) + sum(excluded.values()) - unanswered == 8 * asked_bases
    assert {"meaning_changed", "nearer_to_another_base", "too_close"} <= set(excluded)


def test_a_second_run_gives_the_same_table_and_embeds_nothing(values: dict[str, str]) -> None:
    _, first, _ = synthetic(values, CACHEWARM_LLM="recorded")
    metadata, second, _ = synthetic(values, CACHEWARM_LLM="recorded")
    assert second.equals(first)
    assert metadata["tokens"] == 0


def test_without_a_model_the_table_is_empty_and_the_page_says_which_setting_makes_variants(
    values: dict[str, str],
) -> None:
    metadata, table, _ = synthetic(values)
    assert (table.num_rows, metadata["left_out"]) == (0, {})
    assert "CACHEWARM_LLM=openai" in metadata["why_none"]
    assert "llm" not in metadata


NEW = "security_auditor: [{query: Is it new, response: Yes.}]"


def test_a_packaged_base_that_is_not_recorded_is_counted_as_not_written(
    values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachewarm_pipeline.candidates.variant_service.BASE_QUERIES", bases_file(tmp_path, NEW))
    metadata, table, _ = synthetic(values, CACHEWARM_LLM="recorded")
    assert (table.num_rows, metadata["left_out"]) == (0, {"not_written": 1})


def test_an_unrecorded_base_of_the_users_own_file_is_an_error_with_what_to_set(
    values: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(LlmError, match=r"base 'Is it new' .* is not recorded; set CACHEWARM_LLM=openai"):
        synthetic(values, CACHEWARM_LLM="recorded", CACHEWARM_BASE_QUERIES=str(bases_file(tmp_path, NEW)))


def test_a_file_of_base_queries_that_cannot_be_read_is_refused_by_name(values: dict[str, str], tmp_path: Path) -> None:
    from cachewarm_pipeline.candidates.variant_service import configured_bases
    from cachewarm_pipeline.settings import Settings
    from cachewarm_pipeline.workspace.workspace import Workspace

    for name, data, message in (
        ("none", None, "No such file"),
        ("bytes", b"\xff", "not UTF-8"),
        ("list", b"- a", "list"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigurationError, match=message):
            configured_bases(Workspace(Settings(base_queries=tmp_path / name)), set())


def test_packaged_bases_are_used_only_for_agent_types_of_the_log(tmp_path: Path) -> None:
    from cachewarm_pipeline.candidates.variant_service import configured_bases
    from cachewarm_pipeline.settings import Settings
    from cachewarm_pipeline.workspace.workspace import Workspace

    packaged = Workspace(Settings(home=tmp_path))
    assert configured_bases(packaged, {"billing"}) == []
    assert {base.agent_type for base in configured_bases(packaged, {"billing", "test_engineer"})} == {"test_engineer"}
    own = Workspace(Settings(home=tmp_path, base_queries=bases_file(tmp_path, "support: [How]")))
    assert [base.prompt for base in configured_bases(own, {"billing"})] == ["How"]


def bases_file(folder: Path, text: str) -> Path:
    file = folder / "bases.yaml"
    file.write_text(text)
    return file


@pytest.fixture
def server(_openai_http: HTTPServer) -> WriterServer:
    _openai_http.clear()
    server = WriterServer(_openai_http)
    server.reply = wordy
    return server


def wordy(body: dict[str, Any]) -> dict[str, Any]:
    """Two wordings, of which one is another question, or an answer."""
    data = asked(body)
    if "n" not in data:
        return saying(json.dumps({"answer": f"Generated for {data['request']}"}))
    return saying(json.dumps({"variants": [f"please help me now: {data['request'].lower()}", "What is for lunch?"]}))


@pytest.fixture
def openai(values: dict[str, str], server: WriterServer, tmp_path: Path) -> dict[str, str]:
    """The environment with a model: one configured base without an answer, one with its own, and the tops."""
    text = "security_auditor:\n  - Is pineapple a fruit?\n  - {query: Is a tomato a fruit, response: Yes.}"
    more = {
        "CACHEWARM_LLM": "openai",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.url,
        "CACHEWARM_BASE_QUERIES": str(bases_file(tmp_path, text)),
        "CACHEWARM_SYNTHETIC_TOP": "1",
        "CACHEWARM_DATASET_URL": str(tmp_path / "data"),
    }
    (tmp_path / "data").mkdir()
    for name in ("daily_query_counts", "golden_candidates", "frequent_queries", "vectors"):
        (tmp_path / "data" / name).symlink_to(Path(values["CACHEWARM_HOME"]) / "data" / name)
    return values | more


def test_a_model_is_also_asked_for_the_top_candidates_and_never_for_a_base_without_an_answer(
    openai: dict[str, str], server: WriterServer
) -> None:
    metadata, table, known = synthetic(openai)
    agent_types = len(set(known["agent_type"].to_pylist()))
    assert metadata["bases_configured"] == 1
    assert metadata["bases_query_log"] == agent_types
    assert 0 < metadata["bases_golden"] <= agent_types
    assert "Is pineapple a fruit?" not in server.prompts
    assert len(server.prompts) == metadata["written"]
    assert metadata["generation_tokens"] == metadata["written"] * PER_ANSWER
    assert metadata["generation_usd"] > 0
    assert metadata["left_out"]["no_response"] == 1
    assert (metadata["llm"], metadata["recorded"]) == ("openai", False)
    tomato = table.filter(pc.equal(table["base_id"], entry_id("Is a tomato a fruit", "security_auditor")))
    assert tomato["response"].to_pylist() == ["Yes."]

    asked_before = len(server.prompts)
    again, same, _ = synthetic(openai)
    assert len(server.prompts) == asked_before
    assert (again["generation_tokens"], again["written"], again["known"]) == (0, 0, metadata["written"])
    assert same.equals(table)


def test_generated_answers_are_marked_and_asked_only_for_kept_variants(
    openai: dict[str, str], server: WriterServer
) -> None:
    _, table, _ = synthetic(openai, CACHEWARM_SYNTHETIC_RESPONSES="generate")
    generated = [row for row in table.to_pylist() if json.loads(row["provenance"])["response"] == "generated"]
    variant = "please help me now: is pineapple a fruit?"
    assert [(row["prompt"], row["response"]) for row in generated] == [(variant, f"Generated for {variant}")]
    assert [asked(body)["request"] for body in server.requests if "n" not in asked(body)] == [variant]


def test_bases_over_the_budget_are_counted(openai: dict[str, str], server: WriterServer) -> None:
    metadata, table, _ = synthetic(openai, CACHEWARM_LLM_MAX_USD="0")
    assert (table.num_rows, server.prompts) == (0, [])
    bases = sum(number for name, number in metadata.items() if name.startswith("bases_"))
    assert metadata["over_cap"] == metadata["left_out"]["not_written"] == bases


def test_the_replay_has_variants_of_only_the_days_bases_and_pays_nothing(
    openai: dict[str, str], server: WriterServer
) -> None:
    _, table, _ = synthetic(openai)
    paid = len(server.requests)
    with environment(openai | {"CACHEWARM_SYNTHETIC_TOP": "9", "CACHEWARM_SYNTHETIC_RESPONSES": "generate"}):
        from cachewarm_pipeline.candidates.variant_service import variants_of_day
        from cachewarm_pipeline.workspace.workspace import Workspace

        workspace = Workspace()
        day = [workspace.datasets.read(name, LAST_DAY) for name in ("golden_candidates", "frequent_queries")]
        judge = workspace.judge(lambda _: None)
        for only in (set(table["base_id"].to_pylist()), set()):
            found = variants_of_day(workspace, *day, judge, lambda _: None, only=only)
            assert set(found.table["base_id"].to_pylist()) == only
    assert len(server.requests) == paid


@pytest.mark.parametrize("batch", ["false", "true"])
def test_the_replay_asks_nothing_after_a_change_of_temperature(
    openai: dict[str, str], server: WriterServer, batch: str
) -> None:
    _, table, _ = synthetic(openai)
    written = set(table["base_id"].to_pylist())
    server.paths.clear()
    more = {"CACHEWARM_LLM_TEMPERATURE": "0.3", "CACHEWARM_LLM_BATCH": batch, "CACHEWARM_LOOKBACK_DAYS": "10"}
    with environment(openai | more):
        from cachewarm_pipeline.proof.service import _recipe
        from cachewarm_pipeline.query_log.service import mined_days
        from cachewarm_pipeline.workspace.workspace import Workspace

        workspace = Workspace()
        judge = workspace.judge(lambda _: None)
        days = mined_days(workspace, LAST_DAY, 10)
        plan, *_ = _recipe(workspace, LAST_DAY, days, written, judge, lambda _: None)
    assert written
    assert plan.num_rows
    assert server.paths == []


def test_a_fault_of_the_server_is_reported_and_written_variants_are_kept(
    openai: dict[str, str], server: WriterServer, tmp_path: Path
) -> None:
    metadata, before, _ = synthetic(openai)
    assert "fault" not in metadata
    server.reply = lambda body: error_answer(401)
    one_more = Path(openai["CACHEWARM_BASE_QUERIES"]).read_text() + "\n  - {query: Is a leek a fruit, response: No.}"
    bases_file(tmp_path, one_more)
    metadata, table, _ = synthetic(openai)
    assert "refused the key (HTTP 401)" in metadata["fault"]
    assert KEY not in metadata["fault"]
    assert table.equals(before)
    assert metadata["left_out"]["not_written"] == 1
    assert metadata["bases_configured"] == 2


def test_a_fault_is_a_warning_in_the_log_of_the_run(openai: dict[str, str], server: WriterServer) -> None:
    server.reply = lambda body: error_answer(401)
    with environment(openai), dg.instance_for_test() as instance:
        from cachewarm_pipeline.definitions import defs

        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key=DAY, asset_selection=[dg.AssetKey("synthetic_variants")]
        )
        warned = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == logging.WARNING]
    assert result.success
    assert [line for line in warned if "variants are missing" in line and "HTTP 401" in line]


def test_a_fault_while_answers_are_asked_for_leaves_the_variants_of_the_other_bases(
    openai: dict[str, str], server: WriterServer
) -> None:
    _, reused, _ = synthetic(openai)
    server.reply = lambda body: wordy(body) if "n" in asked(body) else error_answer(401)
    metadata, table, _ = synthetic(openai, CACHEWARM_SYNTHETIC_RESPONSES="generate")
    assert "refused the key" in metadata["fault"]
    assert set(reused["entry_id"].to_pylist()) <= set(table["entry_id"].to_pylist())
    assert "Is pineapple a fruit?" not in table["base_prompt"].to_pylist()
    assert metadata["left_out"]["no_response"] == 1


def test_the_settings_limit_the_distance_of_a_variant(values: dict[str, str]) -> None:
    _, table, _ = synthetic(
        values,
        CACHEWARM_LLM="recorded",
        CACHEWARM_VARIANT_MIN_DISTANCE="0.1",
        CACHEWARM_VARIANT_MAX_DISTANCE="0.3",
    )
    assert table.num_rows
    assert 0.1 <= pc.min(table["base_distance"]).as_py() <= pc.max(table["base_distance"]).as_py() <= 0.3


def test_the_report_says_what_wrote_the_variants() -> None:
    def report(metadata: dict[str, Any]) -> Any:
        return build_report(
            as_of=DAY,
            generation=None,
            published=False,
            blocked_by=[],
            reason=None,
            budget=1,
            metadata={"synthetic_variants": metadata},
            excluded={},
            match_rules=[],
            curve=[],
            timings={},
            seconds=0,
        )

    made = {"llm": "recorded", "llm_model": "m", "dagster/row_count": 7, "generation_tokens": 0, "generation_usd": 0.0}
    assert report(made)["synthetic"] == {"llm": "recorded", "model": "m", "variants": 7, "fault": None}
    assert report(made)["cost"]["generation_tokens"] == 0
    none = report({"dagster/row_count": 0, "why_none": "nothing writes variants"})
    assert none["synthetic"] == {"llm": None, "model": None, "variants": 0, "fault": None}
    assert report({**made, "fault": "no server"})["synthetic"]["fault"] == "no server"
    assert none["cost"]["generation_tokens"] is None
    assert none["cost"]["generation_usd"] is None
