"""Taking bad entries out of service: from the live generation at once, from later plans by the ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np

from cachewarm_pipeline.assets import steps
from cachewarm_pipeline.core import withdrawn
from cachewarm_pipeline.core.confirm import Rejected, blame, reporters
from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.wrong_hits import confirmed, response_sha
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.embedding import embed_missing
from cachewarm_pipeline.resources.workspace import Workspace

LEDGER = "withdrawn_entries"

LOG_DAYS = 2
"""Days of the log that are looked at for rejected answers: today and yesterday, so that midnight hides nothing."""


ALWAYS = 3
"""Entries that may be withdrawn one by one however small the generation is."""


@dataclass(frozen=True)
class Bad:
    """Why an entry is to go, and by how many people."""

    why: str
    by: str
    reports: int = 1


def rejected_rows(workspace: Workspace, day: date) -> list[Rejected]:
    """Served answers of one day of the log that users rejected."""
    return [
        Rejected(row["agent_type"], row["query"], row["response"], tuple(row["users"]), row["reports"], row["last_at"])
        for row in workspace.source.rejected(day).to_pylist()
    ]


def planned_entries(workspace: Workspace, day: date) -> dict[str, dict[str, Any]]:
    """entry_id to the planned entry of a day: agent_type, prompt, response."""
    plan = workspace.datasets.read("warming_plan", day, ["entry_id", "agent_type", "prompt", "response"])
    return {row["entry_id"]: row for row in plan.to_pylist()}


def withdraw_confirmed(workspace: Workspace, progress: Callable[[str], Any]) -> dict[str, Any]:
    """Withdraw what enough different people report, in Redis or in the log; returns counts.

    Raises CacheError after it took out ``wrong_hit_max_share`` of the generation (and ALWAYS entries) where more is
    confirmed: that is no case for single entries any more, and a person must look (and roll back).
    """
    settings, cache = workspace.settings, workspace.cache
    live = cache.live()
    if live is None:
        return {"withdrawn": 0}
    entries = planned_entries(workspace, live.as_of)
    ledger = _ledger(workspace)
    known = withdrawn.active(ledger)
    reports = confirmed(cache.wrong_hit_reports(), settings.wrong_hit_reports)
    bad = _of_log(workspace, entries)
    for report in reports:
        entry = entries.get(report.entry_id)
        if entry and response_sha(entry["response"]) == report.response_sha:
            bad[report.entry_id] = Bad(report.why, "reports", len(report.reporters))
    bad = {entry: one for entry, one in bad.items() if entry not in known}
    most = max(ALWAYS, int(settings.wrong_hit_max_share * live.entries)) - len(known & entries.keys())
    worst = sorted(bad, key=lambda entry: (-bad[entry].reports, entry))[: max(0, most)]
    if worst:
        withdraw_entries(workspace, cache, {entry: bad[entry] for entry in worst}, entries)
        progress(f"{len(worst)} entries are out of service")
    over = bad.keys() - set(worst)
    cache.clear_reports([report.entry_id for report in reports if report.entry_id not in over])
    if len(worst) < len(bad):
        raise CacheError(
            f"{len(bad)} entries of {live.id} are confirmed to be wrong, and at most "
            f"{settings.wrong_hit_max_share:.0%} of its {live.entries:,} may be withdrawn one by one "
            f"(CACHEWARM_WRONG_HIT_MAX_SHARE; {len(worst)} were now): look at them, and `cachewarm rollback` if the "
            "generation is bad"
        )
    return {"reported": len(reports), "withdrawn": len(worst)}


def withdraw_entries(
    workspace: Workspace, cache: CacheStore, bad: Mapping[str, Bad], entries: Mapping[str, Mapping[str, Any]]
) -> None:
    """Take entries of a plan out of service, and write them to the ledger that later plans read."""
    now = workspace.now()
    cache.withdraw({entry: entries[entry]["response"] for entry in bad}, now)
    rows = [{**entries[entry], "why": one.why, "reports": one.reports, "by": one.by} for entry, one in bad.items()]
    workspace.datasets.write(LEDGER, now.date(), withdrawn.add(_ledger(workspace), rows, now))


def reinstate_entry(workspace: Workspace, cache: CacheStore, entry_id: str) -> bool:
    """Let an entry be warmed again; False where it was not withdrawn."""
    ledger = _ledger(workspace)
    if entry_id not in withdrawn.active(ledger):
        return False
    now = workspace.now()
    workspace.datasets.write(LEDGER, now.date(), withdrawn.reinstate(ledger, [entry_id], now))
    cache.reinstate([entry_id])
    return True


def _ledger(workspace: Workspace) -> Any:
    days = workspace.datasets.days(LEDGER)
    return workspace.datasets.read(LEDGER, days[-1]) if days else withdrawn.empty()


def _of_log(workspace: Workspace, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Bad]:
    """Entries whose answers enough people rejected in the log since they were last brought back."""
    today = workspace.today
    rows = [row for back in range(LOG_DAYS) for row in rejected_rows(workspace, today - timedelta(days=back))]
    if not rows:
        return {}
    back_at = withdrawn.reinstated(_ledger(workspace))
    found = {}
    for entry, of_entry in blame(rows, list(entries.values()), partial(_nearest, workspace, entries)).items():
        later = [row for row in of_entry if entry not in back_at or row.last_at > back_at[entry]]
        if (people := reporters(later)) >= workspace.settings.wrong_hit_reports:
            found[entry] = Bad("negative feedback on served answers in the log", "log", people)
    return found


def _nearest(
    workspace: Workspace, entries: Mapping[str, Mapping[str, Any]], query: str, able: "list[str] | tuple[str, ...]"
) -> str:
    texts = [query, *(entries[entry]["prompt"] for entry in able)]
    embed_missing(workspace.embedder, workspace.vectors, texts)
    vectors = steps.vectors_of(workspace, texts)
    return able[int(np.argmax(vectors[1:] @ vectors[0]))]
