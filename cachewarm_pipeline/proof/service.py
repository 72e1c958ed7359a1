"""The replay of held-out days: plan and match rules are made from the log before them, then their traffic is looked up.

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

from cachewarm_pipeline.candidates.service import frequent_of_days, golden_of_day
from cachewarm_pipeline.candidates.variant_service import variants_of_day
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.match_rules.match_model_fit import Scorer
from cachewarm_pipeline.match_rules.service import labelled_of_days, rules_of_plan
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.planning.service import plan_day
from cachewarm_pipeline.ports import Judge, Ports, Progress
from cachewarm_pipeline.proof.held_out_lookups import AgentRecipe, AgentTraffic, replay_agent, traffic_of
from cachewarm_pipeline.proof.replay_summary import summary
from cachewarm_pipeline.query_log.mined_days import DAILY, mined_days
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS

BOOTSTRAP_SEED = 0
"""Of the bootstrap: the same days give the same interval."""


@dataclass(frozen=True)
class Replayed:
    """``rows``: REPLAY; ``decisions``: REPLAY_DECISIONS; both empty with ``why_none`` where nothing was held out."""

    rows: pa.Table
    decisions: pa.Table
    days: list[date]
    usage: dict[str, Any]
    why_none: str = ""


def stored_replay(ports: Ports, day: date) -> tuple[pa.Table, dict[str, Any]]:
    """REPLAY of the day and what it adds up to (replay_summary.summary); of no rows where none is stored."""
    datasets = ports.datasets
    rows, decisions = REPLAY.empty_table(), REPLAY_DECISIONS.empty_table()
    if datasets.exists("replay", day):
        rows, decisions = datasets.read("replay", day), datasets.read("replay_decisions", day)
    return rows, summary(rows, decisions, delta=ports.settings.delta, seed=BOOTSTRAP_SEED)


def replay_day(ports: Ports, day: date, judge: Judge, progress: Progress) -> Replayed:
    """The replay of the last days that end at ``day``: recipe from the days before them, then their lookups.

    Held out are ``replay_days``, at most a quarter of the days there are, so that a young log still has a past.
    """
    settings = ports.settings
    try:
        there = mined_days(ports, day, settings.lookback_days + settings.replay_days)
    except DatasetError:
        if ports.datasets.exists(DAILY, day):
            raise
        there = []
    held_out = there[len(there) - min(settings.replay_days, len(there) // 4) :]
    if not held_out:
        why = "replay_days is 0" if not settings.replay_days else f"{len(there)} days of log, it takes 4"
        return Replayed(REPLAY.empty_table(), REPLAY_DECISIONS.empty_table(), [], {}, f"nothing held out: {why}")
    as_of = held_out[0] - timedelta(days=1)
    before = [d for d in there if d <= as_of][-settings.lookback_days :]
    progress(f"making the recipe of {as_of} from {len(before)} days, to look up {len(held_out)} held-out days")
    plan, rules, scorers, tokens = _recipe(ports, as_of, before, _written(ports, day), judge, progress)
    traffic = traffic_of((d, ports.datasets.read(DAILY, d)) for d in held_out)
    rows, decisions = [], []
    for agent_type in sorted(traffic):
        own = traffic[agent_type]
        skip = np.array([bool(find_personal_data(prompt)) for prompt in own.prompts])
        entries = plan.filter(pc.equal(plan["agent_type"], agent_type))
        rule = rules.for_agent_type(agent_type)
        if rule.rule != "exact_only":
            texts = [prompt for prompt, left in zip(own.prompts, skip, strict=True) if not left]
            tokens += embed_new_texts(ports.embedder, ports.vectors, texts, progress).tokens
        recipe = AgentRecipe(
            entries, ports.vectors.get(entries["embedding_key"].to_pylist()), rule, scorers.get(agent_type)
        )
        of_traffic = partial(_vectors, ports, own)
        counted, decided = replay_agent(agent_type, own, recipe, held_out, of_traffic, skip, judge.same)
        progress(f"looked up {sum(own.lookups):,} requests of {agent_type!r}")
        rows.append(counted)
        decisions.append(decided)
    return Replayed(
        pa.concat_tables(rows) if rows else REPLAY.empty_table(),
        pa.concat_tables(decisions) if decisions else REPLAY_DECISIONS.empty_table(),
        held_out,
        {"tokens": tokens, "usd": tokens * ports.embedder.info.usd_per_million_tokens / 1e6},
    )


def _recipe(
    ports: Ports, as_of: date, days: list[date], written: set[str], judge: Judge, progress: Progress
) -> tuple[pa.Table, MatchRules, dict[str, Scorer], int]:
    """Entries, rules, the entries' places in the learned space as of that day, and the tokens of embedding them.

    ``written``: ids of the bases that may have variants.
    """
    golden, frequent = golden_of_day(ports, as_of)[0], frequent_of_days(ports, days, judge).table
    synthetic = variants_of_day(ports, golden, frequent, judge, progress, only=written)
    candidates = [golden, frequent, synthetic.table]
    labelled, _ = labelled_of_days(ports, days)
    texts = sorted({prompt for table in (*candidates, labelled) for prompt in table["prompt"].to_pylist()})
    tokens = embed_new_texts(ports.embedder, ports.vectors, texts, progress).tokens
    model = ports.embedder.info.id
    embedded = {embedding_key(model, text) for text in texts}
    plan = plan_day(ports, as_of, candidates, labelled, embedded, judge, progress).plan.table
    _, learned = rules_of_plan(ports, plan, labelled, judge, progress)
    return plan, learned.rules, learned.scorers, tokens + synthetic.tokens


def _written(ports: Ports, day: date) -> set[str]:
    """Ids of the bases that the day's own variants are of.

    The recipe of an earlier day has other bases at the top; a model is not paid for a forecast, so of its bases those
    have variants that the model has written for the day itself. The forecast can only be lower for it.
    """
    if not ports.datasets.exists("synthetic_variants", day):
        return set()
    return set(ports.datasets.read("synthetic_variants", day, columns=["base_id"])["base_id"].to_pylist())


def _vectors(ports: Ports, traffic: AgentTraffic, queries: Sequence[int]) -> np.ndarray:
    return vectors_of(ports.embedder, ports.vectors, [traffic.prompts[query] for query in queries])
