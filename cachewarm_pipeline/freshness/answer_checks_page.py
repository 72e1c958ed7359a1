"""The page of the asset `answer_checks`: change rates and the top of the refresh queue."""

from collections import Counter
from datetime import datetime
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.freshness.answer_check_rows import waits_for_answer
from cachewarm_pipeline.freshness.answer_checks_service import DayOfChecks
from cachewarm_pipeline.freshness.rows import CheckRow
from cachewarm_pipeline.lineage.asset_page import records

_QUEUE_SHOWN = 10


def checks_metadata(found: DayOfChecks, at: datetime) -> dict[str, Any]:
    """The metadata of a day that ends at ``at``: numbers that have a history first, then the rates and the top of the
    queue."""
    if found.plan is None or found.overall is None:
        return {"checked": 0, "why_none": "nothing is warmed yet: there is no warming_plan at or before this day"}
    rows: list[CheckRow] = found.table.to_pylist()
    waiting = [row for row in rows if waits_for_answer(row, at)]
    queue = [
        {
            "prompt": row["prompt"],
            "agent_type": row["agent_type"],
            "why": row["why"],
            "priority": row["priority"],
            "hits a day": found.hits[row["entry_id"]][0],
            "hits are": "measured" if found.hits[row["entry_id"]][1] else "expected",
            "old_response": row["old_response"],
        }
        for row in waiting[:_QUEUE_SHOWN]
    ]
    return {
        "plan": found.plan.isoformat(),
        "checked": found.overall.checked,
        "changed": found.overall.changed,
        **({} if found.overall.rate is None else {"change_rate": min(found.overall.rate, 1.0)}),
        "change_rates": records(_shown(found.rates)),
        "stale": len(waiting),
        "refreshed": sum(row["new_response"] is not None for row in rows),
        "reasons": dict(Counter(reason for row in rows for reason in row["reasons"])),
        "queue": records(queue),
        "hits_measured": sum(found.hits[row["entry_id"]][1] for row in waiting),
        "not_checked": {str(reason): number for reason, number in found.not_checked.most_common()},
        **({"fault": found.fault} if found.fault else {}),
    }


def _shown(rates: pa.Table) -> list[dict[str, Any]]:
    """Rates a day as the page shows them; an infinite rate is shown as "all"."""
    rows = rates.drop_columns(["entry_days", "measured"]).to_pylist()
    return [{name: "all" if value == float("inf") else value for name, value in row.items()} for row in rows]
