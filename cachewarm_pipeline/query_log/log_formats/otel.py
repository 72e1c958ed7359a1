"""OpenTelemetry spans of the GenAI conventions: one span a row, in the forms that collectors write.

- a column for each attribute (``gen_ai.input.messages``, ...), or one column with all attributes: a map or JSON object
  (``SpanAttributes`` of the collector's ClickHouse exporter, ``attributes``, ``span_attributes``), or OTLP's list of
  keys and values
- OTLP JSON Lines of the collector's file exporter (``resourceSpans``), on DuckDB only: a line has many spans

Recording messages is opt-in in every instrumentation. An older form, which spreads messages over numbered attributes,
is not supported.
"""

from typing import Any

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.connector import CallColumns, Connector
from cachewarm_pipeline.query_log.log_formats.tool_table import ToolTable, attribute_text, scalar_text
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of
from cachewarm_pipeline.query_log.sources.table_columns import null_of

_OPERATIONS = ["chat", "generate_content"]
"""Calls of a model. An agent's span (invoke_agent) only repeats the messages of the calls under it."""

_FAILED = ["error", "status_code_error", "2"]
_STARTS = ("startTimeUnixNano", "start_time_unix_nano", "Timestamp", "start_time", "time")
_ENDS = ("endTimeUnixNano", "end_time_unix_nano", "end_time")
_LENGTHS = ("Duration", "duration_nano", "durationNano")
_ATTRIBUTES = ("SpanAttributes", "span_attributes", "attributes")
_RESOURCES = ("ResourceAttributes", "resource_attributes", "resource")
_SERVICES = ("ServiceName", "service_name", "service.name")
_STATUSES = ("StatusCode", "status_code", "status")
_INPUT, _OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
_OPERATION, _AGENT, _MODEL = "gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.request.model"
_READ, _WRITTEN = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_FINISH, _PREVIOUS = "gen_ai.response.finish_reasons", "gen_ai.request.previous_response.id"
_ERROR, _USERS = "error.type", ("enduser.id", "user.id")
_KEYS = (_INPUT, _OUTPUT, _OPERATION, _AGENT, _MODEL, _READ, _WRITTEN, _FINISH, _PREVIOUS, _ERROR, *_USERS)
_SERVICE = "service.name"


def _unpack(calls: ToolTable) -> Any:
    """The table with one column for each attribute."""
    packed = {
        "own": (calls.first(*_ATTRIBUTES), [key for key in _KEYS if key not in calls.names]),
        "of_resource": (calls.first(*_RESOURCES), [] if calls.first(*_SERVICES) else [_SERVICE]),
    }
    packed = {name: (column, keys) for name, (column, keys) in packed.items() if column is not None and keys}
    if not packed:
        return calls.table
    step = calls.dialect.step
    parsed = step(calls.table.mutate(**{name: calls.json(column or "") for name, (column, _) in packed.items()}))
    pairs = [(name, key) for name, (_, keys) in packed.items() for key in keys]
    found = step(parsed.mutate(**{key: calls.attribute(parsed[name], key) for name, key in pairs}).drop(*packed))
    return step(found.mutate(**{key: attribute_text(found[key]) for _, key in pairs}))


def _read(calls: ToolTable) -> CallColumns:
    import ibis

    def text(key: str) -> Any:
        return calls.document(key).raw.nullif("")

    return CallColumns(
        prompt=calls.document(_INPUT),
        answer=calls.document(_OUTPUT),
        # The first reason is enough: only an answer of one message is read at all.
        finish=calls.json(_FINISH).array[0].str,
        excluded=exclusion_of(
            (~text(_OPERATION).isin(_OPERATIONS).fill_null(False), ExclusionReason.OTHER_CALL),
            (text(_ERROR).notnull() | _status(calls).isin(_FAILED).fill_null(False), ExclusionReason.FAILED_CALL),
            # The provider keeps the earlier turns; they are not in the span.
            (text(_PREVIOUS).notnull(), ExclusionReason.MULTI_TURN),
        ),
        columns={
            "user_id": ibis.coalesce(*map(text, _USERS)),
            "model": text(_MODEL),
            "prompt_tokens": text(_READ),
            "completion_tokens": text(_WRITTEN),
            **_latency(calls),
            "agent_type": ibis.coalesce(text(_AGENT), text(calls.first(*_SERVICES) or _SERVICE)),
        },
    )


def _latency(calls: ToolTable) -> dict[str, Any]:
    length, start, end = calls.first(*_LENGTHS), calls.first(*_STARTS), calls.first(*_ENDS)
    if length is not None:
        return {"latency_ms": calls.nanoseconds(length) / 1e6}
    return calls.latency(start, end) if start is not None and end is not None else {}


def _status(calls: ToolTable) -> Any:
    """The span's status code in lower case."""
    import ibis

    name = calls.first(*_STATUSES)
    if name is None:
        return null_of("string")
    document = calls.document(name)
    return ibis.coalesce(scalar_text(document.json["code"]), document.raw).lower()


def _unnest(table: Any, dialect: Any) -> Any:
    """One row for each span of OTLP JSON Lines; any other table unchanged."""
    if "resourceSpans" not in table.columns:
        return table
    lines = table.select(one=dialect.parse(table["resourceSpans"].cast("string")).array.unnest())
    scopes = lines.select(
        resource=lines.one["resource"]["attributes"].cast("string"), one=lines.one["scopeSpans"].array.unnest()
    )
    spans = scopes.select(scopes.resource, one=scopes.one["spans"].array.unnest())
    one = spans.one
    return spans.select(
        startTimeUnixNano=scalar_text(one["startTimeUnixNano"]),
        endTimeUnixNano=scalar_text(one["endTimeUnixNano"]),
        attributes=one["attributes"].cast("string"),
        resource=spans.resource,
        status=one["status"].cast("string"),
    )


OTEL = Connector(
    format="otel",
    tool="OpenTelemetry's spans",
    tables=("otel_traces", "spans", "traces"),
    columns=(
        *_STARTS,
        *_ENDS,
        *_LENGTHS,
        *_ATTRIBUTES,
        *_RESOURCES,
        *_SERVICES,
        *_STATUSES,
        *_KEYS,
        "resourceSpans",
    ),
    needs={
        "query": (*_ATTRIBUTES, _INPUT),
        "response": (*_ATTRIBUTES, _OUTPUT),
        "created_at": _STARTS,
    },
    read=_read,
    attributes=(*_ATTRIBUTES, *_RESOURCES),
    unnest=_unnest,
    unpack=_unpack,
)
