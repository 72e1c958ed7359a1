"""Withdraws wrong answers: from every generation in Redis at once, and from later plans through the ledger.

What is served is read from Redis, not from a plan: the day's plan may have been made again since it was published.
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
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.publishing.cache_ports import CachePorts
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.wrong_hit_attribution import RejectedAnswer, attribute_to_entries
from cachewarm_pipeline.publishing.wrong_hit_confirmation import confirmed, expired

FEEDBACK_DAYS = 2
"""Days of the log that are searched for rejected answers: today and yesterday, so that midnight hides nothing. Older
feedback is not needed: what is found is counted as a report, and reports are kept."""

MIN_WITHDRAWALS = 3
"""Entries that may be withdrawn one by one, however small the generation is."""

IN_LOG = "negative feedback on served answers in the log"
"""Reason of the reports that come from the log; stored with them."""


def rejected_answers(ports: CachePorts) -> list[RejectedAnswer]:
    """Served answers of the last FEEDBACK_DAYS days of the log that users rejected. Raises SourceError."""
    return [
        RejectedAnswer(row["agent_type"], row["query"], row["response"], tuple(row["users"]), row["last_at"])
        for back in range(FEEDBACK_DAYS)
        for row in ports.source.rejected(ports.today - timedelta(days=back)).to_pylist()
    ]


def withdraw_confirmed(ports: CachePorts, progress: Callable[[str], Any]) -> dict[str, Any]:
    """Withdraw the answers that enough different people call wrong, in Redis or in the log; returns counts.

    The log is read last. If that fails, answers that are confirmed without it are out of service already, and only then
    the fault is raised. When more answers are confirmed than ``wrong_hit_max_share`` of the generation (and
    MIN_WITHDRAWALS), this raises CacheError after it withdrew that many: the whole generation may be bad then, and a
    person has to look at it.
    """
    cache = ports.cache
    live = cache.live()
    if live is None:
        return {"withdrawn": 0}
    cache.clear_reports(expired(cache.wrong_hit_reports(), ports.now()))
    done, over_limit = _withdraw_reported(ports, cache, live.id, live.entries)
    fault: CachewarmError | None = None
    try:
        found = _count_rejected(ports, cache)
    except CachewarmError as error:
        found, fault = 0, error
    if found:
        more, over_limit = _withdraw_reported(ports, cache, live.id, live.entries)
        done += more
    if done:
        progress(f"{plural(done, 'answer is', 'answers are')} out of service")
    if over_limit:
        limit = f"{ports.settings.wrong_hit_max_share:.0%} of its {live.entries:,} entries"
        raise CacheError(
            f"{plural(over_limit, 'more confirmed wrong answer')} of {live.id} stayed in service: "
            f"at most {limit} (CACHEWARM_WRONG_HIT_MAX_SHARE) are withdrawn one by one; `cachewarm withdrawn` lists "
            "them, and `cachewarm rollback` goes back if the generation is bad"
        )
    if fault:
        raise fault
    return {"withdrawn": done, "rejected_in_log": found}


def _withdraw_reported(ports: CachePorts, cache: CacheStore, generation: str, entries: int) -> tuple[int, int]:
    """Withdraw what is confirmed now, the answers with most reporters first; returns how many were withdrawn, and how
    many were not because of the limit. ``entries``: planned entries of the live generation."""
    settings = ports.settings
    reports = confirmed(cache.wrong_hit_reports(), settings.wrong_hit_reports)
    served = {
        (one.entry_id, response_sha(one.response)): one for one in cache.answers([one.entry_id for one in reports])
    }
    bad = [report for report in reports if (report.entry_id, report.response_sha) in served]
    room = max(MIN_WITHDRAWALS, int(settings.wrong_hit_max_share * entries)) - cache.out_of_service(generation)
    worst = sorted(bad, key=lambda report: (-len(report.reporters), report.entry_id))[: max(0, room)]
    for by in ("reports", "log"):
        own = [report for report in worst if (report.why == IN_LOG) == (by == "log")]
        if own:
            answers = [served[report.entry_id, report.response_sha] for report in own]
            withdraw_answers(ports, cache, answers, by=by, reports=own)
    # Also clears reports of answers that no generation has any more. Reports over the limit stay for a person to see.
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
    """Take answers out of service, together with their variants and other wordings of the prompt that have the same
    answer, and add them to the ledger, which excludes all of them from later plans.

    ``by``: one of freshness.withdrawn_entries.BY. ``reports`` give an answer its reason and number of reporters;
    answers without one have ``why``.

    The variants and other wordings come last: they need the embedder, and a fault there leaves the rest done.
    """
    now = ports.now()
    report_of = {(report.entry_id, report.response_sha): report for report in reports}
    rows = []
    for one in answers:
        # One by one: an entry may have different bad answers in two generations.
        cache.withdraw({one.entry_id: one.response}, now, why)
        report = report_of.get((one.entry_id, response_sha(one.response)))
        rows.append(
            {
                **vars(one),
                "why": report.why if report else why,
                "reports": len(report.reporters) if report else 1,
                "by": by,
            }
        )
    with cache.ledger_lock():
        _write_ledger(ports, withdrawn.add(withdrawn_entries(ports.datasets), rows, now))
    for one in answers:
        others = _same_answers(ports, cache, one)
        cache.withdraw({other.entry_id: other.response for other in others}, now, _same_answer_as(one.entry_id))


def reinstate_entry(ports: CachePorts, cache: CacheStore, entry_id: str) -> bool:
    """Let an entry be warmed again, and those that were withdrawn because of it; False if it was not withdrawn."""
    with cache.ledger_lock():
        ledger = withdrawn_entries(ports.datasets)
        if entry_id not in withdrawn.active(ledger):
            return False
        left = withdrawn.reinstate(ledger, [entry_id], ports.now())
        _write_ledger(ports, left)
    others = [one.entry_id for one in cache.withdrawn() if one.why == _same_answer_as(entry_id)]
    cache.reinstate([entry_id, *(set(others) - withdrawn.active(left))])
    return True


def _same_answer_as(entry_id: str) -> str:
    """Reason of an entry that was withdrawn because it has the answer of this one. Stored, and found again by a
    reinstatement."""
    return f"the answer of {entry_id[:12]}"


def _write_ledger(ports: CachePorts, ledger: pa.Table) -> None:
    """Write the ledger as the newest file, also when a machine whose clock is ahead wrote a later one."""
    newest: date = max([ports.today, *ports.datasets.days(WITHDRAWN)[-1:]])
    ports.datasets.write(WITHDRAWN, newest, ledger)


def _same_answers(ports: CachePorts, cache: CacheStore, bad: ServedAnswer) -> list[ServedAnswer]:
    """Live entries that give a withdrawn answer too: variants of the entry, and other wordings of its prompt."""
    alike = [
        one
        for one in cache.live_answers()
        if one.entry_id != bad.entry_id
        and one.agent_type == bad.agent_type
        and response_sha(one.response) == response_sha(bad.response)
    ]
    variants = withdrawn.variants_of([bad.entry_id], [vars(one) for one in (bad, *alike)])
    prompt, prompts = _vectors(ports, bad.prompt, [one.prompt for one in alike])
    near = withdrawn.near_withdrawn(prompt, prompts, ports.settings.coverage_radius)
    return [one for place, one in enumerate(alike) if one.entry_id in variants or place in near]


def _count_rejected(ports: CachePorts, cache: CacheStore) -> int:
    """Count rejected answers of the log as reports; returns how many were attributed to an entry.

    Counting again is harmless: a user counts once, and all users without an id count as one person together.
    """
    rows = rejected_answers(ports)
    if not rows:
        return 0
    entries = {one.entry_id: one for one in cache.live_answers()}
    reinstated_at = withdrawn.reinstated(withdrawn_entries(ports.datasets))
    attributed = attribute_to_entries(rows, list(entries.values()), partial(_nearest, ports, entries))
    counted = 0
    for entry, rejected in attributed.items():
        for row in rejected:
            if entry in reinstated_at and row.last_at <= reinstated_at[entry]:
                continue
            counted += 1
            for user in row.users or (ANONYMOUS,):
                cache.count_report(entries[entry], user, row.last_at, IN_LOG)
    return counted


def _nearest(ports: CachePorts, entries: Mapping[str, ServedAnswer], query: str, candidates: Sequence[str]) -> str:
    """The candidate entry whose prompt is most similar to the query."""
    vector, vectors = _vectors(ports, query, [entries[entry].prompt for entry in candidates])
    return candidates[int(np.argmax(vectors @ vector))]


def _vectors(ports: CachePorts, text: str, others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a text (d,) and of others (n, d). Texts without a stored vector are embedded."""
    embed_new_texts(ports.embedder, ports.vectors, [text, *others])
    vectors = vectors_of(ports.embedder, ports.vectors, [text, *others])
    return vectors[0], vectors[1:]
