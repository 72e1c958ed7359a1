"""The look-back window rolled up: queries asked often, by enough users, with an answer to reuse. Every query left out
has a counted reason."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.assets.common import CANDIDATES, OWNERS, record, table_metadata
from cachewarm_pipeline.assets.daily_query_counts import ASSET as DAILY
from cachewarm_pipeline.core.errors import DatasetError
from cachewarm_pipeline.core.rollup import rollup
from cachewarm_pipeline.partitions import daily, days_of, lookback, one_run, window
from cachewarm_pipeline.resources.datasets import DatasetStore
from cachewarm_pipeline.resources.workspace import Workspace


def _days(datasets: DatasetStore, days: Sequence[date], columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
    for day in days:
        yield day, datasets.read(DAILY, day, columns)


@dg.asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"pyarrow", "parquet"},
    description=__doc__,
)
def frequent_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, datasets = workspace.settings, workspace.datasets
    judge = workspace.judge(context.log.info)
    for day in days_of(context):
        days = window(day, settings.lookback_days)
        there = [d for d in days if datasets.fingerprint(DAILY, d) == workspace.source.fingerprint(d)]
        if day not in there:
            raise DatasetError(f"{DAILY} of {day} is not there for this source: materialise it for that day first")
        table, left_out = rollup(
            partial(_days, datasets, there),
            window_days=len(there),
            min_frequency=settings.min_frequency,
            min_users=settings.min_users,
            min_stability=settings.min_stability,
            group_responses=judge,
        )
        datasets.write("frequent_queries", day, table)
        record(
            context,
            day,
            table_metadata(
                table,
                left_out,
                ("prompt", "agent_type", "frequency", "distinct_users", "stability", "response"),
                window_days=len(there),
                days_missing=len(days) - len(there),
                judge=settings.judge,
                judge_tokens=judge.tokens,
                judge_usd=judge.tokens * workspace.embedder.info.usd_per_million_tokens / 1e6,
            ),
        )
