"""Selection by coverage: what earns a place, and the reason why each other candidate is excluded."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.text import entry_id
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.match_rules.hit_probability_curve import NEVER, HitProbability, certain_within, fit_curve
from cachewarm_pipeline.match_rules.labelled_queries import CERTIFY, SHARES, part_of
from cachewarm_pipeline.planning import entry_selection as selection_module
from cachewarm_pipeline.planning.entry_selection import (
    MAX_SOURCE_ORDER_COST,
    THIN_LOG_QUERIES,
    Selected,
    budget_places,
    coverage_graph,
    select,
)
from cachewarm_pipeline.planning.expected_demand import agent_demands
from cachewarm_pipeline.planning.gain_curves import curve_table, gain_curves, next_entries_sentence
from cachewarm_pipeline.planning.greedy_coverage import greedy_by_places
from cachewarm_pipeline.query_log.day_weights import day_weights
from cachewarm_pipeline.settings.selection_limits import Limits
from cachewarm_pipeline.storage.schemas import LABELLED_QUERIES

Row = dict[str, Any]
NEAR = certain_within(0.25)
TODAY = date(2026, 11, 24)


class World:
    """Texts on a circle: the number after the "@" of a text is its position in degrees."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.queries: list[Row] = []

    def candidate(self, text: str, response: str, source: str = "query_log", agent: str = "a", **more: Any) -> None:
        row = {"entry_id": entry_id(text, agent), "agent_type": agent, "prompt": text, "response": response}
        self.rows.append({**row, "source": source, "demand": 0.0, "cost_usd": None, "embedding_key": text, **more})

    def asked(
        self,
        text: str,
        response: str,
        demand: float,
        agent: str = "a",
        part: str = "fit",
        times: int = 1000,
        **more: Any,
    ) -> None:
        row = {"entry_id": entry_id(text, agent), "agent_type": agent, "prompt": text, "response": response}
        row |= {
            "frequency": times,
            "demand": demand,
            "stands_for": 1.0,
            "cost_usd": None,
            "last_day": TODAY,
            "part": part,
        }
        self.queries.append(row | more)

    def both(self, text: str, response: str, demand: float, source: str = "query_log", **more: Any) -> None:
        self.candidate(text, response, source, more.get("agent", "a"))
        self.asked(text, response, demand, **more)

    def demands(self) -> list:
        labelled = pa.Table.from_pylist(self.queries, schema=LABELLED_QUERIES)
        return agent_demands(self.rows, labelled, vectors, vectors, ExactJudge())

    def chosen(self, limits: Limits, curve: HitProbability = NEAR) -> tuple[list[str], dict[ExclusionReason, int]]:
        found = self.select(limits, curve)
        return [self.rows[place]["prompt"] for place in found.positions], dict(found.excluded)

    def select(self, limits: Limits, curve: HitProbability = NEAR) -> Selected:
        demands = self.demands()
        graph, _ = coverage_graph(demands, budget_places(self.rows, limits.entry_bytes), lambda _: curve)
        return select(self.rows, graph, demands, limits)


def vectors(texts: Sequence[str]) -> np.ndarray:
    angles = np.radians([float(text.rpartition("@")[2]) for text in texts])
    return np.stack((np.cos(angles), np.sin(angles)), 1).astype(np.float32)


def test_an_entry_that_answers_other_wordings_wins_over_one_that_is_asked_more_often() -> None:
    world = World()
    world.both("loud@0", "x", 10)
    for place, demand in ((90, 4), (92, 4), (94, 4)):
        world.both(f"wording@{place}", "y", demand)
    assert world.chosen(Limits(1))[0][0].startswith("wording")
    assert world.chosen(Limits(1), NEVER)[0] == ["loud@0"]  # exact hits only: what is asked most


def test_near_texts_of_another_answer_are_not_covered() -> None:
    world = World()
    world.both("a@0", "x", 5)
    world.both("b@2", "y", 4)
    assert world.chosen(Limits(2, floor=0.5))[0] == ["a@0", "b@2"]


def test_a_wording_that_is_already_covered_is_excluded_below_the_floor() -> None:
    world = World()
    world.both("a@0", "x", 5)
    world.both("b@2", "x", 4)
    prompts, excluded = world.chosen(Limits(10, floor=0.5))
    assert (prompts, excluded) == (["a@0"], {ExclusionReason.BELOW_FLOOR: 1})


def test_a_candidate_that_nobody_asks_for_is_excluded_for_no_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_module, "THIN_LOG_QUERIES", 1)
    world = World()
    world.both("a@0", "x", 5)
    world.candidate("unasked@120", "z", "golden")
    assert world.chosen(Limits(10)) == (["a@0"], {ExclusionReason.NO_DEMAND: 1})


def test_golden_wins_over_the_log_and_the_log_over_synthetic_where_they_answer_the_same() -> None:
    world = World()
    world.candidate("golden@3", "x", "golden")
    world.candidate("synthetic@1", "x", "synthetic")
    world.candidate("log@0", "x")
    world.asked("rare@2", "x", 5)
    world.asked("rare@179", "z", 1)
    assert world.chosen(Limits(1))[0] == ["golden@3"]
    world.rows = world.rows[1:]
    assert world.chosen(Limits(1))[0] == ["log@0"]


def test_golden_does_not_crowd_out_what_is_asked_far_more() -> None:
    world = World()
    world.both("golden@0", "x", 1, "golden")
    for place in (90, 180):
        world.both(f"log@{place}", f"{place}", 50)
    assert set(world.chosen(Limits(2))[0]) == {"log@90", "log@180"}
    assert world.chosen(Limits(3))[1] == {}


def test_a_variant_is_warmed_only_for_what_the_log_does_not_cover() -> None:
    world = World()
    world.both("base@0", "x", 10)
    world.candidate("near variant@5", "x", "synthetic")
    world.candidate("far variant@60", "x", "synthetic")
    world.asked("rare@70", "x", 3)
    prompts, excluded = world.chosen(Limits(10, floor=0.1))
    assert prompts == ["base@0", "far variant@60"]
    assert excluded == {ExclusionReason.BELOW_FLOOR: 1}


def test_answers_of_certifying_queries_do_not_choose_entries() -> None:
    """The entries are the same whatever a certifying query's own answer is."""

    def plan(answer: str) -> list[str]:
        world = World()
        world.both("a@0", "x", 5)
        world.both("b@20", "x", 4, part="certify")
        world.queries[-1]["response"] = answer
        world.rows[-1]["response"] = "x"
        world.asked("c@22", answer, 3, part="certify")
        world.both("d@90", "z", 1)
        return world.chosen(Limits(2))[0]

    assert plan("x") == plan("y")


def test_training_queries_stand_for_the_rare_texts_of_the_certifying_part() -> None:
    world = World()
    world.both("a@0", "x", 0)
    world.asked("rare@1", "x", 1)
    (demand,) = world.demands()
    assert demand.lookups.sum() == pytest.approx(1 / (1 - SHARES[CERTIFY]))


def test_half_of_the_demand_of_a_text_asked_once_is_expected_to_repeat() -> None:
    world = World()
    world.both("once@0", "x", 1, times=1, part="certify")
    world.both("ten times@90", "y", 1, times=10, part="certify")
    (demand,) = world.demands()
    assert demand.lookups[:2] == pytest.approx([0.5, 0.9])


def test_expensive_calls_weigh_more_than_cheap_ones() -> None:
    world = World()
    world.both("cheap@0", "x", 5, cost_usd=0.001)
    world.both("expensive@90", "y", 4, cost_usd=0.01)
    assert world.chosen(Limits(1), NEVER)[0] == ["expensive@90"]


def test_a_large_response_takes_several_places() -> None:
    world = World()
    world.both("large@0", "x" * 25_000, 5)
    world.both("small@90", "y", 4)
    world.both("other@180", "z", 3)
    assert budget_places(world.rows, 8192).tolist() == [4, 1, 1]
    assert world.chosen(Limits(2))[0] == ["small@90", "other@180"]
    assert world.chosen(Limits(4))[0] == ["small@90", "other@180"]


def test_a_quota_reserves_and_limits_places_and_its_unused_places_are_shared() -> None:
    world = World()
    for place in (0, 90, 180):
        world.both(f"loud@{place}", f"{place}", 50, agent="loud")
        world.both(f"quiet@{place}", f"{place}", 1, agent="quiet")
    prompts, excluded = world.chosen(Limits(4, {"quiet": 2}))
    assert len(prompts) == 4
    assert sum(p.startswith("quiet") for p in prompts) == 2
    assert excluded == {ExclusionReason.OVER_BUDGET: 1, ExclusionReason.OVER_QUOTA: 1}
    prompts, _ = world.chosen(Limits(4, {"loud": 1}))
    assert sum(p.startswith("loud") for p in prompts) == 1
    assert len(prompts) == 4  # quiet takes the rest
    assert len(world.chosen(Limits(6, {"quiet": 5}))[0]) == 6  # of 5 kept places 2 are free for others


@pytest.mark.parametrize(
    ("budget", "quotas", "message"),
    [(0, {}, "budget"), (5, {"a": -1}, "below 0"), (5, {"a": 3, "b": 3}, "over the budget")],
)
def test_impossible_limits_name_the_setting_to_change(budget: int, quotas: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Limits(budget, quotas)


def test_a_cold_start_warms_golden_by_confidence_behind_what_is_asked() -> None:
    world = World()
    for place in (0, 90, 180):
        world.candidate(f"golden@{place}", f"{place}", "golden", agent="new")
    world.candidate("variant@181", "180", "synthetic", agent="new")
    world.both("log@0", "x", 1)
    prompts, excluded = world.chosen(Limits(3, floor=0.5))
    assert prompts == ["log@0", "golden@0", "golden@90"]
    assert excluded == {ExclusionReason.OVER_BUDGET: 1, ExclusionReason.NO_DEMAND: 1}
    kept = {ExclusionReason.OVER_QUOTA: 2, ExclusionReason.NO_DEMAND: 1}
    assert world.chosen(Limits(3, {"new": 1}, floor=0.5)) == (["log@0", "golden@0"], kept)
    # A variant that answers nothing that was asked stays out, whatever room there is.
    assert world.chosen(Limits(9, floor=0.5))[1] == {ExclusionReason.NO_DEMAND: 1}


def test_the_first_lookups_of_a_tenant_do_not_end_its_cold_start() -> None:
    world = World()
    for place in (0, 90, 180):
        world.candidate(f"golden@{place}", f"{place}", "golden", agent="new")
    world.asked("a first question@45", "45", 0.1, agent="new")
    assert len(world.chosen(Limits(9, floor=0.5))[0]) == 3
    for number in range(THIN_LOG_QUERIES):
        world.asked(f"question {number}@{200 + number}", "other", 0.1, agent="new")
    assert world.chosen(Limits(9, floor=0.5)) == ([], {ExclusionReason.NO_DEMAND: 3})


def test_admitting_golden_first_costs_at_most_a_hundredth_of_the_hits() -> None:
    """Two golden answers together cover what one log answer covers alone."""
    world = World()
    world.candidate("golden@0", "x", "golden")
    world.candidate("other golden@40", "x", "golden")
    world.candidate("hub@20", "x")
    world.candidate("lone@180", "z")
    for place in (-20, -19, 19, 20, 21, 59, 60):
        world.asked(f"rare@{place}", "x", 5)
    world.asked("lone@181", "z", 3)
    assert set(world.chosen(Limits(2))[0]) == {"hub@20", "lone@180"}


def test_large_log_answers_that_do_not_fill_the_budget_exactly_are_not_crowded_out() -> None:
    world = World()
    for place in range(5):
        world.both(f"golden@{place * 30}", f"{place}" + "g" * 9_000, 0.05, "golden")
        world.both(f"log@{180 + place * 30}", f"{place}" + "l" * 17_000, 10)
    assert sum(prompt.startswith("log") for prompt in world.chosen(Limits(10))[0]) == 3


worlds = st.lists(
    st.tuples(
        st.integers(0, 359),
        st.sampled_from("xyz"),
        st.sampled_from(("golden", "query_log", "synthetic")),
        st.sampled_from("ab"),
        st.floats(0, 20),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda each: (each[0], each[3]),
)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 30), st.floats(0, 3), st.booleans(), st.integers(0, 5))
def test_every_candidate_is_chosen_once_or_excluded_with_one_reason(
    texts: list, budget: int, floor: float, semantic: bool, quota: int
) -> None:
    world = World()
    for degrees, answer, source, agent, demand in texts:
        text = f"t@{degrees}"
        world.candidate(text, answer, source, agent)
        if demand > 1:
            world.asked(text, answer, demand, agent, part_of(entry_id(text, agent)), times=7)
    limits = Limits(budget, {"a": min(quota, budget)} if quota else {}, floor)
    found = world.select(limits, NEAR if semantic else NEVER)
    assert len(found.positions) == len(set(found.positions)) <= budget
    assert len(found.positions) + found.excluded.total() == len(world.rows)
    assert all(later <= earlier + 1e-6 for earlier, later in zip(found.gains, found.gains[1:], strict=False))
    if quota:
        assert sum(world.rows[place]["agent_type"] == "a" for place in found.positions) <= min(quota, budget)
    assert found == world.select(limits, NEAR if semantic else NEVER)
    if not quota:
        demands = world.demands()
        graph, _ = coverage_graph(demands, budget_places(world.rows, 8192), lambda _: NEAR if semantic else NEVER)
        nothing = np.zeros(len(graph.weight))
        best = greedy_by_places(graph, range(len(world.rows)), budget, max(floor, 1e-9), nothing)
        assert graph.value(found.positions) >= (1 - MAX_SOURCE_ORDER_COST) * sum(best.gains) - 1e-9


def test_the_curves_agree_with_the_plan_and_continue_past_it() -> None:
    world = World()
    for place in range(0, 360, 30):
        world.both(f"t@{place}", f"{place}", 1 + place / 30)
    demands = world.demands()
    graph, lookups = coverage_graph(demands, budget_places(world.rows, 8192), lambda _: NEAR)
    selected = select(world.rows, graph, demands, Limits(5))
    found = gain_curves(world.rows, graph, lookups, selected, demands, np.random.default_rng(0))
    assert found.entries == 5
    assert found.hits(5) == pytest.approx(sum(selected.gains))
    assert len(found.plan) == 12
    assert found.plan[-1] == pytest.approx(found.frequency[-1]) == pytest.approx(found.random[-1])
    assert (found.plan + 1e-9 >= found.frequency).all()
    assert next_entries_sentence(found) == (
        f"The 7 remaining candidates would add {found.next_hits:,.1f} hits a day "
        f"({found.next_hits / found.lookups:.1%} of the lookups)."
    )
    table = curve_table(found).to_pylist()
    assert [row["entries"] for row in table if row["planned"]][-1] == 5
    assert table[-1]["entries"] == 12


def test_recent_days_weigh_more_and_all_weights_add_up_to_one_day() -> None:
    days = [TODAY - timedelta(days=back) for back in range(30)]
    weights = day_weights(days, TODAY, 14)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights[days[14]] == pytest.approx(weights[days[0]] / 2)
    assert day_weights([TODAY], TODAY, 14) == {TODAY: 1.0}


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), max_size=80))
def test_a_hit_probability_curve_never_falls_and_stays_within_0_and_1(outcomes: list[tuple[float, bool]]) -> None:
    curve = fit_curve(np.array([c for c, _ in outcomes], np.float32), np.array([y for _, y in outcomes], bool))
    chances = curve(np.linspace(-1, 1, 50))
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (np.diff(chances) >= -1e-12).all()


def test_a_step_is_certain_within_its_radius_and_never_outside() -> None:
    curve = certain_within(0.25)
    assert curve(np.array([0.751, 0.749])) == pytest.approx([1.0, 0.0], abs=1e-3)
    assert (NEVER(np.array([1.0, 0.5])) == 0).all()
