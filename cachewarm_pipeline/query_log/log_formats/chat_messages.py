"""Which text of a logged conversation is the prompt, which the answer, and why a row has none. Ibis expressions only.

A prompt can be the key of a cache if the answer depends on it alone: one message of a user, after system messages.
Tools log JSON documents of several forms, or plain text:

- the request: a list of messages, an object with such a list under ``messages``, one user message, or plain text
- the answer: a chat completion (``choices``), one message, a list of one message, or plain text

A message has ``role`` and ``content`` (text, or a list of parts) or, in OpenTelemetry, ``parts``.
"""

from typing import Any

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.json_dialects import Dialect
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of
from cachewarm_pipeline.query_log.sources.table_columns import ANSWER_EXCLUDED, EXCLUDED, null_of

CUT = r"litellm_truncated|\(truncated [0-9]+ chars\)|<truncated due to size exceeding limit>"
"""Marks of a text that a tool cut."""

GONE = (
    r"([Rr][Ee][Dd][Aa][Cc][Tt][Ee][Dd][-_ ][Bb][Yy][-_ ][Ll][Ii][Tt][Ee][Ll]+[Mm])|masked due to failed mask function"
)
"""Marks that tools write in place of a text, or of a secret in it."""

MEDIA = "@@@langfuseMedia:"
"""The mark that Langfuse writes in place of a picture or a sound."""

_NOTHING = r"^[ \t\r\n]*([{][ \t\r\n]*[}]|[[][ \t\r\n]*[]]|null|\"\")?[ \t\r\n]*$"
_DOCUMENT = r"^[ \t\r\n]*[[{]"
_QUOTED = r"^[ \t\r\n]*\""

_INSTRUCTIONS = ["system", "developer"]
_PEOPLE = ["user", "human"]
_TEXTS = ["text", "input_text", "output_text"]
_THOUGHTS = ["reasoning", "thinking", "redacted_thinking"]
_UNFINISHED = ["length", "max_tokens", "content_filter", "error", "incomplete"]
_WRAPPERS = [
    "role",
    "content",
    "choices",
    "message",
    "messages",
    "tool_calls",
    "function_call",
    "parts",
    "type",
    "text",
]
"""Keys of an object that contains an answer in an unknown form. Such an object is not the answer itself."""


def with_texts(table: Any, dialect: Dialect, *, plain: bool) -> Any:
    """The table with ``query`` and ``response``, and with EXCLUDED and ANSWER_EXCLUDED.

    ``table`` has the columns of a ``CallColumns``: ``request_raw``, ``request_json``, ``answer_raw``, ``answer_json``,
    ``call_excluded`` and ``call_finish``. They are dropped; all other columns stay. ``plain``: whether an answer may be
    a JSON object of unknown form, which then is the answer as the application gave it.
    """
    kept = [name for name in table.columns if not name.startswith(("request_", "answer_", "call_"))]
    table = dialect.step(table)
    table = dialect.step(_decode_twice_encoded(table, dialect, "request", "answer"))
    table = dialect.step(
        table.mutate(
            request_list=_messages(table.request_json),
            answer_message=_answer_message(table.answer_json),
            answer_choice=table.answer_json["choices"][0],
        )
    )
    turns = table.request_list.filter(lambda message: ~_role(message).isin(_INSTRUCTIONS).fill_null(False))
    table = dialect.step(table.mutate(request_turns=turns))
    asked = table.request_turns[0]
    table = table.mutate(request_content=asked["content"], request_parts=_parts(asked), request_role=_role(asked))
    answer = table.answer_message
    table = dialect.step(table.mutate(answer_content=answer["content"], answer_parts=_parts(answer)))
    table = dialect.step(
        table.mutate(
            request_text=_text(table, "request"),
            request_other=_count_others(table.request_parts, _TEXTS),
            answer_text=_text(table, "answer"),
            answer_other=_count_others(table.answer_parts, _TEXTS + _THOUGHTS)
            + table.answer_message["tool_calls"].array.length().fill_null(0)
            + _is_object(table.answer_message["function_call"]).ifelse(1, 0),
            answer_finish=_finish(table),
        )
    )
    table = dialect.step(table.mutate(query=_query(table), response=_response(table, plain)))
    table = dialect.step(
        table.mutate(request_excluded=_request_excluded(table), answer_excluded=_answer_excluded(table))
    )
    return table.select(
        *kept,
        # Without this a wrong text could be used where reasons are not checked.
        query=table.request_excluded.isnull().ifelse(table["query"], null_of("string")),
        response=table.answer_excluded.isnull().ifelse(table.response, null_of("string")),
        **{EXCLUDED: table.request_excluded, ANSWER_EXCLUDED: table.answer_excluded},
    )


def _decode_twice_encoded(table: Any, dialect: Dialect, *names: str) -> Any:
    """Decodes documents that were encoded as JSON twice."""
    columns: dict[str, Any] = {}
    for name in names:
        raw, json = table[f"{name}_raw"], table[f"{name}_json"]
        quoted = raw.re_search(_QUOTED).fill_null(False) & json.str.notnull()
        columns[f"{name}_raw"] = quoted.ifelse(json.str, raw)
        columns[f"{name}_json"] = quoted.ifelse(dialect.parse(json.str), json)
    return table.mutate(**columns)


def _messages(document: Any) -> Any:
    """The list of messages of a request; null if it has none."""
    import ibis

    one = _role(document).isin(_PEOPLE).fill_null(False)
    listed = ibis.coalesce(document.array, document["messages"].array)
    return one.ifelse(ibis.array([document]), listed)


def _answer_message(document: Any) -> Any:
    """The message of an answer; null if it has none, or more than one."""
    import ibis

    listed = document.array
    return ibis.coalesce(
        document["choices"][0]["message"],
        (listed.length() == 1).fill_null(False).ifelse(listed[0], ibis.null(document.type())),
        # Only an object has these keys; a list or a plain value does not.
        (document["role"].str.notnull() | document["parts"].array.notnull()).ifelse(
            document, ibis.null(document.type())
        ),
    )


def _role(message: Any) -> Any:
    return message["role"].str


def _parts(message: Any) -> Any:
    import ibis

    return ibis.coalesce(message["content"].array, message["parts"].array)


def _text(table: Any, name: str) -> Any:
    import ibis

    parts = table[f"{name}_parts"].filter(lambda part: _type(part).isin(_TEXTS).fill_null(False))
    joined = parts.map(lambda part: ibis.coalesce(part["text"].str, part["content"].str)).join("\n")
    # If there are no parts, one engine joins them to "", the other to null.
    return ibis.coalesce(table[f"{name}_content"].str, joined).nullif("")


def _count_others(parts: Any, kinds: list[str]) -> Any:
    """The number of a message's parts that are of none of these kinds."""
    return parts.filter(lambda part: ~_type(part).isin(kinds).fill_null(False)).length().fill_null(0)


def _type(part: Any) -> Any:
    return part["type"].str


def _finish(table: Any) -> Any:
    import ibis

    return ibis.coalesce(
        table.call_finish, table.answer_choice["finish_reason"].str, table.answer_message["finish_reason"].str
    ).lower()


def _query(table: Any) -> Any:
    plain = ~_is_document(table.request_raw)
    return plain.ifelse(
        table.request_raw, (table.request_turns.length() == 1).ifelse(table.request_text, null_of("string"))
    )


def _response(table: Any, plain: bool) -> Any:
    document = _is_document(table.answer_raw)
    text = table.answer_text
    if plain:
        unknown = table.answer_json.notnull() & _is_object(table.answer_json)
        for key in _WRAPPERS:
            unknown &= table.answer_json[key].isnull()
        text = unknown.ifelse(table.answer_raw, text)
    return document.ifelse(text, table.answer_raw)


def _request_excluded(table: Any) -> Any:
    import ibis

    document = _is_document(table.request_raw)
    turns = table.request_turns.length().fill_null(0)
    person = table.request_role.isin(_PEOPLE).fill_null(False)
    query = table["query"]
    return ibis.coalesce(
        table.call_excluded,
        exclusion_of(
            (_is_nothing(table.request_raw), ExclusionReason.NOT_RECORDED),
            (document & table.request_json.isnull(), ExclusionReason.TEXT_CUT),
            (document & (turns > 1), ExclusionReason.MULTI_TURN),
            (document & ((turns == 0) | ~person | (table.request_other > 0)), ExclusionReason.NO_TEXT),
            (_has(query, MEDIA), ExclusionReason.NO_TEXT),
            (_has(query, GONE), ExclusionReason.NOT_RECORDED),
            (_has(query, CUT), ExclusionReason.TEXT_CUT),
            (query.isnull(), ExclusionReason.NO_TEXT),
            (_is_nothing(query), ExclusionReason.NOT_RECORDED),
        ),
    )


def _answer_excluded(table: Any) -> Any:
    document = _is_document(table.answer_raw)
    answer = table.response
    return exclusion_of(
        (_is_nothing(table.answer_raw), ExclusionReason.NOT_RECORDED),
        (document & table.answer_json.isnull(), ExclusionReason.TEXT_CUT),
        (table.answer_finish.isin(_UNFINISHED).fill_null(False), ExclusionReason.UNFINISHED),
        (_has(answer, GONE), ExclusionReason.NOT_RECORDED),
        (_has(answer, CUT), ExclusionReason.TEXT_CUT),
        (document & (table.answer_other > 0), ExclusionReason.NO_TEXT_ANSWER),
        (_has(answer, MEDIA) | answer.isnull(), ExclusionReason.NO_TEXT_ANSWER),
    )


def _is_document(raw: Any) -> Any:
    return raw.re_search(_DOCUMENT).fill_null(False)


def _is_nothing(raw: Any) -> Any:
    return raw.re_search(_NOTHING).fill_null(True)


def _is_object(json: Any) -> Any:
    return json.cast("string").re_search(r"^[ \t\r\n]*[{]").fill_null(False)


def _has(text: Any, pattern: str) -> Any:
    return text.re_search(pattern).fill_null(False)
