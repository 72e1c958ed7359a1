"""Stored days of a small cache whose readers have a holdout, as the assets write them, without Redis and Dagster."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.models.usage_ledger import FOLDER, Ledger
from cachewarm_pipeline.models.usage_prices import Price
from cachewarm_pipeline.settings import Settings, load_settings
from cachewarm_pipeline.storage.measurement_schemas import ARM_COUNTS, ENTRY_HITS, HOUR_COUNTS
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, REPLAY, REPLAY_DECISIONS
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.cache_fakes import make_plan
from tests.support.pipeline import environment

FIRST = date(2026, 3, 2)
"""The day of the first plan; it is live from the next day on."""
AGENT = "auditor"


@dataclass(frozen=True)
class Shape:
    """The lookups of a day in both arms."""

    warmed: int = 1_600
    holdout: int = 160
    warmed_rate: float = 0.5
    """Hit rate of the warmed arm."""
    holdout_rate: float = 0.2
    """Hit rate of the holdout."""
    served: float = 0.4
    """Share of the lookups of the warmed arm that hit a warmed entry."""


def workspace_at(folder: Path, day: date, **more: str) -> Workspace:
    """A workspace on the night after ``day``."""
    with environment({"CACHEWARM_HOME": str(folder), "CACHEWARM_REPLAY_DAYS": "2", **more}):
        settings: Settings = load_settings()
    now = datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)
    return Workspace(settings, lambda: now)


def generation(made: date) -> str:
    return f"{made:%Y%m%d}-0123456789ab"


def write_counts(workspace: Workspace, day: date, shape: Shape | None = None, agent_type: str = AGENT) -> None:
    """Writes the counts of readers with a holdout. The live generation of the day was made from the day before."""
    shape = shape or Shape()
    rows = [
        {"arm": arm, "agent_type": agent_type, "bucket": bucket, "hits": hits, "lookups": lookups}
        for arm, number, rate in (
            ("warmed", shape.warmed, shape.warmed_rate),
            ("holdout", shape.holdout, shape.holdout_rate),
        )
        for bucket in range(16)
        for lookups in [number // 16]
        for hits in [round(lookups * rate)]
        if lookups
    ]
    write_arms(workspace, day, rows, shape.served)


def write_arms(
    workspace: Workspace, day: date, arms: list[dict[str, Any]], served: float, holdout: bool = True
) -> None:
    """Writes the three tables of counts of a day: arms, hours and entries.

    ``holdout=False``: the readers have no holdout, so nothing is counted by arm."""
    hour = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    hours = []
    for arm, agent_type in sorted({(row["arm"], row["agent_type"]) for row in arms}):
        own = [row for row in arms if (row["arm"], row["agent_type"]) == (arm, agent_type)]
        hits, lookups = (sum(row[name] for row in own) for name in ("hits", "lookups"))
        hours.append(
            {
                "hour": hour,
                "arm": arm,
                "agent_type": agent_type,
                "exact": hits - hits // 2,
                "semantic": hits // 2,
                "misses": lookups - hits,
                "warmed_hits": round(lookups * served) if arm == "warmed" else 0,
                "hit_seconds": 0.001 * hits,
                "miss_seconds": 0.002 * (lookups - hits),
                "would_hits": 0,
                "errors": 0,
            }
        )
    warmed = sum(row["warmed_hits"] for row in hours)
    entries = [
        {
            "entry_id": f"{n:064x}",
            "agent_type": AGENT,
            "prompt": f"question {n}",
            "source": source,
            "cost_usd": 0.03,
            "generation": generation(day - timedelta(days=1)) if day > FIRST else None,
            "whole_day": day > FIRST + timedelta(days=1),
            "hits": hits if day > FIRST else 0,
            "last_hit": hour,
        }
        for n, (source, hits) in enumerate([("golden", warmed - warmed // 4), ("query_log", warmed // 4)])
    ]
    datasets = workspace.datasets
    datasets.write("arm_counts", day, pa.Table.from_pylist(arms if holdout else [], schema=ARM_COUNTS))
    datasets.write("hour_counts", day, pa.Table.from_pylist(hours, schema=HOUR_COUNTS))
    datasets.write("entry_hits", day, pa.Table.from_pylist(entries, schema=ENTRY_HITS))


def write_made(workspace: Workspace, day: date, *, lookups: int = 1_000, lift: float = 0.1, wrong: int = 0) -> None:
    """Writes the plan, the replay of the last two days and the log of a day.

    In the replay, 30% of the lookups hit a cold cache and ``lift`` more hit the warmed one, all of these through warmed
    entries. ``wrong`` of 100 judged hits are wrong. A call in the log costs $0.03."""
    plan = make_plan([{"prompt": f"question {n}"} for n in range(4)])
    extra, cold = round(lookups * lift), round(lookups * 0.3)
    rows = [
        {
            **dict.fromkeys(REPLAY.names, 0),
            "agent_type": AGENT,
            "date": day - timedelta(days=back),
            "lookups": lookups,
            "cold_hits": cold,
            "warmed_hits": cold + extra,
            "exact_hits": extra,
            "own_hits": cold,
            "exact_judged": 100 if not back else 0,
            "exact_wrong": wrong if not back else 0,
        }
        for back in (1, 0)
    ]
    decision = {
        **dict.fromkeys(REPLAY_DECISIONS.names, ""),
        "agent_type": AGENT,
        "kind": "exact",
        "score": None,
        "similarity": 1.0,
        "own_response": None,
    }
    decisions = [
        {**decision, "prompt": f"question {n}", "lookups": 0, "judged": 1, "wrong": int(n < wrong)} for n in range(100)
    ]
    decisions[-1]["lookups"] = 2 * extra
    log = {
        **dict.fromkeys(DAILY_QUERY_COUNTS.names, 0),
        "agent_type": AGENT,
        "canonical": "question 1",
        "prompt": "question 1",
        "prompt_count": 10,
        "count": 10,
        "cache_hits": 1,
        "users": [],
        "responses": [],
        "answered": 9,
        "cost_usd": 0.27,
        "costed": 9,
    }
    datasets = workspace.datasets
    datasets.write("warming_plan", day, plan)
    datasets.write("replay", day, pa.Table.from_pylist(rows, schema=REPLAY))
    datasets.write("replay_decisions", day, pa.Table.from_pylist(decisions, schema=REPLAY_DECISIONS))
    datasets.write("daily_query_counts", day, pa.Table.from_pylist([log], schema=DAILY_QUERY_COUNTS), fingerprint="f")


def pay(workspace: Workspace, day: date, tokens: int, usd_per_million: float, run: str = "") -> None:
    """Writes the usage of a run for ``day`` in the night after it, with ``tokens`` embedding tokens."""
    at = datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)
    ledger = Ledger(workspace.folder(FOLDER), lambda: at, workspace.settings.prices_as_of)
    ledger.begin(run or f"run of {day}", "embeddings", day)
    ledger.note(Price("embedding", "a model", usd_per_million), tokens)
    ledger.write()
