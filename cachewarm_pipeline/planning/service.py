"""The plan of a day, used by the asset ``warming_plan`` and by the replay. Reads and decides, never writes.

Selection takes two passes: which queries an entry answers depends on the match rules, and the match rules depend on the
entries. First pass: an entry answers texts with the same answer within a radius. From the resulting plan the match
rules are predicted, using only the training part of the log. Second pass: an entry answers what those rules would
serve; where no rule is likely to be certified, it answers only its own text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.service import age_limits, current_sources, withdrawn_entries
from cachewarm_pipeline.freshness.stale_answers import AdmissionContext, Admitted, admit, stamp
from cachewarm_pipeline.freshness.stored_payback import idle_entry_ids, stored_payback
from cachewarm_pipeline.freshness.withdrawn_entries import active_rows, near_withdrawn, withdrawn_answers
from cachewarm_pipeline.match_rules.expected_hit_probability import expected_hit_probability
from cachewarm_pipeline.match_rules.hit_probability_curve import NEVER, HitProbability, certain_within
from cachewarm_pipeline.match_rules.rule_tables import agent_logs
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.planning.candidate_row import CandidateRow
from cachewarm_pipeline.planning.entry_selection import Selected, budget_places, coverage_graph, select
from cachewarm_pipeline.planning.expected_demand import AgentDemand, agent_demands
from cachewarm_pipeline.planning.gain_curves import GainCurves, gain_curves
from cachewarm_pipeline.planning.warming_plan import Plan, build_plan, by_frequency, plan_table
from cachewarm_pipeline.ports import Judge, Ports, Progress
from cachewarm_pipeline.settings.selection_limits import Limits

RANDOM_ORDER_SEED = 0
"""Seed of the random order on the gain curves: the same candidates give the same picture."""


@dataclass(frozen=True)
class SecondPass:
    """What the second pass changed."""

    new_entries: int
    """Entries of the plan that the first pass did not choose."""
    first_pass_hits: float
    """Expected hits a day of the first pass's entries under the predicted rules."""
    semantic_agent_types: list[str]
    """Agent types whose entries are expected to answer more than their own text."""


@dataclass(frozen=True)
class PlannedDay:
    """The plan of a day. With ``selection`` set to ``frequency`` there are no curves, second pass or agent rows."""

    plan: Plan
    admitted: Admitted
    """What happened to candidates with a stale, refreshed or withdrawn answer, and to idle ones."""
    curves: GainCurves | None = None
    second_pass: SecondPass | None = None
    agent_rows: tuple[dict[str, Any], ...] = ()
    """One row per agent_type: its places of the budget and its expected hits."""


def plan_day(
    ports: Ports,
    day: date,
    candidates: Sequence[pa.Table],
    labelled: pa.Table,
    embedded: set[str],
    judge: Judge,
    progress: Progress,
) -> PlannedDay:
    """The entries of a day. ``candidates``: tables in the order of admission; ``labelled``: the day's LABELLED_QUERIES;
    ``embedded``: embedding keys of the prompts that have vectors."""
    settings = ports.settings
    known = replace(standing(ports, day), limits=age_limits(ports, day))
    if known.withdrawn:
        known = replace(known, withdrawn=_with_paraphrases(ports, known.withdrawn, candidates, embedded))
    admitted = admit(candidates, known, judge.same)
    coverage = _CoverageSelection(ports, labelled, judge, progress) if settings.selection == "coverage" else None
    plan = build_plan(
        admitted.tables,
        model_id=ports.embedder.info.id,
        embedded=embedded,
        floors=settings.floors,
        select=coverage or by_frequency(settings.budget),
        judge=judge,
        vectors_of=ports.vectors.get,
    )
    plan = replace(plan, table=stamp(plan.table, known), excluded=plan.excluded + admitted.excluded)
    if coverage is None:
        return PlannedDay(plan, admitted)
    return PlannedDay(plan, admitted, coverage.curves, coverage.second_pass, coverage.agent_rows)


def standing(ports: Ports, day: date) -> AdmissionContext:
    """What is known about answers when the plan of a day is made.

    This is the newest answer checks up to that day, the provenance of the previous plan's entries, the entries that
    earned nothing by then, and all withdrawals, whatever their date: an answer that is known to be wrong today is not
    warmed for a past day either.
    """
    datasets, settings = ports.datasets, ports.settings
    checked, before = datasets.newest("answer_checks", day), datasets.newest("warming_plan", day - timedelta(1))
    rows = datasets.read("answer_checks", checked).to_pylist() if checked else []
    plan = datasets.read("warming_plan", before, ["entry_id", "provenance"]).to_pylist() if before else []
    earned = stored_payback(datasets, day, ["entry_id", "left_on"])
    return AdmissionContext(
        current_sources(ports),
        {row["entry_id"]: row for row in rows},
        withdrawn_answers(withdrawn_entries(datasets)),
        {row["entry_id"]: AnswerProvenance.of(row["provenance"]) for row in plan},
        settings.stale_entries == "keep",
        idle=idle_entry_ids(earned) if settings.idle_days and earned else frozenset(),
    )


def _with_paraphrases(
    ports: Ports, withdrawn: Mapping[str, Sequence[str]], candidates: Sequence[pa.Table], embedded: set[str]
) -> dict[str, list[str]]:
    """The withdrawn answers by entry_id, extended to candidates that paraphrase a withdrawn prompt (within
    ``coverage_radius``): an answer that is wrong for the prompt is wrong for its paraphrases too."""
    found = {entry: list(answers) for entry, answers in withdrawn.items()}
    model, radius = ports.embedder.info.id, ports.settings.coverage_radius
    bad = active_rows(withdrawn_entries(ports.datasets))
    embed_new_texts(ports.embedder, ports.vectors, [row["prompt"] for row in bad])
    for agent_type in sorted({row["agent_type"] for row in bad}):
        keys = {
            row["entry_id"]: key
            for table in candidates
            for row in table.filter(pc.equal(table["agent_type"], agent_type))
            .select(["entry_id", "prompt"])
            .to_pylist()
            if (key := embedding_key(model, row["prompt"])) in embedded
        }
        entries, vectors = list(keys), ports.vectors.get(list(keys.values())) if keys else np.empty((0, 0))
        of_agent = [row for row in bad if row["agent_type"] == agent_type]
        for row, prompt in zip(
            of_agent, vectors_of(ports.embedder, ports.vectors, [r["prompt"] for r in of_agent]), strict=True
        ):
            for place in near_withdrawn(prompt, vectors, radius):
                found.setdefault(entries[place], []).append(row["response"])
    return found


class _CoverageSelection:
    """Selects in two passes, and keeps what the asset's page shows about it."""

    def __init__(self, ports: Ports, labelled: pa.Table, judge: Judge, progress: Progress) -> None:
        self._ports, self._labelled, self._judge, self._progress = ports, labelled, judge, progress
        self.curves: GainCurves | None = None
        self.second_pass: SecondPass | None = None
        self.agent_rows: tuple[dict[str, Any], ...] = ()

    def __call__(self, rows: list[CandidateRow]) -> Selected:
        settings, vectors = self._ports.settings, self._ports.vectors
        limits = settings.limits
        self._progress(f"estimating which lookups {len(rows):,} candidates would answer")
        of_texts = partial(vectors_of, self._ports.embedder, self._ports.vectors)
        demands = agent_demands(rows, self._labelled, vectors.get, of_texts, self._judge)
        place = budget_places(rows, limits.entry_bytes)
        within_radius = certain_within(settings.coverage_radius)
        graph, _ = coverage_graph(demands, place, lambda _: within_radius)
        first = select(rows, graph, demands, limits)
        self._progress(f"first pass: {len(first.positions):,} entries; predicting their match rules")
        predicted = self._predicted_hit_probability(rows, first)
        graph, lookups = coverage_graph(demands, place, lambda name: predicted.get(name, NEVER))
        second = select(rows, graph, demands, limits)
        self.curves = gain_curves(rows, graph, lookups, second, demands, np.random.default_rng(RANDOM_ORDER_SEED))
        self.second_pass = SecondPass(
            len(set(second.positions) - set(first.positions)),
            float(lookups @ graph.answered_by(first.positions)),
            sorted(name for name, curve in predicted.items() if curve(np.ones(1))[0] > 0),
        )
        self._progress(f"second pass: {len(second.positions):,} entries, {self.second_pass.new_entries:,} of them new")
        for name in sorted(set(limits.quotas) - {demand.agent_type for demand in demands}):
            self._progress(f"CACHEWARM_QUOTAS names {name!r}, but no candidate has this agent_type: is it misspelt?")
        hits = lookups * graph.answered_by(second.positions)
        self.agent_rows = tuple(_agent_rows(rows, demands, second, hits, place, limits))
        return second

    def _predicted_hit_probability(self, rows: list[CandidateRow], selected: Selected) -> dict[str, HitProbability]:
        settings = self._ports.settings
        entries = plan_table([rows[position] for position in selected.positions], self._judge)
        logs = agent_logs(
            entries, self._labelled, partial(vectors_of, self._ports.embedder, self._ports.vectors), self._judge
        )
        return expected_hit_probability(logs, alpha=settings.max_wrong_hit_rate, delta=settings.delta)


def _agent_rows(
    rows: Sequence[CandidateRow],
    demands: Sequence[AgentDemand],
    selected: Selected,
    hits: np.ndarray,
    place: np.ndarray,
    limits: Limits,
) -> list[dict[str, Any]]:
    """One row per agent_type: its places of the budget and its expected hits. The places add up to the plan's."""
    taken: dict[str, list[int]] = {}
    for position in selected.positions:
        taken.setdefault(rows[position]["agent_type"], []).append(position)
    table = []
    first = 0
    for demand in demands:
        mine = taken.get(demand.agent_type, [])
        last = first + len(demand.lookups)
        table.append(
            {
                "agent_type": demand.agent_type,
                "quota": limits.quotas.get(demand.agent_type),
                "places": int(place[mine].sum()),
                "entries": len(mine),
                "candidates": len(demand.candidates),
                "lookups_a_day": round(demand.total, 1),
                "expected_hits_a_day": round(float(hits[first:last].sum()), 1),
            }
        )
        first = last
    unknown = sorted(set(limits.quotas) - {demand.agent_type for demand in demands})
    return table + [
        {"agent_type": name, "quota": limits.quotas[name], "places": 0, "entries": 0, "candidates": 0}
        | {"lookups_a_day": 0.0, "expected_hits_a_day": 0.0}
        for name in unknown
    ]
