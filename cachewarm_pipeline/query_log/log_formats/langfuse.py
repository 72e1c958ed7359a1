"""Langfuse's observations, as its blob storage export writes them: ``observations_v2/`` (enriched) is the one that has
users and trace names; the older ``observations/`` needs another column for agent_type.

``latency`` is in seconds in some projects' exports and in milliseconds in others', and the file does not say which: it
is worked out from start and end.
"""

from typing import Any

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.log_format import Connector
from cachewarm_pipeline.query_log.log_formats.tool_table import ToolTable, scalar_text
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of


def _read(calls: ToolTable) -> dict[str, Any]:
    import ibis

    usage = calls.json("usage_details")
    tokens = {"prompt_tokens": "input", "completion_tokens": "output"} if "usage_details" in calls.names else {}
    return {
        **calls.having(user_id="user_id", model="provided_model_name", cost_usd="total_cost"),
        **calls.took("start_time", "end_time"),
        **{ours: scalar_text(usage[theirs]) for ours, theirs in tokens.items()},
        "agent_type": calls.text("trace_name").nullif(""),
        "asked": calls.document("input"),
        "told": calls.document("output"),
        "finish": ibis.null("string"),
        "call": exclusion_of(
            ((calls.text("type").upper() != "GENERATION").fill_null(False), ExclusionReason.OTHER_CALL),
            ((calls.text("level").upper() == "ERROR").fill_null(False), ExclusionReason.FAILED_CALL),
        ),
    }


LANGFUSE = Connector(
    format="langfuse",
    tool="Langfuse's observations",
    tables=("observations_v2", "observations"),
    columns=(
        "start_time",
        "end_time",
        "type",
        "level",
        "input",
        "output",
        "user_id",
        "trace_name",
        "provided_model_name",
        "usage_details",
        "total_cost",
    ),
    needs={
        "query": ("input",),
        "response": ("output",),
        "agent_type": ("trace_name",),
        "created_at": ("start_time",),
    },
    read=_read,
    plain_answers=True,
)
