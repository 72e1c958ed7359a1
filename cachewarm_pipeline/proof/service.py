"""The replay of held-out days: makes plan and match rules from the log before them, then looks up their traffic.

Reads and decides, never writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.answers.noise_floor import noise_floors
from cachewarm_pipeline.candidates.service import frequent_of_days, golden_of_day
from cachewarm_pipeline.candidates.variant_service import variants_of_day
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.match_rules.match_model_fit import Scorer
from cachewarm_pipeline.match_rules.service import labelled_of_days, rules_of_plan
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.planning.service import plan_day
from cachewarm_pipeline.ports import Judge, Ports, Progress
from cachewarm_pipeline.proof.held_out_lookups import AgentRecipe, AgentTraffic, replay_agent, traffic_by_agent_type
from cachewarm_pipeline.proof.replay_split import DAYS_PER_HELD_OUT_DAY, split_days
from cachewarm_pipeline.proof.replay_summary import summarise_replay
from cachewarm_pipeline.query_log.mined_days import DAILY, mined_days
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS

STEADY = 0.67
"""Stability from which the answers of a query merely vary: the default of CACHEWARM_MIN_STABILITY."""

BOOTSTRAP_SEED = 0
"""Random seed of the bootstrap: the same days give the same interval."""


@dataclass(frozen=True)
class ReplayedDay:
    """The replay of a day. Both tables are empty if nothing was held out; ``why_none`` then has the reason."""

    rows: pa.Table
    """REPLAY."""
    decisions: pa.Table
    """REPLAY_DECISIONS."""
    days: list[date]
    """The held-out days."""
    usage: dict[str, Any]
    """Tokens and dollars spent on embedding."""
    why_none: str = ""


def stored_replay(ports: Ports, day: date) -> tuple[pa.Table, dict[str, Any]]:
    """The day's stored REPLAY and its summary (replay_summary.summarise_replay). The table is empty if none is
    stored."""
    datasets = ports.datasets
    rows, decisions = REPLAY.empty_table(), REPLAY_DECISIONS.empty_table()
    if datasets.exists("replay", day):
        rows, decisions = datasets.read("replay", day), datasets.read("replay_decisions", day)
    return rows, summarise_replay(rows, decisions, delta=ports.settings.delta, seed=BOOTSTRAP_SEED)


def replay_day(ports: Ports, day: date, judge: Judge, progress: Progress) -> ReplayedDay:
    """The replay of the last days up to ``day`` (replay_split): their lookups, against plan and match rules made from
    the days before them."""
    settings = ports.settings
    try:
        days = mined_days(ports, day, settings.lookback_days + settings.replay_days)
    except DatasetError:
        if ports.datasets.exists(DAILY, day):
            raise
        days = []
    split = split_days(days, replay_days=settings.replay_days, lookback_days=settings.lookback_days)
    if not split.held_out:
        log_is_short = f"the log has {plural(len(days), 'day')}, and a replay needs {DAYS_PER_HELD_OUT_DAY}"
        why = log_is_short if settings.replay_days else "CACHEWARM_REPLAY_DAYS is 0"
        return ReplayedDay(REPLAY.empty_table(), REPLAY_DECISIONS.empty_table(), [], {}, f"nothing held out: {why}")
    as_of = split.held_out[0] - timedelta(days=1)
    progress(
        f"making plan and match rules of {as_of} from {plural(len(split.recipe), 'day')}, to look up "
        f"{plural(len(split.held_out), 'held-out day')}"
    )
    plan, rules, scorers, tokens = _recipe(
        ports, as_of, split.recipe, _bases_with_variants(ports, day), judge, progress
    )
    steady = _steady(ports, day)
    traffic = traffic_by_agent_type((d, ports.datasets.read(DAILY, d)) for d in split.held_out)
    rows, decisions = [], []
    for agent_type in sorted(traffic):
        own = traffic[agent_type]
        skip = np.array([bool(find_personal_data(prompt)) for prompt in own.prompts])
        entries = plan.filter(pc.equal(plan["agent_type"], agent_type))
        rule = rules.for_agent_type(agent_type)
        if rule.rule != "exact_only":
            texts = [prompt for prompt, is_personal in zip(own.prompts, skip, strict=True) if not is_personal]
            tokens += embed_new_texts(ports.embedder, ports.vectors, texts, progress).tokens
        recipe = AgentRecipe(
            entries, ports.vectors.get(entries["embedding_key"].to_pylist()), rule, scorers.get(agent_type)
        )
        of_traffic = partial(_vectors, ports, own)
        agent_rows, agent_decisions = replay_agent(
            agent_type, own, recipe, split.held_out, of_traffic, skip, judge.same, steady
        )
        progress(f"looked up {plural(sum(own.lookups), 'request')} of {agent_type!r}")
        rows.append(agent_rows)
        decisions.append(agent_decisions)
    return ReplayedDay(
        pa.concat_tables(rows) if rows else REPLAY.empty_table(),
        pa.concat_tables(decisions) if decisions else REPLAY_DECISIONS.empty_table(),
        split.held_out,
        {"tokens": tokens, "usd": tokens * ports.embedder.info.usd_per_million_tokens / 1e6},
    )


def _recipe(
    ports: Ports, as_of: date, days: list[date], bases: set[str], judge: Judge, progress: Progress
) -> tuple[pa.Table, MatchRules, dict[str, Scorer], int]:
    """Plan, match rules and the entries' positions in the learned space as of that day, and the tokens of embedding.

    ``bases``: ids of the base queries that may have variants.
    """
    golden, rolled_up = golden_of_day(ports, as_of)[0], frequent_of_days(ports, days, judge)
    frequent = rolled_up.table
    synthetic = variants_of_day(ports, golden, frequent, judge, progress, only=bases)
    candidates = [golden, frequent, synthetic.table]
    labelled, _ = labelled_of_days(ports, days)
    texts = sorted({prompt for table in (*candidates, labelled) for prompt in table["prompt"].to_pylist()})
    tokens = embed_new_texts(ports.embedder, ports.vectors, texts, progress).tokens
    model = ports.embedder.info.id
    embedded = {embedding_key(model, text) for text in texts}
    plan = plan_day(ports, as_of, candidates, labelled, embedded, judge, progress).plan.table
    _, learned = rules_of_plan(ports, plan, labelled, judge, progress, noise_floors(rolled_up.noise))
    return plan, learned.rules, learned.scorers, tokens + synthetic.tokens


def _steady(ports: Ports, day: date) -> set[str]:
    """Ids of the frequent queries whose answers do not change, as the roll-up of the day found with the held-out days
    in its window. Those that change are not among them, even where CACHEWARM_MIN_STABILITY keeps them."""
    if not ports.datasets.exists("frequent_queries", day):
        return set()
    table = ports.datasets.read("frequent_queries", day, columns=["entry_id", "stability"])
    return set(table.filter(pc.greater_equal(table["stability"], STEADY))["entry_id"].to_pylist())


def _bases_with_variants(ports: Ports, day: date) -> set[str]:
    """Ids of the base queries that the day's own variants belong to.

    The recipe of an earlier day has other base queries at the top. A model is not paid for a forecast, so only base
    queries whose variants were written for the day itself have variants. That can only lower the forecast.
    """
    if not ports.datasets.exists("synthetic_variants", day):
        return set()
    return set(ports.datasets.read("synthetic_variants", day, columns=["base_id"])["base_id"].to_pylist())


def _vectors(ports: Ports, traffic: AgentTraffic, queries: Sequence[int]) -> np.ndarray:
    return vectors_of(ports.embedder, ports.vectors, [traffic.prompts[query] for query in queries])
