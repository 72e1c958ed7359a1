"""Distinct log queries of the look-back window, each with an answer of its own: what match rules are fitted on and
certified with. Every query belongs for ever to one of three parts, by hash: choose, fit or certify."""

import dagster as dg
import pyarrow.compute as pc

from cachewarm_pipeline.lineage.asset_page import CANDIDATES, OWNERS, record, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, lookback, one_run
from cachewarm_pipeline.match_rules.labelled_queries import PARTS
from cachewarm_pipeline.match_rules.service import labelled_of_days
from cachewarm_pipeline.query_log.service import DAILY, mined_days
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"pyarrow", "parquet"},
    description=__doc__,
)
def labelled_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    for day in days_of(context):
        days = mined_days(workspace, day, workspace.settings.lookback_days)
        table, left_out = labelled_of_days(workspace, days)
        workspace.datasets.write("labelled_queries", day, table)
        record(
            context,
            day,
            table_metadata(
                table,
                left_out,
                ("prompt", "agent_type", "frequency", "part", "response"),
                **{f"{part}_queries": pc.sum(pc.equal(table["part"], part)).as_py() or 0 for part in PARTS},
            ),
        )
