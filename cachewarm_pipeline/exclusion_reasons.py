"""Why a row was excluded. Every row that a stage drops is counted under one of these reasons; no drop is silent."""

from collections import Counter
from enum import StrEnum


class ExclusionReason(StrEnum):
    """All reasons. Reports and the UI show the values."""

    # Source rows
    EMPTY_PROMPT = "empty_prompt"
    PROMPT_TOO_LONG = "prompt_too_long"
    EMPTY_AGENT_TYPE = "empty_agent_type"
    BAD_AGENT_TYPE = "bad_agent_type"
    NO_DATE = "no_date"
    ABSURD_DATE = "absurd_date"
    # Rows of another tool's log (CACHEWARM_LOG_FORMAT). The last two exclude only the answer: the row stays demand
    OTHER_CALL = "not_a_chat_call"
    FAILED_CALL = "failed_call"
    NOT_RECORDED = "text_not_recorded"
    TEXT_CUT = "text_cut"
    MULTI_TURN = "multi_turn"
    NO_TEXT = "no_text_message"
    UNFINISHED = "unfinished_answer"
    NO_TEXT_ANSWER = "no_text_answer"
    # Golden findings and logged responses
    UNPARSABLE_OUTPUT = "unparsable_output"
    EMPTY_RESPONSE = "empty_response"
    RESPONSE_TOO_LARGE = "response_too_large"
    BAD_CONFIDENCE = "bad_confidence"
    LOW_QUALITY = "low_quality"
    NO_ANALYSIS = "no_analysis"
    # Golden findings and the rollup
    PERSONAL = "personal"
    # Rollup of the log
    RARE = "rare"
    FEW_USERS = "few_users"
    NO_EVIDENCE = "no_evidence"
    NEGATIVE_FEEDBACK = "negative_feedback"
    VOLATILE = "volatile"
    # Synthetic variants. A base query that the model has written nothing for counts once
    NOT_WRITTEN = "not_written"
    MEANING_CHANGED = "meaning_changed"
    NEARER_TO_ANOTHER_BASE = "nearer_to_another_base"
    TOO_CLOSE = "too_close"
    TOO_FAR = "too_far"
    NO_RESPONSE = "no_response"
    # Union and plan
    DUPLICATE_PROMPT = "duplicate_prompt"
    CONFLICTING_ANSWER = "conflicting_answer"
    INSEPARABLE = "inseparable"
    OVER_CAP = "over_cap"
    NO_DEMAND = "no_demand"
    BELOW_FLOOR = "below_min_gain"
    OVER_QUOTA = "over_quota"
    OVER_BUDGET = "over_budget"
    NO_EMBEDDING = "no_embedding"
    STALE = "stale"
    REPORTED_WRONG = "reported_wrong"
    EARNED_NOTHING = "earned_nothing"


Counts = Counter[ExclusionReason]


def as_metadata(counts: Counts) -> dict[str, int]:
    """Reason to number of rows, most rows first; reasons without rows are absent."""
    return {str(reason): number for reason, number in counts.most_common() if number}
