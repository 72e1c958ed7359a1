"""Between datasets and learning: disjoint parts, entries in the plan's order, labels by the judge."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.certificate import Certificate
from cachewarm_client.learned_space import Space
from cachewarm_client.match_decision import packed_length, unpack
from cachewarm_client.match_features import FEATURES, VERSION
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.text import entry_id

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.match_rules.labelled_queries import CERTIFY, CHOOSE, FIT
from cachewarm_pipeline.match_rules.learn_rules import Evidence
from cachewarm_pipeline.match_rules.match_model_fit import Scorer
from cachewarm_pipeline.match_rules.rule_tables import agent_logs, evidence_table, vectors_table
from cachewarm_pipeline.match_rules.training import AgentLog
from cachewarm_pipeline.storage.schemas import LABELLED_QUERIES
from tests.support.cache_fakes import TrigramEmbedder, make_plan

PLAN = make_plan(
    [
        {"prompt": "first", "response": "yes", "agent_type": "a", "answer_group": "g"},
        {"prompt": "other agent", "response": "yes", "agent_type": "b", "answer_group": "h"},
        {"prompt": "second", "response": "no", "agent_type": "a", "answer_group": "i"},
        {"prompt": "third", "response": "Yes.", "agent_type": "a", "answer_group": "g"},
    ]
)


def query(prompt: str, response: str, part: str, agent_type: str = "a", frequency: int = 1) -> dict[str, Any]:
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": prompt,
        "response": response,
        "frequency": frequency,
        "last_day": None,
        "part": part,
    }


QUERIES = pa.Table.from_pylist(
    [
        query("asked to certify", "yes", CERTIFY, frequency=3),
        query("asked to choose", "no", CHOOSE),
        query("second", "no", CERTIFY),  # an entry: it is hit exactly
        query("asked to fit", "maybe", FIT),
        query("also to certify", "no", CERTIFY),
        query("of b", "no", FIT, agent_type="b"),
        query("of nobody", "no", CERTIFY, agent_type="c"),
    ],
    schema=pa.schema([f.with_nullable(True) for f in LABELLED_QUERIES]),
)
LOGS = {log.agent_type: log for log in agent_logs(PLAN, QUERIES, lambda t: TrigramEmbedder().embed(t), ExactJudge())}
A = ["first", "second", "third", "asked to certify", "asked to choose", "asked to fit", "also to certify"]


def prompts(log: AgentLog, rows: Any) -> list[str]:
    return [A[int(row)] for row in rows]


def test_the_certifying_part_certifies_and_only_the_others_train() -> None:
    log = LOGS["a"]
    assert log.entries == 3
    assert prompts(log, log.held_out) == ["asked to certify", "also to certify"]
    assert prompts(log, log.train) == ["asked to choose", "asked to fit"]
    assert not set(log.held_out.tolist()) & set(log.train.tolist())


def test_each_row_has_the_vector_and_words_of_its_own_prompt() -> None:
    log = LOGS["a"]
    np.testing.assert_array_equal(log.data.vectors, TrigramEmbedder().embed(A))
    assert [" ".join(words.order) for words in log.data.tokens] == A


def test_entries_keep_the_plans_answer_groups_and_trained_queries_join_them() -> None:
    groups = LOGS["a"].data.groups
    assert groups[0] == groups[2] != groups[1]
    assert groups[4] == groups[1]  # "no"
    assert groups[5] not in groups[[0, 1, 2, 4]]
    assert (groups[LOGS["a"].held_out] == -1).all()
    assert not set(groups[groups >= 0].tolist()) & set(LOGS["b"].data.groups.tolist())


def test_the_groups_of_the_plan_are_kept_even_where_the_judge_would_not_make_them() -> None:
    merged = PLAN.set_column(
        PLAN.schema.get_field_index("answer_group"), PLAN.schema.field("answer_group"), pa.array(["g", "h", "g", "g"])
    )
    (log, *_) = agent_logs(merged, QUERIES, lambda t: TrigramEmbedder().embed(t), ExactJudge())
    assert len(set(log.data.groups[:3].tolist())) == 1
    assert log.data.groups[4] == log.data.groups[0]


def test_labels_compare_the_querys_own_answer_with_the_entrys() -> None:
    same = LOGS["a"].data.same(np.array([3, 3, 6, 6]), np.array([0, 1, 0, 1]))
    assert same.tolist() == [True, False, False, True]


def test_an_agent_type_with_queries_and_no_entries_has_a_log_without_groups() -> None:
    log = LOGS["c"]
    assert (log.entries, len(log.held_out), len(log.train)) == (0, 1, 0)


def test_evidence_names_the_query_the_entry_and_the_label_of_each_row() -> None:
    log = LOGS["a"]
    seen = Evidence(
        log.held_out,
        np.array([2.0, -np.inf]),
        np.array([1, 0]),
        np.array([0, -1]),
        np.array([0.9, 0.3]),
        np.array([2, 0]),
        np.array([1, -1]),
    )
    rows = evidence_table(list(LOGS.values()), PLAN, QUERIES, {"a": seen}).to_pylist()
    assert [row["prompt"] for row in rows] == ["asked to certify", "also to certify"]
    assert (rows[0]["entry_prompt"], rows[0]["right"], rows[0]["frequency"]) == ("second", False, 3)
    assert (rows[0]["nearest_id"], rows[0]["nearest_right"]) == (entry_id("third", "a"), True)
    assert (rows[1]["score"], rows[1]["right"], rows[1]["nearest_right"]) == (None, None, None)


def test_vectors_belong_to_their_entries_and_only_agent_types_with_a_learned_rule_have_them() -> None:
    space = Space(np.eye(64, 4, dtype=np.float16))
    scorers = {
        name: Scorer(space, own := _half(np.arange(4 * n).reshape(n, 4)), own + _half(0.5), _half(np.arange(n)), {})
        for name, n in (("a", 3), ("b", 1))
    }
    proof = Certificate(0.05, 0.01, 0.9, 200, 0, 0.03, 400, 5)
    model = MatchModel(VERSION, 0.0, (0.0,) * len(FEATURES), 1.0)
    rules = MatchRules(MatchRule("", "exact_only"), {"a": MatchRule("a", "learned", None, True, model, proof)}, space)
    table = vectors_table([LOGS["a"], LOGS["b"]], PLAN, rules, scorers)
    assert table["entry_id"].to_pylist() == [entry_id(prompt, "a") for prompt in ("first", "second", "third")]
    places, reliability = unpack(table["rule_vectors"].to_pylist(), 4)
    np.testing.assert_array_equal(places[:, 0], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(places[:, 1], np.arange(12).reshape(3, 4) + 0.5)
    np.testing.assert_array_equal(reliability, [0, 1, 2])


def test_an_entry_has_a_reliability_even_without_a_learned_space() -> None:
    unlearned = Scorer.unlearned(3)
    proof = Certificate(0.05, 0.01, 0.9, 200, 0, 0.03, 400, 5)
    model = MatchModel(VERSION, 0.0, (0.0,) * len(FEATURES), 1.0)
    rules = MatchRules(MatchRule("", "exact_only"), {"a": MatchRule("a", "learned", None, True, model, proof)})
    table = vectors_table([LOGS["a"]], PLAN, rules, {"a": replace(unlearned, reliability=_half([1, -2, 3]))})
    assert unpack(table["rule_vectors"].to_pylist(), 0)[1].tolist() == [1, -2, 3]
    assert {len(text) for text in table["rule_vectors"].to_pylist()} == {packed_length(None)}


def _half(values: Any) -> Any:
    return np.asarray(values, np.float16)
