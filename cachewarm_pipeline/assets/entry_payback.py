"""What each entry earned in 90 days: hits, dollars, last hit, days without one, and what speaks against it (reports,
withdrawals, changed answers, rejections in the log). Entries without a hit in CACHEWARM_IDLE_DAYS days or more, on
which an average entry of their agent_type had 10 hits, leave the next plan, at most 5% of an agent_type's live entries
a day. They come back when their question is asked again, or after as many days. `cachewarm entries` asks this table."""

from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import MEASUREMENT, OWNERS, never_stops, record, records, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.measurement.entry_payback_service import ENTRY_PAYBACK_ASSET, payback_day
from cachewarm_pipeline.plots.drawing import line_plot, markdown_image
from cachewarm_pipeline.query_log.service import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace

_SHOWN = 20
_BEST = ("prompt", "agent_type", "source", "hits", "hits_7", "recovered_usd", "payback", "last_hit", "verdicts")
_WORST = ("prompt", "agent_type", "source", "days_looked_up", "idle_days", "average_hits", "left_on", "verdicts")


@dg.asset(
    deps=["serving_counts", DAILY],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=MEASUREMENT,
    owners=OWNERS,
    kinds={"parquet"},
    description=__doc__,
)
def entry_payback(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    for day in days_of(context):
        with never_stops(context, day):
            table, counted_to = payback_day(workspace, day)
            # What it rests on is told by the file itself: a day whose counts came later is no ground to go on from.
            workspace.datasets.write(
                ENTRY_PAYBACK_ASSET, day, table, fingerprint=counted_to.isoformat() if counted_to else ""
            )
            record(context, day, _told(table, counted_to))


def _told(table: pa.Table, counted: date | None) -> dict[str, Any]:
    rows = table.to_pylist()
    hits = [row["hits"] for row in rows]
    looked_at = [row for row in rows if row["days_looked_up"] and not row["hits"]]
    looked_at.sort(key=lambda row: (row["left_on"] is None, -row["days_looked_up"], row["entry_id"]))
    left = [row for row in rows if row["left_on"] is not None]
    numbers = {
        "counts_up_to": counted.isoformat()
        if counted
        else "no reader has counted yet: entries earn once look-ups come through WarmedSemanticCache",
        "hits": sum(hits),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in rows),
        "unpriced_hits": sum(row["unpriced_hits"] for row in rows),
        "live": sum(row["live"] for row in rows),
        "earned_nothing": len(looked_at),
        "left_out_as_idle": len(left),
        "golden_left_out_as_idle": sum(row["source"] == "golden" for row in left),
    }
    verdicts = [verdict for row in rows for verdict in row["verdicts"]]
    return {
        **numbers,
        "best": records([{name: row[name] for name in _BEST} for row in rows[:_SHOWN] if row["hits"]]),
        "nothing_earned": records([{name: row[name] for name in _WORST} for row in looked_at[:_SHOWN]]),
        "share_of_hits": _plot(hits),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        **table_metadata(table, None, _BEST),
    }


def _plot(hits: list[int]) -> dg.MetadataValue:
    """``hits``: most first."""
    if not sum(hits):
        return dg.MetadataValue.text("no hit yet")
    shares = np.concatenate(([0.0], np.cumsum(hits) / sum(hits)))
    half, most = (int(np.searchsorted(shares, part)) for part in (0.5, 0.9))
    picture = line_plot(
        {"hits": (np.arange(len(shares)), shares)},
        title="Share of all hits that the first so many entries bring, best first",
        x_label="entries",
        y_label="hits / all hits",
        percent="y",
        marks={"hits": (float(half), float(shares[half]))},
        notes={"hits": f"half by {half:,} of {len(hits):,},\n90% by {most:,}"},
    )
    return dg.MetadataValue.md(markdown_image(picture, "cumulative share of hits by entries, best first"))
