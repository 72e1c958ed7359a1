"""A publish needs the gates' stored verdicts on exactly its plan, so a separate run cannot bypass them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.certificate import Certificate
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import FEATURES, VERSION
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.lineage.workspace_resource import WorkspaceResource
from cachewarm_pipeline.match_rules.rule_tables import rules_table
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.proof.gate_verdict import GateVerdict
from cachewarm_pipeline.proof.gate_verdict_store import gate_limits, passed_verdict, publishable_plan, store_verdict
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.schemas import GATES, MATCH_VECTORS
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.cache_fakes import DAY, PLAN, make_plan
from tests.support.pipeline import environment

PROOF = Certificate(0.05, 0.01, 0.9, 200, 0, 0.03, 400, 5)
RULES = MatchRules(
    MatchRule("", "exact_only"),
    {name: MatchRule(name, "distance", 0.1, True, None, PROOF, PROOF) for name in ("auditor", "planner")},
)


@pytest.fixture
def workspace(tmp_path: Path, redis_url: str, cache_name: str) -> Iterator[Workspace]:
    """A home whose day has a plan, its vectors and match rules, and no verdict yet."""
    values = {
        "CACHEWARM_HOME": str(tmp_path),
        "CACHEWARM_SOURCE_URL": str(tmp_path),
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_NAME": cache_name,
    }
    with environment(values):
        workspace = Workspace()
        write_plan(workspace, make_plan(PLAN))
        yield workspace


def write_plan(workspace: Workspace, plan: pa.Table, rules: MatchRules = RULES) -> None:
    from cachewarm_client.text import embedding_key

    model = workspace.embedder.info.id
    keys = [embedding_key(model, prompt) for prompt in plan["prompt"].to_pylist()]
    at = plan.schema.get_field_index("embedding_key")
    plan = plan.set_column(at, plan.schema.field(at), pa.array(keys))
    embed_new_texts(workspace.embedder, workspace.vectors, plan["prompt"].to_pylist())
    workspace.datasets.write("warming_plan", DAY, plan)
    workspace.datasets.write("match_rules", DAY, rules_table(rules))
    workspace.datasets.write("match_vectors", DAY, MATCH_VECTORS.empty_table())


def judge(workspace: Workspace, gate: str, verdict: GateVerdict | None = None) -> None:
    plan, rules = publishable_plan(workspace.datasets, DAY)
    whole, entries = plan_hash(plan, rules.as_dict()), plan_hash(plan.drop_columns([RULE_VECTORS]))
    judged = whole if gate == "false_positive_rate" else entries
    verdict = verdict or GateVerdict(True, "all is well")
    store_verdict(workspace.datasets, gate, DAY, judged, gate_limits(workspace.settings, gate), verdict)


def publish() -> tuple[bool, str]:
    """Runs the publishing asset alone, as a person could in the UI; whether it succeeded, and its error."""
    from cachewarm_pipeline.publishing.assets import cache_entries

    upstream = ("warming_plan", "embeddings", "match_rules", "replay")
    result = dg.materialize(
        [cache_entries, *(dg.AssetSpec(name, partitions_def=cache_entries.partitions_def) for name in upstream)],
        selection=["cache_entries"],
        partition_key=DAY.isoformat(),
        resources={"workspace": WorkspaceResource()},
        raise_on_error=False,
    )
    if result.success:
        return True, ""
    failure: Any = result.failure_data_for_node("cache_entries")
    return False, str(failure.error)


@pytest.mark.parametrize("missing", GATES)
def test_a_gate_that_has_not_judged_stops_the_publish(workspace: Workspace, missing: str) -> None:
    for gate in GATES:
        if gate != missing:
            judge(workspace, gate)
    done, error = publish()
    assert not done
    assert f"{missing}: it has not judged the plan of {DAY}" in error
    assert workspace.cache.live() is None


@pytest.mark.parametrize("failing", GATES)
def test_a_failed_gate_stops_the_publish_with_its_sentence(workspace: Workspace, failing: str) -> None:
    for gate in GATES:
        judge(workspace, gate, GateVerdict(False, "three of them are wrong") if gate == failing else None)
    done, error = publish()
    assert not done
    assert f"{failing}: three of them are wrong" in error
    assert workspace.cache.live() is None


def test_a_verdict_about_another_plan_does_not_count(workspace: Workspace) -> None:
    for gate in GATES:
        judge(workspace, gate)
    write_plan(workspace, make_plan([{**PLAN[0], "response": "something else"}]))
    done, error = publish()
    assert not done
    assert "is about another plan" in error


def test_a_verdict_about_other_rules_does_not_count(workspace: Workspace) -> None:
    for gate in GATES:
        judge(workspace, gate)
    write_plan(workspace, make_plan(PLAN), MatchRules(MatchRule("", "exact_only")))
    done, error = publish()
    assert not done
    assert "false_positive_rate: its verdict" in error


def test_a_verdict_about_other_positions_in_the_learned_space_does_not_count(workspace: Workspace) -> None:
    for gate in GATES:
        judge(workspace, gate)
    ids = workspace.datasets.read("warming_plan", DAY)["entry_id"].to_pylist()
    moved = pa.table({"entry_id": ids, "rule_vectors": ["AAAA"] * len(ids)})
    workspace.datasets.write("match_vectors", DAY, moved)
    done, error = publish()
    assert not done
    assert "false_positive_rate: its verdict" in error


def test_a_verdict_about_other_word_weights_does_not_count(workspace: Workspace) -> None:
    rules = MatchRules(MatchRule("", "exact_only"), words={"revoke": -1.0})
    write_plan(workspace, make_plan(PLAN), rules)
    for gate in GATES:
        judge(workspace, gate)
    write_plan(workspace, make_plan(PLAN), replace(rules, words={"revoke": -1.001}))
    done, error = publish()
    assert not done
    assert "false_positive_rate: its verdict" in error


def test_a_learned_rule_whose_entries_have_no_positions_is_refused(workspace: Workspace) -> None:
    model = MatchModel(VERSION, 0.0, (0.0,) * len(FEATURES), 1.0)
    learned = MatchRule("auditor", "learned", None, True, model, PROOF)
    space = Space(np.zeros((384, 4), np.float16))
    write_plan(workspace, make_plan(PLAN), MatchRules(MatchRule("", "exact_only"), {"auditor": learned}, space))
    done, error = publish()
    assert not done
    assert "no position in the learned space" in error


def test_a_verdict_under_a_looser_target_does_not_count(workspace: Workspace) -> None:
    for gate in GATES:
        judge(workspace, gate)
    with environment({**_here(), "CACHEWARM_MAX_WRONG_HIT_RATE": "0.01"}):
        done, error = publish()
    assert not done
    assert "other limits" in error


def _here() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name.startswith("CACHEWARM_")}


def test_a_plan_that_passes_all_gates_is_published_and_a_withheld_agent_type_serves_exact_hits_only(
    workspace: Workspace,
) -> None:
    for gate in GATES:
        withheld = {"planner": "it looked bad"} if gate == "false_positive_rate" else {}
        judge(workspace, gate, GateVerdict(True, "planner looked bad", withheld=withheld, warning=bool(withheld)))
    assert publish() == (True, "")
    live = workspace.cache.live()
    assert live is not None
    rules = live.match_rules
    assert rules.for_agent_type("auditor").rule == "distance"
    assert (rules.for_agent_type("planner").rule, rules.for_agent_type("planner").why) == (
        "exact_only",
        "withheld by false_positive_rate: planner looked bad",
    )


def test_a_stored_verdict_reads_back_and_a_newer_one_replaces_it(tmp_path: Path) -> None:
    store = DatasetStore(str(tmp_path))
    gate, limits = GATES[0], {"floors": {"golden": 0.8}}
    store_verdict(store, gate, DAY, "h", limits, GateVerdict(True, "fine", withheld={"b": "x", "a": "y"}))
    assert passed_verdict(store, gate, DAY, "h", limits) == dict.fromkeys(["a", "b"], f"withheld by {gate}: fine")
    store_verdict(store, gate, DAY, "h", limits, GateVerdict(False, "not fine"))
    with pytest.raises(CacheError, match=f"{gate}: not fine"):
        passed_verdict(store, gate, DAY, "h", limits)
