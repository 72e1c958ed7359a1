"""The labelled log of a window and the match rules of a plan. Reads datasets and writes none."""

from collections.abc import Sequence
from datetime import date
from functools import partial

import pyarrow as pa

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.match_rules.labelled_queries import labelled_queries
from cachewarm_pipeline.match_rules.learn_rules import Learned, learn_rules
from cachewarm_pipeline.match_rules.rule_tables import agent_logs
from cachewarm_pipeline.match_rules.training import AgentLog
from cachewarm_pipeline.models.embed_new_texts import vectors_of
from cachewarm_pipeline.ports import Judge, Ports, Progress
from cachewarm_pipeline.query_log.day_weights import day_weights
from cachewarm_pipeline.query_log.mined_days import read_days


def labelled_of_days(ports: Ports, days: Sequence[date]) -> tuple[pa.Table, Counts]:
    """LABELLED_QUERIES of these days, and how many queries were excluded, by reason."""
    of_days = partial(read_days, ports.datasets, days)
    return labelled_queries(of_days, maximum=ports.settings.labelled_max, weights=_weights(ports, days))


def rules_of_plan(
    ports: Ports, entries: pa.Table, queries: pa.Table, judge: Judge, progress: Progress, noise: NoiseFloors
) -> tuple[list[AgentLog], Learned]:
    """The logs of a plan (``entries``: WARMING_PLAN, ``queries``: LABELLED_QUERIES), and the match rules learned from
    them. ``noise``: of the same log; it only says why an agent_type has no certificate."""
    logs = agent_logs(entries, queries, partial(vectors_of, ports.embedder, ports.vectors), judge)
    settings = ports.settings
    target = settings.max_wrong_hit_rate
    too_noisy = noise.above(target, judge.name)
    return logs, learn_rules(logs, alpha=target, delta=settings.delta, progress=progress, too_noisy=too_noisy)


def _weights(ports: Ports, days: Sequence[date]) -> dict[date, float]:
    return day_weights(days, max(days), ports.settings.demand_half_life_days)
