"""Taking bad answers out of service: in every generation at once, and out of later plans by the ledger.

What is served is asked of Redis, not of a plan: the day's plan may have been made again since it was published.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.wrong_hit_reports import ANONYMOUS, ServedAnswer, WrongHitReport, response_sha

from cachewarm_pipeline.errors import CacheError, CachewarmError
from cachewarm_pipeline.freshness import withdrawn_entries as withdrawn
from cachewarm_pipeline.freshness.service import WITHDRAWN, withdrawn_entries
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.publishing.cache_ports import CachePorts
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.wrong_hit_attribution import Rejected, attribute
from cachewarm_pipeline.publishing.wrong_hit_confirmation import confirmed, expired

LOG_DAYS = 2
"""Days of the log that are looked at for rejected answers: today and yesterday, so that midnight hides nothing. What is
found is counted as a report, and reports are kept."""

ALWAYS = 3
"""Entries that may be withdrawn one by one however small the generation is."""

IN_LOG = "negative feedback on served answers in the log"


def rejected_rows(ports: CachePorts) -> list[Rejected]:
    """Served answers of the last days of the log that users rejected."""
    return [
        Rejected(row["agent_type"], row["query"], row["response"], tuple(row["users"]), row["last_at"])
        for back in range(LOG_DAYS)
        for row in ports.source.rejected(ports.today - timedelta(days=back)).to_pylist()
    ]


def withdraw_confirmed(ports: CachePorts, progress: Callable[[str], Any]) -> dict[str, Any]:
    """Withdraw what enough different people report, in Redis or in the log; returns counts.

    The log is asked last: where it cannot be read, what is confirmed without it is out of service already, and only
    then its fault is raised. Raises CacheError after it took out ``wrong_hit_max_share`` of the generation (and ALWAYS
    entries) where more is confirmed: that is no case for single entries any more, and a person must look.
    """
    cache = ports.cache
    live = cache.live()
    if live is None:
        return {"withdrawn": 0}
    cache.clear_reports(expired(cache.wrong_hit_reports(), ports.now()))
    done, over = _act(ports, cache, live.id, live.entries)
    fault: CachewarmError | None = None
    try:
        found = _count_rejected(ports, cache)
    except CachewarmError as error:
        found, fault = 0, error
    if found:
        more, over = _act(ports, cache, live.id, live.entries)
        done += more
    if done:
        progress(f"{done} answers are out of service")
    if over:
        raise CacheError(
            f"{over} more answers of {live.id} are confirmed to be wrong than may be withdrawn one by one "
            f"({ports.settings.wrong_hit_max_share:.0%} of its {live.entries:,} entries, "
            "CACHEWARM_WRONG_HIT_MAX_SHARE): `cachewarm withdrawn` lists them, and `cachewarm rollback` goes back if "
            "the generation is bad"
        )
    if fault:
        raise fault
    return {"withdrawn": done, "rejected_in_log": found}


def _act(ports: CachePorts, cache: CacheStore, generation: str, entries: int) -> tuple[int, int]:
    """Withdraw what is confirmed now, most reported first; returns how many, and how many had to stay."""
    settings = ports.settings
    reports = confirmed(cache.wrong_hit_reports(), settings.wrong_hit_reports)
    served = {
        (one.entry_id, response_sha(one.response)): one for one in cache.answers([one.entry_id for one in reports])
    }
    bad = [report for report in reports if (report.entry_id, report.response_sha) in served]
    room = max(ALWAYS, int(settings.wrong_hit_max_share * entries)) - cache.out_of_service(generation)
    worst = sorted(bad, key=lambda report: (-len(report.reporters), report.entry_id))[: max(0, room)]
    for by in ("reports", "log"):
        own = [report for report in worst if (report.why == IN_LOG) == (by == "log")]
        if own:
            answers = [served[report.entry_id, report.response_sha] for report in own]
            withdraw_answers(ports, cache, answers, by=by, reports=own)
    # Also those of answers that no generation holds any more; what had to stay is still to be looked at.
    cache.clear_reports([report for report in reports if report in worst or report not in bad])
    return len(worst), len(bad) - len(worst)


def withdraw_answers(
    ports: CachePorts,
    cache: CacheStore,
    answers: Sequence[ServedAnswer],
    *,
    by: str,
    why: str = "",
    reports: Sequence[WrongHitReport] = (),
) -> None:
    """Take answers out of service, with those of variants and other wordings that are the same, and write them to the
    ledger, by which later plans leave all of them out.

    In this order: a fault on the way (a server that embeds) leaves nothing of it undone but the others that are live.
    """
    now = ports.now()
    told = {(report.entry_id, report.response_sha): report for report in reports}
    rows = []
    for one in answers:
        # One by one: an entry may have different bad answers in two generations.
        cache.withdraw({one.entry_id: one.response}, now, why)
        report = told.get((one.entry_id, response_sha(one.response)))
        rows.append(
            {
                **vars(one),
                "why": report.why if report else why,
                "reports": len(report.reporters) if report else 1,
                "by": by,
            }
        )
    with cache.ledger_lock():
        _write(ports, withdrawn.add(withdrawn_entries(ports.datasets), rows, now))
    for one in answers:
        others = _companions(ports, cache, one)
        cache.withdraw({other.entry_id: other.response for other in others}, now, _went_with(one.entry_id))


def reinstate_entry(ports: CachePorts, cache: CacheStore, entry_id: str) -> bool:
    """Let an entry, and those that went with it, be warmed again; False where it was not withdrawn."""
    with cache.ledger_lock():
        ledger = withdrawn_entries(ports.datasets)
        if entry_id not in withdrawn.active(ledger):
            return False
        left = withdrawn.reinstate(ledger, [entry_id], ports.now())
        _write(ports, left)
    others = [one.entry_id for one in cache.withdrawn() if one.why == _went_with(entry_id)]
    cache.reinstate([entry_id, *(set(others) - withdrawn.active(left))])
    return True


def _went_with(entry_id: str) -> str:
    """Why an entry is out of service that nobody reported: it gave the answer of this one."""
    return f"the answer of {entry_id[:12]}"


def _write(ports: CachePorts, ledger: pa.Table) -> None:
    """As the newest file, also where a machine whose clock is ahead wrote one."""
    newest: date = max([ports.today, *ports.datasets.days(WITHDRAWN)[-1:]])
    ports.datasets.write(WITHDRAWN, newest, ledger)


def _companions(ports: CachePorts, cache: CacheStore, bad: ServedAnswer) -> list[ServedAnswer]:
    """Live entries that give a withdrawn answer too: its variants, and other wordings of its prompt."""
    alike = [
        one
        for one in cache.live_answers()
        if one.entry_id != bad.entry_id
        and one.agent_type == bad.agent_type
        and response_sha(one.response) == response_sha(bad.response)
    ]
    variants = withdrawn.variants_of([bad.entry_id], [vars(one) for one in (bad, *alike)])
    to, of_alike = _vectors(ports, bad.prompt, [one.prompt for one in alike])
    near = withdrawn.near_withdrawn(to, of_alike, ports.settings.coverage_radius)
    return [one for place, one in enumerate(alike) if one.entry_id in variants or place in near]


def _count_rejected(ports: CachePorts, cache: CacheStore) -> int:
    """Count what the log rejects as reports; returns how many rows were blamed on an entry. Counting again is harmless:
    a user counts once, and those whose ids are unknown are one reporter together."""
    rows = rejected_rows(ports)
    if not rows:
        return 0
    entries = {one.entry_id: one for one in cache.live_answers()}
    back_at = withdrawn.reinstated(withdrawn_entries(ports.datasets))
    blamed = 0
    for entry, of_entry in attribute(rows, list(entries.values()), partial(_nearest, ports, entries)).items():
        for row in of_entry:
            if entry in back_at and row.last_at <= back_at[entry]:
                continue
            blamed += 1
            for user in row.users or (ANONYMOUS,):
                cache.count_report(entries[entry], user, row.last_at, IN_LOG)
    return blamed


def _nearest(ports: CachePorts, entries: Mapping[str, ServedAnswer], query: str, able: Sequence[str]) -> str:
    to, of_able = _vectors(ports, query, [entries[entry].prompt for entry in able])
    return able[int(np.argmax(of_able @ to))]


def _vectors(ports: CachePorts, text: str, others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a text (d,) and of others (n, d); what was never seen is embedded."""
    embed_new_texts(ports.embedder, ports.vectors, [text, *others])
    vectors = vectors_of(ports.embedder, ports.vectors, [text, *others])
    return vectors[0], vectors[1:]
