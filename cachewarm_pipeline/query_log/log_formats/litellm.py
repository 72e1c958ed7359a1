"""LiteLLM's SpendLogs: the table ``LiteLLM_SpendLogs`` of its proxy, or an export of it.

Prompts and answers are there only where the proxy has ``store_prompts_in_spend_logs``. Versions of early 2025 keep the
prompt in ``messages``; later ones leave ``{}`` there and keep the request's body in ``proxy_server_request``.
"""

from typing import Any

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.log_format import Connector
from cachewarm_pipeline.query_log.log_formats.tool_table import Document, ToolTable, scalar_text
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of

_CHAT = ["completion", "acompletion", ""]
"""Other calls have bodies and answers of other forms."""

_CLIENT = "User-Agent:"
"""Tags that the proxy adds itself, after the request's own."""


def _read(calls: ToolTable) -> dict[str, Any]:
    import ibis

    messages, body = calls.document("messages"), calls.document("proxy_server_request")
    recorded = (messages.json.array.length() > 0).fill_null(False)
    metadata, tags = calls.json("metadata"), calls.json("request_tags")
    tag = tags.array[0].str.nullif("")
    status = ibis.coalesce(calls.text("status").nullif(""), metadata["status"].str)
    return {
        **calls.having(
            user_id="end_user",
            cache_hit="cache_hit",
            model="model",
            prompt_tokens="prompt_tokens",
            completion_tokens="completion_tokens",
            cost_usd="spend",
        ),
        **calls.took("startTime", "endTime"),
        "agent_type": ibis.coalesce(
            tag.startswith(_CLIENT).ifelse(ibis.null("string"), tag),
            calls.text("agent_id").nullif(""),
            scalar_text(metadata["user_api_key_alias"]).nullif(""),
        ),
        "asked": Document(recorded.ifelse(messages.raw, body.raw), recorded.ifelse(messages.json, body.json)),
        "told": calls.document("response"),
        "finish": ibis.null("string"),
        "call": exclusion_of(
            (~calls.text("call_type").isin(_CHAT).fill_null(True), ExclusionReason.OTHER_CALL),
            ((status.lower() == "failure").fill_null(False), ExclusionReason.FAILED_CALL),
        ),
    }


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
