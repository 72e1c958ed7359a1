"""LiteLLM's SpendLogs: the table ``LiteLLM_SpendLogs`` of its proxy, or an export of it.

It has prompts and answers only if the proxy has ``store_prompts_in_spend_logs`` set. Versions of early 2025 keep the
prompt in ``messages``; later ones write ``{}`` there and keep the request's body in ``proxy_server_request``.
"""

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.connector import CallColumns, Connector
from cachewarm_pipeline.query_log.log_formats.tool_table import Document, ToolTable, scalar_text
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of
from cachewarm_pipeline.query_log.sources.table_columns import null_of

_CHAT = ["completion", "acompletion", ""]
"""Chat calls. Other calls have other bodies and answers."""

_CLIENT = "User-Agent:"
"""Prefix of the tags that the proxy adds itself, after the request's own."""


def _read(calls: ToolTable) -> CallColumns:
    import ibis

    messages, body = calls.document("messages"), calls.document("proxy_server_request")
    recorded = (messages.json.array.length() > 0).fill_null(False)
    metadata, tags = calls.json("metadata"), calls.json("request_tags")
    tag = tags.array[0].str.nullif("")
    status = ibis.coalesce(calls.text("status").nullif(""), metadata["status"].str)
    agent_type = ibis.coalesce(
        tag.startswith(_CLIENT).ifelse(null_of("string"), tag),
        calls.text("agent_id").nullif(""),
        scalar_text(metadata["user_api_key_alias"]).nullif(""),
    )
    return CallColumns(
        prompt=Document(recorded.ifelse(messages.raw, body.raw), recorded.ifelse(messages.json, body.json)),
        answer=calls.document("response"),
        excluded=exclusion_of(
            (~calls.text("call_type").isin(_CHAT).fill_null(True), ExclusionReason.OTHER_CALL),
            ((status.lower() == "failure").fill_null(False), ExclusionReason.FAILED_CALL),
        ),
        columns={
            **calls.existing(
                user_id="end_user",
                cache_hit="cache_hit",
                model="model",
                prompt_tokens="prompt_tokens",
                completion_tokens="completion_tokens",
                cost_usd="spend",
            ),
            **calls.latency("startTime", "endTime"),
            "agent_type": agent_type,
        },
    )


LITELLM = Connector(
    format="litellm",
    tool="LiteLLM's SpendLogs",
    tables=("LiteLLM_SpendLogs",),
    columns=(
        "startTime",
        "endTime",
        "messages",
        "proxy_server_request",
        "response",
        "call_type",
        "status",
        "metadata",
        "request_tags",
        "agent_id",
        "end_user",
        "cache_hit",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "spend",
    ),
    needs={
        "query": ("proxy_server_request", "messages"),
        "response": ("response",),
        "created_at": ("startTime",),
    },
    read=_read,
)
