"""Golden answers: which findings become candidates for warming."""

from typing import Any

import pyarrow as pa
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import canonical, cut, entry_id
from cachewarm_client.urls import redact_url

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump, source_row_hash
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.query_log.responses import is_empty_json, json_value
from cachewarm_pipeline.storage.schemas import GOLDEN_CANDIDATES


def choose_golden_candidates(rows: pa.Table, *, cap: int, max_response_bytes: int) -> tuple[pa.Table, Counts]:
    """The golden candidates (GOLDEN_CANDIDATES), best first, and the findings that were excluded.

    ``rows`` are findings with their analyses, as in ``GoldenRows.table``. There is one candidate for each canonical
    prompt and agent_type: the finding with the highest confidence, then the newest analysis; at most ``cap`` in all.
    The prompt is the content preview of the analysis, cut to the length of a prompt. The response is the output of the
    finding as written: a JSON object, array or string that is not empty and has at most ``max_response_bytes`` bytes of
    UTF-8. A finding with personal data or a secret in its prompt or its output is excluded. The demand of a golden
    answer is not known and is set to 0.

    The order of ``rows`` does not matter: it is sorted here.
    """
    excluded: Counts = Counts()
    best: dict[str, dict[str, Any]] = {}
    ties = [(name, "ascending") for name in ("analysis_id", "agent_type", "output", "content_preview")]
    ordered = rows.sort_by([("confidence_score", "descending"), ("created_at", "descending"), *ties])
    for batch in ordered.to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            reason = _exclusion_reason(row, max_response_bytes)
            if reason is None:
                key = entry_id(row["content_preview"], row["agent_type"])
                if key in best:
                    reason = ExclusionReason.DUPLICATE_PROMPT
                elif len(best) >= cap:
                    reason = ExclusionReason.OVER_CAP
                elif find_personal_data(cut(row["content_preview"])) or find_personal_data(row["output"]):
                    reason = ExclusionReason.PERSONAL
                else:
                    best[key] = _candidate(key, row)
            if reason is not None:
                excluded[reason] += 1
    return pa.Table.from_pylist(list(best.values()), schema=GOLDEN_CANDIDATES), excluded


def _exclusion_reason(row: dict[str, Any], max_response_bytes: int) -> ExclusionReason | None:
    preview, output = row["content_preview"], row["output"]
    if not preview or not canonical(cut(preview)):
        return ExclusionReason.EMPTY_PROMPT
    if not output or not output.strip():
        return ExclusionReason.EMPTY_RESPONSE
    if len(output.strip().encode("utf-8", "surrogatepass")) > max_response_bytes:
        return ExclusionReason.RESPONSE_TOO_LARGE
    try:
        parsed = json_value(output)
    except ValueError:
        return ExclusionReason.UNPARSABLE_OUTPUT
    if is_empty_json(parsed):
        return ExclusionReason.EMPTY_RESPONSE
    return None if isinstance(parsed, dict | list | str) else ExclusionReason.UNPARSABLE_OUTPUT


def _candidate(key: str, row: dict[str, Any]) -> dict[str, Any]:
    provenance = {
        "analysis_id": row["analysis_id"],
        "url": redact_url(row["url"]) if row["url"] else None,
        "created_at": row["created_at"].isoformat(),
        "confidence": row["confidence_score"],
        "depends": AnswerProvenance(
            source_row_hash(row["output"].strip(), repr(float(row["confidence_score"])))
        ).as_dict(),
    }
    return {
        "entry_id": key,
        "agent_type": row["agent_type"],
        "prompt": cut(row["content_preview"]),
        "response": row["output"].strip(),
        "source": "golden",
        "quality_score": row["confidence_score"],
        "demand": 0.0,
        "cost_usd": None,
        "provenance": dump(provenance),
    }
