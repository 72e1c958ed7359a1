"""What the page of `entry_payback` shows: the best entries, those without hits, and how hits are distributed."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import PageValue, picture, records, table_metadata, text
from cachewarm_pipeline.plots.drawing import line_plot

_SHOWN = 20
"""Rows of a table."""

_BEST = ("prompt", "agent_type", "source", "hits", "hits_7", "recovered_usd", "payback", "last_hit", "verdicts")

_WORST = ("prompt", "agent_type", "source", "days_looked_up", "idle_days", "average_hits", "left_on", "verdicts")


def entry_payback_metadata(table: pa.Table, counted_to: date | None) -> dict[str, Any]:
    """Metadata of the asset. ``table``: ENTRY_PAYBACK; ``counted_to``: the newest day whose counts are in it."""
    rows = table.to_pylist()
    hits = [row["hits"] for row in rows]
    without_hits = [row for row in rows if row["days_looked_up"] and not row["hits"]]
    without_hits.sort(key=lambda row: (row["left_on"] is None, -row["days_looked_up"], row["entry_id"]))
    idle = [row for row in rows if row["left_on"] is not None]
    numbers = {
        "counts_up_to": counted_to.isoformat()
        if counted_to
        else "no lookups were counted yet: entries earn hits when applications use WarmedSemanticCache",
        "hits": sum(hits),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in rows),
        "unpriced_hits": sum(row["unpriced_hits"] for row in rows),
        "live": sum(row["live"] for row in rows),
        "earned_nothing": len(without_hits),
        "left_out_as_idle": len(idle),
        "golden_left_out_as_idle": sum(row["source"] == "golden" for row in idle),
    }
    verdicts = [verdict for row in rows for verdict in row["verdicts"]]
    return {
        **numbers,
        "best": records([{name: row[name] for name in _BEST} for row in rows[:_SHOWN] if row["hits"]]),
        "nothing_earned": records([{name: row[name] for name in _WORST} for row in without_hits[:_SHOWN]]),
        "share_of_hits": _plot(hits),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        **table_metadata(table, None, _BEST),
    }


def _plot(hits: list[int]) -> PageValue:
    """Cumulative share of hits; ``hits``: of each entry, most first."""
    if not sum(hits):
        return text("no hits yet")
    shares = np.concatenate(([0.0], np.cumsum(hits) / sum(hits)))
    half, most = (int(np.searchsorted(shares, part)) for part in (0.5, 0.9))
    drawn = line_plot(
        {"hits": (np.arange(len(shares)), shares)},
        title="Share of all hits by the N best entries",
        x_label="N best entries",
        y_label="hits / all hits",
        percent="y",
        marks={"hits": (float(half), float(shares[half]))},
        notes={"hits": f"half by {half:,} of {len(hits):,},\n90% by {most:,}"},
    )
    return picture(drawn, "cumulative share of hits by entries, best first")
