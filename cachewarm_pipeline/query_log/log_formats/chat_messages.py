"""Which text of a logged conversation is the prompt and which the answer, and why one is neither. Ibis only.

A prompt keys a cache when the answer hangs on it alone: one message of a user, after system messages. A tool's texts
are JSON documents of several forms, or plain text:

- asked: a list of messages, an object with such a list under ``messages``, one user message, or plain text
- told: a chat completion (``choices``), one message, a list of one message, or plain text

A message has ``role`` and ``content`` (text, or a list of parts) or, in OpenTelemetry, ``parts``.
"""

from typing import Any

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.log_formats.json_dialects import Dialect
from cachewarm_pipeline.query_log.sources.ibis_rows import exclusion_of
from cachewarm_pipeline.query_log.sources.table_columns import ANSWER_EXCLUDED, EXCLUDED

CUT = r"litellm_truncated|\(truncated [0-9]+ chars\)|<truncated due to size exceeding limit>"
"""What tools write where they cut a text."""

GONE = (
    r"([Rr][Ee][Dd][Aa][Cc][Tt][Ee][Dd][-_ ][Bb][Yy][-_ ][Ll][Ii][Tt][Ee][Ll]+[Mm])|masked due to failed mask function"
)
"""What tools write in place of a text, or of a secret in it."""

MEDIA = "@@@langfuseMedia:"
"""What Langfuse writes in place of a picture or a sound."""

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
"""Keys of an object that holds an answer in a form that is not known here, and is not the answer itself."""


def texts_of(table: Any, dialect: Dialect, *, plain: bool) -> Any:
    """The table with ``query``, ``response``, LEFT_OUT and ANSWER_LEFT_OUT worked out.

    It has ``asked_raw``, ``asked_json``, ``told_raw``, ``told_json`` (Documents), ``finish`` (why the model stopped,
    where the tool has that in a column) and ``call`` (why the row is none of ours); they are gone afterwards.
    ``plain``: whether an answer may be a JSON object of no known form, which then is the answer as the app gave it.
    """
    kept = [
        name for name in table.columns if not name.startswith(("asked_", "told_")) and name not in ("finish", "call")
    ]
    table = dialect.step(table)
    table = dialect.step(_decoded(table, dialect, "asked", "told"))
    table = dialect.step(
        table.mutate(
            asked_list=_messages(table.asked_json),
            told_message=_answer(table.told_json),
            told_choice=table.told_json["choices"][0],
        )
    )
    turns = table.asked_list.filter(lambda message: ~_role(message).isin(_INSTRUCTIONS).fill_null(False))
    table = dialect.step(table.mutate(asked_turns=turns))
    asked = table.asked_turns[0]
    table = table.mutate(asked_content=asked["content"], asked_parts=_parts(asked), asked_role=_role(asked))
    told = table.told_message
    table = dialect.step(table.mutate(told_content=told["content"], told_parts=_parts(told)))
    table = dialect.step(
        table.mutate(
            asked_text=_text(table, "asked"),
            asked_other=_others(table.asked_parts, _TEXTS),
            told_text=_text(table, "told"),
            told_other=_others(table.told_parts, _TEXTS + _THOUGHTS)
            + table.told_message["tool_calls"].array.length().fill_null(0)
            + _is_object(table.told_message["function_call"]).ifelse(1, 0),
            told_finish=_finish(table),
        )
    )
    table = dialect.step(table.mutate(query=_query(table), response=_response(table, plain)))
    table = dialect.step(table.mutate(excluded=_excluded(table), answer_excluded=_answer_excluded(table)))
    return table.select(
        *kept,
        # Else a wrong text could come back where reasons are not looked at.
        query=table.excluded.isnull().ifelse(table["query"], _null()),
        response=table.answer_excluded.isnull().ifelse(table.response, _null()),
        **{EXCLUDED: table.excluded, ANSWER_EXCLUDED: table.answer_excluded},
    )


def _decoded(table: Any, dialect: Dialect, *names: str) -> Any:
    """Documents that were written as JSON twice, once."""
    columns: dict[str, Any] = {}
    for name in names:
        raw, json = table[f"{name}_raw"], table[f"{name}_json"]
        quoted = raw.re_search(_QUOTED).fill_null(False) & json.str.notnull()
        columns[f"{name}_raw"] = quoted.ifelse(json.str, raw)
        columns[f"{name}_json"] = quoted.ifelse(dialect.parse(json.str), json)
    return table.mutate(**columns)


def _messages(document: Any) -> Any:
    import ibis

    one = _role(document).isin(_PEOPLE).fill_null(False)
    listed = ibis.coalesce(document.array, document["messages"].array)
    return one.ifelse(ibis.array([document]), listed)


def _answer(document: Any) -> Any:
    import ibis

    listed = document.array
    return ibis.coalesce(
        document["choices"][0]["message"],
        (listed.length() == 1).fill_null(False).ifelse(listed[0], ibis.null(document.type())),
        # Of an object: a list or a plain value has none of these keys.
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
    # Of no parts at all one engine joins "", the other null.
    return ibis.coalesce(table[f"{name}_content"].str, joined).nullif("")


def _others(parts: Any, kinds: list[str]) -> Any:
    """How many of a message's parts are of none of these kinds."""
    return parts.filter(lambda part: ~_type(part).isin(kinds).fill_null(False)).length().fill_null(0)


def _type(part: Any) -> Any:
    return part["type"].str


def _finish(table: Any) -> Any:
    import ibis

    return ibis.coalesce(
        table.finish, table.told_choice["finish_reason"].str, table.told_message["finish_reason"].str
    ).lower()


def _query(table: Any) -> Any:
    plain = ~_is_document(table.asked_raw)
    return plain.ifelse(table.asked_raw, (table.asked_turns.length() == 1).ifelse(table.asked_text, _null()))


def _response(table: Any, plain: bool) -> Any:
    document = _is_document(table.told_raw)
    said = table.told_text
    if plain:
        unknown = table.told_json.notnull() & _is_object(table.told_json)
        for key in _WRAPPERS:
            unknown &= table.told_json[key].isnull()
        said = unknown.ifelse(table.told_raw, said)
    return document.ifelse(said, table.told_raw)


def _excluded(table: Any) -> Any:
    import ibis

    document = _is_document(table.asked_raw)
    turns = table.asked_turns.length().fill_null(0)
    person = table.asked_role.isin(_PEOPLE).fill_null(False)
    query = table["query"]
    return ibis.coalesce(
        table.call,
        exclusion_of(
            (_is_nothing(table.asked_raw), ExclusionReason.NOT_RECORDED),
            (document & table.asked_json.isnull(), ExclusionReason.TEXT_CUT),
            (document & (turns > 1), ExclusionReason.MULTI_TURN),
            (document & ((turns == 0) | ~person | (table.asked_other > 0)), ExclusionReason.NO_TEXT),
            (_has(query, MEDIA), ExclusionReason.NO_TEXT),
            (_has(query, GONE), ExclusionReason.NOT_RECORDED),
            (_has(query, CUT), ExclusionReason.TEXT_CUT),
            (query.isnull(), ExclusionReason.NO_TEXT),
            (_is_nothing(query), ExclusionReason.NOT_RECORDED),
        ),
    )


def _answer_excluded(table: Any) -> Any:
    document = _is_document(table.told_raw)
    answer = table.response
    return exclusion_of(
        (_is_nothing(table.told_raw), ExclusionReason.NOT_RECORDED),
        (document & table.told_json.isnull(), ExclusionReason.TEXT_CUT),
        (table.told_finish.isin(_UNFINISHED).fill_null(False), ExclusionReason.UNFINISHED),
        (_has(answer, GONE), ExclusionReason.NOT_RECORDED),
        (_has(answer, CUT), ExclusionReason.TEXT_CUT),
        (document & (table.told_other > 0), ExclusionReason.NO_TEXT_ANSWER),
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


def _null() -> Any:
    import ibis

    return ibis.null("string")
