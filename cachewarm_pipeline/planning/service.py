"""The plan of a day, shared by the asset and the replay: in two passes, as how far an entry reaches depends on the
match rules, and they on the entries.

First pass: an entry answers texts of its answer within a radius. From that plan the rules are foreseen, on the training
part of the log alone. Second pass: an entry reaches as far as they let it; where nothing is likely to be certified, not
beyond its own text.
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
from cachewarm_pipeline.match_rules.expected_reach import expected_reach
from cachewarm_pipeline.match_rules.reach_curve import NEVER, Reach, reach_within
from cachewarm_pipeline.match_rules.rule_tables import agent_logs
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.planning.entry_selection import Curves, Selected, curves, graph_of, places_of, select
from cachewarm_pipeline.planning.expected_demand import AgentDemand, agent_demands
from cachewarm_pipeline.planning.warming_plan import Plan, Rows, build_plan, by_frequency, plan_table
from cachewarm_pipeline.ports import Judge, Ports, Progress
from cachewarm_pipeline.settings.selection_limits import Limits

SEED = 0
"""Of the random order that the curve compares with."""


@dataclass(frozen=True)
class SecondPass:
    """What knowing the rules changed. ``changed``: entries of the plan that the first pass did not have; ``before``:
    expected hits a day of the first plan, as the rules let entries reach; ``by_meaning``: agent types whose
    entries are expected to answer more than their own text."""

    changed: int
    before: float
    by_meaning: list[str]


@dataclass(frozen=True)
class Planned:
    """A day's plan; with ``selection`` frequency the curves, the second pass and ``agents`` are None or empty.
    ``admitted``: what became of candidates with a stale, a refreshed or a withdrawn answer, and of idle ones."""

    plan: Plan
    admitted: Admitted
    curves: Curves | None = None
    second: SecondPass | None = None
    agents: tuple[dict[str, Any], ...] = ()


def plan_day(
    ports: Ports,
    day: date,
    candidates: Sequence[pa.Table],
    labelled: pa.Table,
    embedded: set[str],
    judge: Judge,
    progress: Progress,
) -> Planned:
    """The entries of a day. ``candidates``: tables in the order of admission; ``labelled``: the day's labelled queries;
    ``embedded``: keys of prompts that have vectors."""
    settings = ports.settings
    known = replace(standing(ports, day), limits=age_limits(ports, day))
    if known.withdrawn:
        known = replace(known, withdrawn=_with_near(ports, known.withdrawn, candidates, embedded))
    admitted = admit(candidates, known, judge.same)
    chooser = _Coverage(ports, labelled, judge, progress) if settings.selection == "coverage" else None
    plan = build_plan(
        admitted.tables,
        model_id=ports.embedder.info.id,
        embedded=embedded,
        floors=settings.floors,
        select=chooser or by_frequency(settings.budget),
        judge=judge,
        vectors_of=ports.vectors.get,
    )
    plan = replace(plan, table=stamp(plan.table, known), excluded=plan.excluded + admitted.excluded)
    if chooser is None:
        return Planned(plan, admitted)
    return Planned(plan, admitted, chooser.curves, chooser.second, chooser.agents)


def standing(ports: Ports, day: date) -> AdmissionContext:
    """What is known of answers for the plan of a day: the newest checks at or before it, what the plan before it rests
    on, what earned nothing by then, and all withdrawals, whatever the day: what is wrong now is not warmed for the past
    either."""
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


def _with_near(
    ports: Ports, withdrawn: Mapping[str, Sequence[str]], candidates: Sequence[pa.Table], embedded: set[str]
) -> dict[str, list[str]]:
    """The withdrawn answers by entry_id, and by that of candidates that word a withdrawn prompt in another way (within
    ``coverage_radius``): what was wrong for the one is for the others."""
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


class _Coverage:
    """Chooses in two passes, and keeps what the asset's page tells about it."""

    def __init__(self, ports: Ports, labelled: pa.Table, judge: Judge, progress: Progress) -> None:
        self._ports, self._labelled, self._judge, self._progress = ports, labelled, judge, progress
        self.curves: Curves | None = None
        self.second: SecondPass | None = None
        self.agents: tuple[dict[str, Any], ...] = ()

    def __call__(self, rows: Rows) -> Selected:
        settings, vectors = self._ports.settings, self._ports.vectors
        limits = settings.limits
        self._progress(f"finding what {len(rows):,} candidates would answer")
        of_texts = partial(vectors_of, self._ports.embedder, self._ports.vectors)
        demands = agent_demands(rows, self._labelled, vectors.get, of_texts, self._judge)
        place = places_of(rows, limits.entry_bytes)
        near_withdrawn = reach_within(settings.coverage_radius)
        graph, _ = graph_of(demands, place, lambda _: near_withdrawn)
        first = select(rows, graph, demands, limits)
        self._progress(f"first pass: {len(first.places):,} entries; foreseeing their match rules")
        reach = self._foresee(rows, first)
        graph, lookups = graph_of(demands, place, lambda name: reach.get(name, NEVER))
        second = select(rows, graph, demands, limits)
        self.curves = curves(rows, graph, lookups, second, demands, np.random.default_rng(SEED))
        self.second = SecondPass(
            len(set(second.places) - set(first.places)),
            float(lookups @ graph.reached_by(first.places)),
            sorted(name for name, curve in reach.items() if curve(np.ones(1))[0] > 0),
        )
        self._progress(f"second pass: {len(second.places):,} entries, {self.second.changed:,} of them others")
        for name in sorted(set(limits.quotas) - {demand.agent_type for demand in demands}):
            self._progress(f"CACHEWARM_QUOTAS names {name!r}, which no candidate belongs to: is it misspelt?")
        hits = lookups * graph.reached_by(second.places)
        self.agents = tuple(_of_agents(rows, demands, second, hits, place, limits))
        return second

    def _foresee(self, rows: Rows, selected: Selected) -> dict[str, Reach]:
        settings = self._ports.settings
        entries = plan_table([rows[place] for place in selected.places], self._judge)
        logs = agent_logs(
            entries, self._labelled, partial(vectors_of, self._ports.embedder, self._ports.vectors), self._judge
        )
        return expected_reach(logs, alpha=settings.max_wrong_hit_rate, delta=settings.delta)


def _of_agents(
    rows: Rows, demands: Sequence[AgentDemand], selected: Selected, hits: np.ndarray, place: np.ndarray, limits: Limits
) -> list[dict[str, Any]]:
    """A row an agent_type: its part of the budget and what it is expected to bring. Places sum to those of the plan."""
    taken: dict[str, list[int]] = {}
    for chosen in selected.places:
        taken.setdefault(rows[chosen]["agent_type"], []).append(chosen)
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
