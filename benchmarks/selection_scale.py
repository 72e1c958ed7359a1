"""The time and memory of planning 10,000 of 100,000 entries: `uv run python -m benchmarks.selection --scale`."""

import time
from datetime import date

import numpy as np
import pyarrow as pa
from cachewarm_client.text import embedding_key

from benchmarks.process_memory import peak_memory
from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.match_rules.hit_probability_curve import certain_within
from cachewarm_pipeline.match_rules.labelled_queries import FIT
from cachewarm_pipeline.planning.candidate_row import CandidateRow
from cachewarm_pipeline.planning.entry_selection import Selected, budget_places, coverage_graph, select
from cachewarm_pipeline.planning.expected_demand import agent_demands
from cachewarm_pipeline.planning.gain_curves import gain_curves
from cachewarm_pipeline.planning.warming_plan import build_plan
from cachewarm_pipeline.settings.selection_limits import Limits
from cachewarm_pipeline.storage.schemas import GOLDEN_CANDIDATES, LABELLED_QUERIES


def plan_at_scale(candidates: int, queries: int, budget: int) -> None:
    """Prints time and memory of planning ``candidates`` against ``queries`` further queries of one agent_type.

    Runs in a process of its own. An answer has 20 wordings. The vectors have 384 dimensions and are drawn around one
    centre for each answer, as near to it as paraphrases are."""
    rng = np.random.default_rng(0)
    answers = candidates // 20
    centres = rng.standard_normal((answers, 384)).astype(np.float32)
    of = rng.integers(answers, size=candidates + queries)
    vectors = np.empty((candidates + queries, 384), np.float32)
    for start in range(0, len(of), 10_000):
        part = slice(start, start + 10_000)
        vectors[part] = centres[of[part]] + 0.6 * rng.standard_normal((len(of[part]), 384), np.float32)
        vectors[part] /= np.linalg.norm(vectors[part], axis=1, keepdims=True)
    prompts = [f"question {number:08d}" for number in range(candidates + queries)]
    demand = rng.pareto(1.2, len(of)) + 0.05
    shared = {
        "entry_id": prompts,
        "agent_type": ["a"] * len(of),
        "prompt": prompts,
        "response": [f"answer {group}" for group in of],
        "demand": demand,
        "cost_usd": [None] * len(of),
    }
    log = {
        **shared,
        "frequency": np.maximum(1, (30 * demand).astype(int)),
        "stands_for": np.ones(len(of)),
        "last_day": [date(2026, 11, 1)] * len(of),
        "part": [FIT] * len(of),
    }
    offered = {
        **shared,
        "source": ["query_log"] * len(of),
        "quality_score": np.full(len(of), 0.9),
        "provenance": ["{}"] * len(of),
    }
    labelled = pa.table([log[name] for name in LABELLED_QUERIES.names], schema=LABELLED_QUERIES)
    table = pa.table([offered[name] for name in GOLDEN_CANDIDATES.names], schema=GOLDEN_CANDIDATES)[:candidates]
    place = {embedding_key("m", prompt): number for number, prompt in enumerate(prompts)}
    judge, times = ExactJudge(), [time.perf_counter()]

    def of_texts(texts: list[str]) -> np.ndarray:
        return vectors[[place[embedding_key("m", text)] for text in texts]]

    def choose(rows: list[CandidateRow]) -> Selected:
        times.append(time.perf_counter())
        demands = agent_demands(rows, labelled, lambda keys: vectors[[place[key] for key in keys]], of_texts, judge)
        times.append(time.perf_counter())
        limits = Limits(budget)
        graph, lookups = coverage_graph(
            demands, budget_places(rows, limits.entry_bytes), lambda _: certain_within(0.35)
        )
        chosen = select(rows, graph, demands, limits)
        times.append(time.perf_counter())
        curves = gain_curves(rows, graph, lookups, chosen, demands, rng)
        hits, plain, drawn = curves.hits(budget), curves.frequency[budget - 1], curves.random[budget - 1]
        print(f"{candidates:,} candidates, {queries:,} further queries, {len(graph.point):,} pairs, budget {budget:,}")
        print(f"  expected hits: {hits / plain:.2f} of the frequency order's, {hits / drawn:.2f} of a random order's")
        return chosen

    before = peak_memory()
    build_plan(
        [table],
        model_id="m",
        embedded=set(place),
        floors={"query_log": 0.6},
        select=choose,
        judge=judge,
        vectors_of=lambda keys: vectors[[place[key] for key in keys]],
    )
    seconds = np.diff([*times, time.perf_counter()])
    conflicts, demand_seconds, selection, rest = seconds
    print(
        f"  {seconds.sum():.0f} s: conflicts {conflicts:.0f}, demand {demand_seconds:.0f}, selection {selection:.0f}, "
        f"curves and answer groups {rest:.0f}"
    )
    print(f"  peak memory {peak_memory():,.0f} MiB, of which {before:,.0f} MiB before (the vectors: 293 MiB)")
