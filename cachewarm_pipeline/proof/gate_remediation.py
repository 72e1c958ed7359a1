"""What a reviewer can do about a check that fails or warns: one text per check, shown on its page. Pure."""

from collections.abc import Mapping

from cachewarm_pipeline.answers.volatility import ChangeKind
from cachewarm_pipeline.proof.gate_verdict import GateVerdict

_RUN_AGAIN = "Then run the day again. The live generation keeps serving until a run passes."

_COUNT_AGAIN = (
    "Warming continues without this day's counts. Open the page of serving_counts or entry_payback to see what failed "
    "and repair it. Then run the job store_counts for the day within 8 days: after that, Redis no longer has the hits "
    "by entry."
)

_FAILED: Mapping[str, str] = {
    "day_is_counted": _COUNT_AGAIN,
    "embedding_sanity": "The vectors of the texts below are unusable. Check whether the embedding server or its model "
    "has changed (CACHEWARM_EMBEDDING_MODEL, CACHEWARM_EMBEDDING_DIMENSIONS, OPENAI_BASE_URL). Vectors are stored "
    "permanently: delete the folder `vectors` beside the datasets, so that all texts are embedded again. "
    f"{_RUN_AGAIN}",
    "quality_threshold": "Look at the entries below. Raise their confidence at the source, or remove them there. If "
    "they are good enough, lower CACHEWARM_MIN_QUALITY (golden) or CACHEWARM_MIN_ENTRY_QUALITY (log and variants). "
    f"{_RUN_AGAIN}",
    "no_conflicting_entries": "Read the pairs below and decide which answer is right. Correct or delete the other one "
    "at the source. If both answers say the same, the judge is too strict for them: set CACHEWARM_JUDGE=local or "
    "CACHEWARM_JUDGE=llm. If one answer group mixes different answers, the judge is too lenient: set "
    f"CACHEWARM_JUDGE=exact. {_RUN_AGAIN}",
    "volatile_or_personal_share": "If texts below contain personal data, remove them at the source. If the volatile "
    "share is large, check that the log stores only the answer, without a request id or a time in it, and which judge "
    f"compares answers (CACHEWARM_JUDGE). The limit is CACHEWARM_MAX_UNFIT_SHARE. {_RUN_AGAIN}",
    "false_positive_rate": "Read the wrong hits below. If the served answer is right and only worded differently, the "
    "judge is too strict: set CACHEWARM_JUDGE=llm. If the served answer is wrong, either answers have changed since "
    "they were logged (shorten CACHEWARM_LOOKBACK_DAYS), or the entry is wrong (correct it at the source). The target "
    "is CACHEWARM_MAX_WRONG_HIT_RATE: raise it only if you can accept that share of wrong answers. "
    f"{_RUN_AGAIN}",
    "loaded_equals_planned": "The live cache differs from the plan, so it may serve answers that no gate has checked. "
    "Run `cachewarm rollback` to restore the previous generation. Then find out who else writes or deletes keys that "
    "begin with `warm:`, and whether Redis evicts keys (maxmemory-policy must be noeviction).",
}

_WARNED: Mapping[str, str] = {
    "loaded_equals_planned": "A rollback pinned the live generation, so nothing newer is published. Once the cause of "
    "the rollback is repaired, run `cachewarm release` or the job release_pin. The next run then publishes.",
    "day_is_counted": _COUNT_AGAIN,
    "false_positive_rate": "You do not have to do anything: agent types without a certificate serve exact hits only. "
    "To get more semantic hits, provide more evidence: a longer log (CACHEWARM_LOOKBACK_DAYS), logged answers for more "
    "distinct queries, or a higher CACHEWARM_MAX_WRONG_HIT_RATE. The page of match_rules shows what each agent type "
    "still needs.",
}

VOLATILE: Mapping[str, str] = {
    ChangeKind.OVER_TIME: "Most volatile answers change over time, so a stored one would soon be wrong. This is right "
    "for prompts that ask for something current: exclude them at the source, or raise CACHEWARM_MAX_UNFIT_SHARE. If "
    "answers changed once, for example with a new model, shorten CACHEWARM_LOOKBACK_DAYS to the days since then.",
    ChangeKind.BY_USER: "Most volatile answers differ by user, so one user's answer would be wrong for another. Give "
    "each tenant or role its own agent_type, exclude these prompts at the source, or raise CACHEWARM_MAX_UNFIT_SHARE.",
    ChangeKind.CANNOT_TELL: "For most volatile queries even answers given close together differ, so the judge cannot "
    "tell whether they change. Look at some answers. If the log stores request ids or times in them, store the answer "
    "alone. If they say the same in other words, set CACHEWARM_JUDGE=llm, or a stronger CACHEWARM_JUDGE_MODEL where it "
    "is set. If they really differ at every call, they do not fit a cache.",
}
"""By the kind with the most demand (answers.volatility)."""

EMPTY_PLAN = (
    "There was nothing to warm. See left_out on the pages of golden_candidates, daily_query_counts, frequent_queries "
    "and warming_plan. Most often the log has no rows before this day (check CACHEWARM_SOURCE_URL and "
    "CACHEWARM_COLUMNS), or every query was asked less often than CACHEWARM_MIN_FREQUENCY. Correct that. "
    f"{_RUN_AGAIN}"
)


def remediation(gate: str, verdict: GateVerdict) -> str | None:
    """What to do about a check's verdict, naming settings and pages. None if the check passed without a warning, or no
    remediation is known."""
    if verdict.passed and not verdict.numbers.get("days_failed"):
        return _WARNED.get(gate) if verdict.warning else None
    if gate == "quality_threshold" and verdict.numbers.get("entries") == 0:
        return EMPTY_PLAN
    kinds = {kind: verdict.numbers.get(f"volatile_{kind}_lookups_a_day", 0) for kind in VOLATILE}
    if gate == "volatile_or_personal_share" and any(kinds.values()):
        most = max(kinds, key=lambda kind: kinds[kind])
        return f"If texts below contain personal data, remove them at the source. {VOLATILE[most]} {_RUN_AGAIN}"
    return _FAILED.get(gate)
