"""The look-back window rolled up: queries asked often, by enough users, with an answer to reuse. Every query left out
has a counted reason; those that are unfit for a cache (personal data, answers that change) are listed for reviewers in
the dataset unfit_queries."""

import dagster as dg

from cachewarm_pipeline.candidates.service import frequent_of_days
from cachewarm_pipeline.exclusion_reasons import LeftOut
from cachewarm_pipeline.lineage.asset_page import (
    CANDIDATES,
    OWNERS,
    PAID,
    judge_metadata,
    paid_days,
    record,
    records,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, lookback, one_run
from cachewarm_pipeline.query_log.service import DAILY, mined_days
from cachewarm_pipeline.workspace.workspace import Workspace

_UNFIT_SHOWN = 10
"""Unfit queries on the page, those asked most: what is not there is in the dataset."""


@dg.asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"pyarrow", "parquet"},
    pool=PAID,
    description=__doc__,
)
def frequent_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        there = mined_days(workspace, day, settings.lookback_days)
        found = frequent_of_days(workspace, there, judge)
        datasets.write("frequent_queries", day, found.table)
        datasets.write("unfit_queries", day, found.unfit)
        record(
            context,
            day,
            table_metadata(
                found.table,
                found.left_out,
                ("prompt", "agent_type", "frequency", "distinct_users", "stability", "response"),
                window_days=len(there),
                days_missing=settings.lookback_days - len(there),
                unfit_personal=found.left_out[LeftOut.PERSONAL],
                unfit_volatile=found.left_out[LeftOut.VOLATILE],
                unfit=records(found.unfit.drop_columns(["entry_id"]).slice(0, _UNFIT_SHOWN).to_pylist()),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            ),
            spent=workspace.ledger.usd(),
        )
