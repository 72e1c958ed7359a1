"""What a reviewer can do about a gate that fails or warns: one text for each, for the check's page. Pure."""

from collections.abc import Mapping
from datetime import date

from cachewarm_pipeline.proof.plan_gates import GateVerdict

_AGAIN = "then run the day again; the live generation serves until one passes."

_COUNT_AGAIN = (
    "Warming goes on without it. The page of serving_counts or entry_payback says what failed; mend that, then run the "
    "job store_counts for the day within 8 days: so long Redis has the hits of entries."
)

_FAILED: Mapping[str, str] = {
    "day_is_counted": _COUNT_AGAIN,
    "embedding_sanity": "The vectors of the texts below cannot be compared. Look whether the embedding server or its "
    "model has changed (CACHEWARM_EMBEDDING_MODEL, CACHEWARM_EMBEDDING_DIMENSIONS, OPENAI_BASE_URL). Vectors are "
    f"stored for ever: delete the folder `vectors` beside the datasets, so that all are made anew, {_AGAIN}",
    "quality_threshold": "Look at the entries below: raise their confidence at the source, or leave them out there. If "
    "they are good enough, lower CACHEWARM_MIN_QUALITY (golden) or CACHEWARM_MIN_ENTRY_QUALITY (log and variants), "
    f"{_AGAIN}",
    "no_conflicting_entries": "Read the pairs below and decide which answer is right. Correct or delete the other one "
    "at the source. If both say the same, the judge is too strict for these answers (CACHEWARM_JUDGE=embedding or "
    f"llm); if one group holds different answers, it is too lax (CACHEWARM_JUDGE=exact), {_AGAIN}",
    "volatile_or_personal_share": "Texts below with personal data: remove them at the source. A large volatile share "
    "says that answers change from call to call: see that the answer is what is logged, without a request id or a "
    "time in it, and which judge compares answers (CACHEWARM_JUDGE). CACHEWARM_MAX_UNFIT_SHARE is the limit, "
    f"{_AGAIN}",
    "false_positive_rate": "Read the wrong hits below. Is the served answer wrong, or only worded otherwise? Then the "
    "judge is too strict (CACHEWARM_JUDGE=llm). Are they wrong? Then answers have changed since the log (shorten "
    "CACHEWARM_LOOKBACK_DAYS), or the entry is bad (correct it at the source). CACHEWARM_MAX_WRONG_HIT_RATE is the "
    f"target: raise it only if that many wrong answers are bearable, {_AGAIN}",
    "loaded_equals_planned": "What is live is not what was planned, so it may answer with what no gate has seen. "
    "`cachewarm rollback` brings back the generation before; then look who else writes or deletes keys that begin "
    "with `warm:`, and whether Redis evicts keys (maxmemory-policy must be noeviction).",
}

_WARNED: Mapping[str, str] = {
    "loaded_equals_planned": "A rollback pinned what is live, so nothing newer is published. When what was wrong is "
    "mended: `cachewarm release`, or the job release_pin; then the next run publishes.",
    "day_is_counted": _COUNT_AGAIN,
    "false_positive_rate": "Nothing has to be done: agent types without a certificate answer exact hits only. For more "
    "semantic hits they need more evidence: a longer log (CACHEWARM_LOOKBACK_DAYS), logged answers for more distinct "
    "queries, or a higher CACHEWARM_MAX_WRONG_HIT_RATE. The page of match_rules says for each how far it is.",
}

EMPTY_PLAN = (
    "Nothing could be warmed. See left_out on the pages of golden_candidates, daily_query_counts, frequent_queries "
    "and warming_plan: most often the log has no rows before this day (CACHEWARM_SOURCE_URL, CACHEWARM_COLUMNS), or "
    f"each query was asked fewer times than CACHEWARM_MIN_FREQUENCY. Mend that, {_AGAIN}"
)


def what_to_do(gate: str, verdict: GateVerdict) -> str | None:
    """What helps, naming settings and pages; None where all is well, or nothing is known to help."""
    if verdict.passed and not verdict.numbers.get("days_failed"):
        return _WARNED.get(gate) if verdict.warning else None
    if gate == "quality_threshold" and verdict.numbers.get("entries") == 0:
        return EMPTY_PLAN
    return _FAILED.get(gate)


def of_days(verdicts: Mapping[date, GateVerdict]) -> GateVerdict:
    """What a run over several days says of all of them: its last day's verdict is what a publish asks for, so that one
    decides; days before it that fail or warn are named with their sentences."""
    last = max(verdicts)
    failed = [day for day, verdict in sorted(verdicts.items()) if not verdict.passed]
    warned = [day for day, verdict in sorted(verdicts.items()) if verdict.passed and verdict.warning]
    word = "fail" if failed else "warn" if warned else "pass"
    count = len(failed or warned or verdicts)
    shown = failed[-_NAMED:] or warned[-1:] or [last]
    named = "; ".join(f"{day}: {verdicts[day].sentence.rstrip('.')}" for day in shown)
    before = f", {count - len(shown)} before these" if count > len(shown) and word != "pass" else ""
    return GateVerdict(
        verdicts[last].passed,
        f"{count} of {len(verdicts)} days {word}{before}: {named}.",
        {"days": len(verdicts), "days_failed": len(failed), "days_warned": len(warned)},
        [
            {"day": str(day), "result": _word(verdict), "sentence": verdict.sentence}
            for day, verdict in sorted(
                verdicts.items(), key=lambda each: (each[1].passed, not each[1].warning, each[0])
            )
        ][:_LISTED],
        verdicts[last].withheld,
        bool(failed or warned),
    )


_NAMED = 3
"""Days that fail and that the sentence names, the latest ones."""

_LISTED = 100
"""Days in the table, failed ones first; each day has a page of its own too."""


def _word(verdict: GateVerdict) -> str:
    return "failed" if not verdict.passed else "warned" if verdict.warning else "passed"
