"""The golden answers of a source: findings joined with their analyses, as one Ibis expression for every engine."""

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from cachewarm_client.text import MAX_AGENT_TYPE_CHARS, MAX_PROMPT_CHARS

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import GoldenRows
from cachewarm_pipeline.query_log.sources.ibis_rows import (
    EARLIEST,
    exclusion_of,
    fetch,
    shaped,
    with_clean_agent_types,
)
from cachewarm_pipeline.query_log.sources.table_columns import MappedTable, time_literal
from cachewarm_pipeline.storage.schemas import TIMESTAMP

MAX_GOLDEN_ROWS = 50_000
"""Findings fetched at most, best first. It bounds the memory, and is a hundred times the number used by default."""

GOLDEN = pa.schema(
    [
        ("content_preview", pa.string()),
        ("agent_type", pa.string()),
        ("output", pa.string()),
        ("confidence_score", pa.float64()),
        ("analysis_id", pa.string()),
        ("url", pa.string()),
        ("created_at", TIMESTAMP),
    ]
)


def golden_rows(
    connection: Any,
    analyses: MappedTable,
    findings: MappedTable,
    created_up_to: date,
    min_confidence: float,
    max_response_bytes: int,
) -> GoldenRows:
    """Findings with their analyses; see Source.golden. Memory: at most MAX_GOLDEN_ROWS of them."""
    import ibis

    at = analyses.time("created_at")
    preview = analyses.text("content_preview").substr(0, MAX_PROMPT_CHARS)
    left = findings.table.select(
        analysis_id=findings.text("analysis_id"),
        agent_type=findings.text("agent_type"),
        output=findings.text("output"),
        confidence_score=findings.number("confidence_score", 0, 1),
    )
    right = analyses.table.select(
        id=analyses.text("id"), content_preview=preview, url=analyses.text("url"), created_at=at
    )
    joined = left.left_join(right, left.analysis_id == right.id)
    early, late = (
        time_literal(start_of(day), joined.created_at) for day in (EARLIEST, created_up_to + timedelta(days=1))
    )
    # Analyses of later days are dropped without a reason: on this day they did not exist yet.
    known = joined.filter((joined.created_at < late).fill_null(True))
    judged = known.mutate(
        reason=exclusion_of(
            (known.id.isnull(), ExclusionReason.NO_ANALYSIS),
            (known.created_at.isnull(), ExclusionReason.NO_DATE),
            (known.created_at < early, ExclusionReason.ABSURD_DATE),
            (known.agent_type.isnull(), ExclusionReason.EMPTY_AGENT_TYPE),
            (known.agent_type.length() > MAX_AGENT_TYPE_CHARS, ExclusionReason.BAD_AGENT_TYPE),
            (known.confidence_score.isnull(), ExclusionReason.BAD_CONFIDENCE),
            (known.confidence_score < min_confidence, ExclusionReason.LOW_QUALITY),
            (known.output.length() > max_response_bytes, ExclusionReason.RESPONSE_TOO_LARGE),
        )
    )
    excluded: Counts = Counts()
    total = 0
    for row in fetch(connection, judged.group_by("reason").aggregate(rows=judged.count())).to_pylist():
        if row["reason"] is None:
            total = row["rows"]
        else:
            excluded[ExclusionReason(row["reason"])] += row["rows"]
    kept = judged.filter(judged.reason.isnull()).select(*GOLDEN.names)
    best = kept.order_by(ibis.desc("confidence_score"), ibis.desc("created_at"), "analysis_id", "agent_type", "output")
    fetched = fetch(connection, best.limit(MAX_GOLDEN_ROWS))
    excluded[ExclusionReason.OVER_CAP] = total - fetched.num_rows
    clean, bad = with_clean_agent_types(fetched)
    excluded.update(bad)
    return GoldenRows(shaped(clean, GOLDEN, "-confidence_score -created_at analysis_id agent_type output"), +excluded)


def no_golden() -> GoldenRows:
    """The findings of a source without golden tables: none."""
    return GoldenRows(GOLDEN.empty_table(), Counts())
