"""OpenTelemetry spans of the GenAI conventions: one span a row, in the forms that collectors write.

- columns named by the attributes (``gen_ai.input.messages``, ...), or one column with all attributes: a map or JSON
  object (``SpanAttributes`` of the collector's ClickHouse exporter, ``attributes``, ``span_attributes``), or OTLP's
  list of keys and values
- OTLP JSON Lines of the collector's file exporter (``resourceSpans``), which are taken apart; on DuckDB only

Messages are opt-in in every instrumentation. An older form that spreads them over numbered attributes is not read.
"""

from typing import Any

from cachewarm_pipeline.core.reasons import LeftOut
from cachewarm_pipeline.resources.sources.connectors.connector import Connector
from cachewarm_pipeline.resources.sources.connectors.tool_table import Document, ToolTable, scalar_text
from cachewarm_pipeline.resources.sources.rows import reason_of

_OPERATIONS = ["chat", "generate_content"]
"""Calls of a model. A span of an agent (invoke_agent) repeats the messages of the calls under it."""

_FAILED = ["error", "status_code_error", "2"]
_STARTS = ("startTimeUnixNano", "start_time_unix_nano", "Timestamp", "start_time", "time")
_ENDS = ("endTimeUnixNano", "end_time_unix_nano", "end_time")
_LENGTHS = ("Duration", "duration_nano", "durationNano")
_ATTRIBUTES = ("SpanAttributes", "span_attributes", "attributes")
_RESOURCES = ("ResourceAttributes", "resource_attributes", "resource")
_SERVICES = ("ServiceName", "service_name", "service.name")
_STATES = ("StatusCode", "status_code", "status")
_KEYS = {
    "input": "gen_ai.input.messages",
    "output": "gen_ai.output.messages",
    "operation": "gen_ai.operation.name",
    "agent": "gen_ai.agent.name",
    "model": "gen_ai.request.model",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "finish": "gen_ai.response.finish_reasons",
    "previous": "gen_ai.request.previous_response.id",
    "error": "error.type",
    "enduser": "enduser.id",
    "user": "user.id",
}


def _read(calls: ToolTable) -> dict[str, Any]:
    import ibis

    own = _Attributes(calls, calls.first(*_ATTRIBUTES))
    of_resource = _Attributes(calls, calls.first(*_RESOURCES))
    service = calls.first(*_SERVICES)
    return {
        "user_id": ibis.coalesce(own.text("enduser"), own.text("user")),
        "model": own.text("model"),
        "prompt_tokens": own.text("prompt_tokens"),
        "completion_tokens": own.text("completion_tokens"),
        **_latency(calls),
        "agent_type": ibis.coalesce(
            own.text("agent"),
            of_resource.value("service.name") if service is None else calls.text(service).nullif(""),
        ),
        "asked": own.document("input"),
        "told": own.document("output"),
        # Of several answers the worst does not count: only an answer of one message is read at all.
        "finish": calls.dialect.parse(own.text("finish")).array[0].str,
        "call": reason_of(
            (~own.text("operation").isin(_OPERATIONS).fill_null(False), LeftOut.OTHER_CALL),
            (own.text("error").notnull() | _state(calls).isin(_FAILED).fill_null(False), LeftOut.FAILED_CALL),
            # What was said before is at the provider, and not in the span.
            (own.text("previous").notnull(), LeftOut.MULTI_TURN),
        ),
    }


class _Attributes:
    """A span's attributes by their keys, wherever they are."""

    def __init__(self, calls: ToolTable, column: str | None) -> None:
        self._calls = calls
        self._json = None if column is None else calls.json(column)

    def text(self, name: str) -> Any:
        """The attribute as text; null where it is not there or empty."""
        key = _KEYS[name]
        return self._calls.document(key).raw.nullif("") if key in self._calls.names else self.value(key)

    def value(self, key: str) -> Any:
        """As ``text``, of the column with all attributes alone."""
        import ibis

        if self._json is None:
            return ibis.null("string")
        listed = self._json.array.filter(lambda one: (one["key"].str == key).fill_null(False))[0]["value"]
        # OTLP says the kind of a value by its key.
        kinds = [listed[kind] for kind in ("stringValue", "intValue", "doubleValue", "boolValue")]
        return ibis.coalesce(scalar_text(self._calls.dialect.member(self._json, key)), *map(scalar_text, kinds)).nullif(
            ""
        )

    def document(self, name: str) -> Document:
        raw = self.text(name)
        return Document(raw, self._calls.dialect.parse(raw))


def _latency(calls: ToolTable) -> dict[str, Any]:
    length, start, end = calls.first(*_LENGTHS), calls.first(*_STARTS), calls.first(*_ENDS)
    if length is not None:
        return {"latency_ms": calls.nanoseconds(length) / 1e6}
    return calls.took(start, end) if start is not None and end is not None else {}


def _state(calls: ToolTable) -> Any:
    import ibis

    name = calls.first(*_STATES)
    if name is None:
        return ibis.null("string")
    document = calls.document(name)
    return ibis.coalesce(scalar_text(document.json["code"]), document.raw).lower()


def _unnest(table: Any, dialect: Any) -> Any:
    """A row a span, of lines that hold many."""
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
        *_STATES,
        *_KEYS.values(),
        "resourceSpans",
    ),
    needs={
        "query": (*_ATTRIBUTES, _KEYS["input"]),
        "response": (*_ATTRIBUTES, _KEYS["output"]),
        "created_at": _STARTS,
    },
    read=_read,
    attributes=(*_ATTRIBUTES, *_RESOURCES),
    unnest=_unnest,
)
