"""Held-out traffic against a recipe: which entry serves each query, and whether its own logged answer agrees."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_rules import MatchRule

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.proof.held_out_lookups import AgentRecipe, JudgeSame, replay_agent, traffic_by_agent_type
from cachewarm_pipeline.proof.replay_summary import summarise_replay
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS
from tests.support.cache_fakes import TrigramEmbedder, make_plan
from tests.support.window_days import FIRST, Days, Row, asked, said

ROTATE = "How do I rotate the signing key?"
NEAR = "how do i rotate the signing keys"
FAR = "what is the weather like in spring"
DAYS = [FIRST + timedelta(days=n) for n in range(2)]
PROOF = Certificate(0.05, 0.01, 0.9, 200, 0, 0.03, 400, 5)
BY_DISTANCE = MatchRule("a", "distance", 0.1, True, None, PROOF, PROOF)
EXACT_ONLY = MatchRule("a", "exact_only")
EXACT = ExactJudge()


def replayed(
    rule: MatchRule,
    *days: list[Row],
    skip: Sequence[str] = (),
    plan: pa.Table | None = None,
    same: JudgeSame = EXACT.same,
    steady: Sequence[str] = (),
) -> tuple[pa.Table, dict[str, Row], dict[str, object]]:
    plan = make_plan([{"prompt": ROTATE, "response": "so", "agent_type": "a"}]) if plan is None else plan
    embedder = TrigramEmbedder()
    traffic = traffic_by_agent_type(Days(*days)(DAILY_QUERY_COUNTS.names))["a"]
    asked_for: list[str] = []

    def vectors(numbers: Sequence[int]) -> np.ndarray:
        asked_for.extend(traffic.prompts[n] for n in numbers)
        return embedder.embed([traffic.prompts[n] for n in numbers])

    recipe = AgentRecipe(plan, embedder.embed(plan["prompt"].to_pylist()), rule, None)
    left = np.array([prompt in skip for prompt in traffic.prompts])
    rows, decisions = replay_agent("a", traffic, recipe, DAYS, vectors, left, same, steady)
    found = summarise_replay(rows, decisions, delta=0.05, seed=0)
    assert not set(asked_for) & set(skip)
    return rows, {row["prompt"]: row for row in decisions.to_pylist()}, found


def test_exact_semantic_and_missed_queries_are_counted_as_such() -> None:
    day = [
        asked("how do i rotate the signing key", 5, said("so", 5), prompt=ROTATE),
        asked(NEAR, 3, said("so", 3)),
        asked(FAR, 2, said("mild", 2)),
    ]
    rows, decisions, found = replayed(BY_DISTANCE, day, day)
    assert (rows["exact_hits"].to_pylist(), rows["semantic_hits"].to_pylist()) == ([5, 5], [3, 3])
    assert rows["own_hits"].to_pylist() == [1, 2]  # the far one is stored at its first miss
    assert rows["cold_hits"].to_pylist() == [4 + 3 + 1, 5 + 3 + 2]  # the cold cache answers the near one by distance
    assert {prompt: row["kind"] for prompt, row in decisions.items()} == {ROTATE: "exact", NEAR: "semantic"}
    assert (found["wrong_hits"], found["judged_hits"], found["hits"]) == (0, 16, 16)


def test_a_logged_answer_that_differs_from_the_served_one_is_a_wrong_hit_with_its_weight() -> None:
    day = [asked(NEAR, 4, said("so", 1), said("otherwise", 3))]
    _, decisions, found = replayed(BY_DISTANCE, day)
    assert (decisions[NEAR]["judged"], decisions[NEAR]["wrong"]) == (4, 3)
    assert found["semantic_wrong_hit_rate"] == 0.75
    assert decisions[NEAR]["served_response"] == "so"


def test_an_exact_hit_is_not_wrong_for_wording_alone_and_a_semantic_hit_is_judged_strictly() -> None:
    calls: list[JudgeUse] = []

    def same(pairs: Sequence[AnswerPair], use: JudgeUse, /) -> np.ndarray:
        calls.append(use)
        return np.array([use is JudgeUse.CHANGED and pair.left == "so it is" for pair in pairs], bool)

    day = [
        asked("how do i rotate the signing key", 5, said("so it is", 3), said("otherwise", 2), prompt=ROTATE),
        asked(NEAR, 3, said("so it is", 3)),
    ]
    _, decisions, _ = replayed(BY_DISTANCE, day, same=same)
    assert {row["kind"]: (row["judged"], row["wrong"]) for row in decisions.values()} == {
        "exact": (5, 2),
        "semantic": (3, 3),
    }
    assert calls == [JudgeUse.CHANGED, JudgeUse.LABEL]


def test_answers_of_an_earlier_cache_count_as_demand_not_as_evidence() -> None:
    _, _, found = replayed(BY_DISTANCE, [asked(NEAR, 4, cache_hits=4)])
    assert (found["lookups"], found["hits"], found["judged_hits"]) == (4, 4, 0)
    assert found["wrong_hit_rate"] is None


def test_exact_only_embeds_nothing_and_has_no_semantic_hit() -> None:
    rows, decisions, _ = replayed(EXACT_ONLY, [asked(NEAR, 3, said("so", 3))], skip=[NEAR])
    assert rows["semantic_hits"].to_pylist() == [0, 0]
    assert rows["own_hits"].to_pylist() == [2, 0]
    assert decisions == {}


def test_personal_prompts_are_not_embedded_and_count_as_misses() -> None:
    rows, _, _ = replayed(BY_DISTANCE, [asked(NEAR, 1, said("so")), asked(FAR, 1, said("x"))], skip=[NEAR])
    assert rows["semantic_hits"].to_pylist() == [0, 0]
    assert rows["lookups"].to_pylist() == [2, 0]


def test_an_agent_type_without_entries_is_a_cold_cache() -> None:
    empty = make_plan([{"prompt": ROTATE, "agent_type": "a"}]).slice(0, 0)
    rows, _, found = replayed(EXACT_ONLY, [asked(NEAR, 3, said("so", 3))], plan=empty)
    assert rows["warmed_hits"].to_pylist() == rows["cold_hits"].to_pylist() == [2, 0]
    assert found["lift"] == 0


def test_an_exact_hit_is_wrong_only_where_the_answers_of_its_query_change() -> None:
    plan = make_plan([{"prompt": ROTATE, "response": "so", "agent_type": "a", "source": "query_log"}])
    day = [asked("how do i rotate the signing key", 4, said("in other words", 4), prompt=ROTATE)]
    changed, _, _ = replayed(EXACT_ONLY, day, plan=plan)
    merely_varies, _, _ = replayed(EXACT_ONLY, day, plan=plan, steady=plan["entry_id"].to_pylist())
    golden = plan.set_column(plan.column_names.index("source"), "source", pa.array(["golden"]))
    reviewed, _, _ = replayed(EXACT_ONLY, day, plan=golden, steady=plan["entry_id"].to_pylist())
    assert [table["exact_wrong"][0].as_py() for table in (changed, merely_varies, reviewed)] == [4, 0, 4]
    assert merely_varies["exact_judged"][0].as_py() == 4
