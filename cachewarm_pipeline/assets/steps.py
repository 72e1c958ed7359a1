"""The steps from a mined log to a plan with match rules, each read - decide - no write: the assets do them for their
day and store what they give, the replay does all of them for an earlier day."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.core.errors import DatasetError
from cachewarm_pipeline.core.golden import golden_candidates
from cachewarm_pipeline.core.labelled import labelled_queries
from cachewarm_pipeline.core.plan import Plan, build_plan
from cachewarm_pipeline.core.reasons import Counts
from cachewarm_pipeline.core.rollup import RolledUp, rollup
from cachewarm_pipeline.core.rules.learn import AgentLog, Learned, learn_rules
from cachewarm_pipeline.core.rules.tables import agent_logs
from cachewarm_pipeline.core.text import embedding_key
from cachewarm_pipeline.partitions import window
from cachewarm_pipeline.resources.datasets import DatasetStore
from cachewarm_pipeline.resources.ports import Judge
from cachewarm_pipeline.resources.workspace import Workspace

DAILY = "daily_query_counts"

Progress = Callable[[str], object]


def mined_days(workspace: Workspace, day: date, days: int) -> list[date]:
    """The days of a window that ends at ``day`` whose counts were made from this source, oldest first.

    Raises DatasetError when the day itself is not among them.
    """
    fingerprint = workspace.source.fingerprint
    there = [d for d in window(day, days) if workspace.datasets.fingerprint(DAILY, d) == fingerprint(d)]
    if day not in there:
        raise DatasetError(f"{DAILY} of {day} is not there for this source: materialise it for that day first")
    return there


def _days(datasets: DatasetStore, days: Sequence[date], columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
    for day in days:
        yield day, datasets.read(DAILY, day, columns)


def frequent(workspace: Workspace, days: Sequence[date], judge: Judge) -> RolledUp:
    """What is asked often enough in these days, with the answer of each."""
    settings = workspace.settings
    return rollup(
        partial(_days, workspace.datasets, days),
        window_days=len(days),
        min_frequency=settings.min_frequency,
        min_users=settings.min_users,
        min_stability=settings.min_stability,
        group_responses=judge,
    )


def labelled(workspace: Workspace, days: Sequence[date]) -> tuple[pa.Table, Counts]:
    """The distinct queries of these days with their own answers."""
    return labelled_queries(partial(_days, workspace.datasets, days), maximum=workspace.settings.labelled_max)


def golden(workspace: Workspace, day: date) -> tuple[pa.Table, Counts]:
    """Golden candidates as known at the end of the day."""
    settings = workspace.settings
    rows = workspace.source.golden(day, settings.min_quality)
    table, left_out = golden_candidates(
        rows.table, cap=settings.golden_max, max_response_bytes=settings.max_response_bytes
    )
    return table, rows.left_out + left_out


def plan(workspace: Workspace, candidates: Sequence[pa.Table], embedded: set[str], judge: Judge) -> Plan:
    """The entries of a day; ``embedded``: keys of prompts that have vectors."""
    return build_plan(
        candidates,
        model_id=workspace.embedder.info.id,
        embedded=embedded,
        floors=workspace.settings.floors,
        budget=workspace.settings.budget,
        judge=judge,
        vectors_of=workspace.vectors.get,
    )


def rules(
    workspace: Workspace, entries: pa.Table, queries: pa.Table, judge: Judge, progress: Progress
) -> tuple[list[AgentLog], Learned]:
    """The match rules of a plan, and the logs that they were learned from."""
    logs = agent_logs(entries, queries, partial(vectors_of, workspace), judge)
    settings = workspace.settings
    return logs, learn_rules(logs, alpha=settings.max_wrong_hit_rate, delta=settings.delta, progress=progress)


def vectors_of(workspace: Workspace, texts: Sequence[str]) -> np.ndarray:
    """Stored vectors of texts, float32 (n, d), in their order."""
    model = workspace.embedder.info.id
    return workspace.vectors.get([embedding_key(model, text) for text in texts])
