"""Langfuse's observations, as its blob storage export writes them.

``observations_v2/`` (enriched) has users and trace names. The older ``observations/`` has neither, so agent_type must
be mapped to another column.

Some projects export ``latency`` in seconds, others in milliseconds, and the file does not tell which. So it is computed
from start and end.
"""

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.connector import CallColumns, Connector
from cachewarm_pipeline.query_log.log_formats.tool_table import ToolTable, scalar_text
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of


def _read(calls: ToolTable) -> CallColumns:
    usage = calls.json("usage_details")
    tokens = {"prompt_tokens": "input", "completion_tokens": "output"} if "usage_details" in calls.names else {}
    return CallColumns(
        prompt=calls.document("input"),
        answer=calls.document("output"),
        excluded=exclusion_of(
            ((calls.text("type").upper() != "GENERATION").fill_null(False), ExclusionReason.OTHER_CALL),
            ((calls.text("level").upper() == "ERROR").fill_null(False), ExclusionReason.FAILED_CALL),
        ),
        columns={
            **calls.existing(user_id="user_id", model="provided_model_name", cost_usd="total_cost"),
            **calls.latency("start_time", "end_time"),
            **{ours: scalar_text(usage[theirs]) for ours, theirs in tokens.items()},
            "agent_type": calls.text("trace_name").nullif(""),
        },
    )


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
