"""The query log of a source: the days it covers, one day of it grouped by the engine, and its rejected answers.

The engine filters and groups, so the result is bounded by a day's distinct queries. It groups by the exact spelling,
and Python canonicalises (query_log.daily_counts), for three reasons: lower() follows each engine's locale and Unicode
version ("I" is not "i" in a Turkish database); regular expressions over every row cost more than the rest of the
statement; and groups of exact spellings merge without loss on every engine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import MAX_AGENT_TYPE_CHARS, MAX_PROMPT_CHARS, hash_user

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import DayGroups
from cachewarm_pipeline.query_log.sources.ibis_rows import (
    EARLIEST,
    as_utc,
    exclusion_of,
    fetch,
    number_of,
    shaped,
    with_clean_agent_types,
)
from cachewarm_pipeline.query_log.sources.log_rankings import some_users, top_responses
from cachewarm_pipeline.query_log.sources.table_columns import (
    ANSWER_EXCLUDED,
    EXCLUDED,
    MappedTable,
    null_of,
    time_literal,
)
from cachewarm_pipeline.storage.schemas import MAX_USERS, TIMESTAMP

Snapshot = Callable[[Any], AbstractContextManager[Any]]
"""Gives an expression's rows, unchanged for several statements."""

# Whole units: a sum of floats depends on the order in which threads add them, a sum of integers does not.
_NANO_PER_USD = 1_000_000_000
_MICRO_PER_MS = 1_000
_MAX_COST_USD = 1e5
_MAX_LATENCY_MS = 1e9
_MAX_TOKENS = 1e9

MAX_MODEL_CHARS = 200
"""A longer text is not the name of a model."""

QUERIES = pa.schema(
    [
        ("agent_type", pa.string()),
        ("query", pa.string()),
        *((name, pa.int64()) for name in ("count", "cache_hits", "answered")),
        ("cost_usd", pa.float64()),
        ("costed", pa.int64()),
        ("latency_ms", pa.float64()),
        ("timed", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
RESPONSES = pa.schema(
    [
        ("agent_type", pa.string()),
        ("query", pa.string()),
        ("response", pa.string()),
        ("count", pa.int64()),
        ("last_at", TIMESTAMP),
        ("negative", pa.int64()),
        ("model", pa.string()),
        ("anonymous", pa.int64()),
    ]
)
REJECTED = pa.schema(
    [
        ("agent_type", pa.string()),
        ("query", pa.string()),
        ("response", pa.string()),
        ("users", pa.list_(pa.string())),
        ("reports", pa.int64()),
        ("last_at", TIMESTAMP),
    ]
)
USERS = pa.schema([("agent_type", pa.string()), ("query", pa.string()), ("user_id", pa.string())])
RESPONSE_USERS = pa.schema([*USERS, ("response", pa.string())])


def log_days(connection: Any, log: MappedTable, today: date) -> tuple[date | None, date | None, Counts]:
    """First and last UTC day of the log up to today (None if it has no rows), and the excluded rows: those without a
    date, and those before EARLIEST or after today."""
    at = log.time("created_at")
    early, late = time_literal(start_of(EARLIEST), at), time_literal(start_of(today + timedelta(days=1)), at)
    # Three narrow statements, not one: an index on the column answers each without reading the table.
    table = log.table.select(at=at)
    sane = table.filter(table.at >= early, table.at < late)
    ends = fetch(connection, sane.aggregate(first=sane.at.min(), last=sane.at.max()))
    excluded: Counts = Counts()
    excluded[ExclusionReason.NO_DATE] = number_of(connection, table.filter(table.at.isnull()))
    excluded[ExclusionReason.ABSURD_DATE] = number_of(connection, table.filter((table.at < early) | (table.at >= late)))
    first, last = (as_utc(ends[name])[0].as_py() for name in ("first", "last"))
    return first.date() if first else None, last.date() if last else None, +excluded


def day_groups(connection: Any, log: MappedTable, day: date, max_response_bytes: int, snapshot: Snapshot) -> DayGroups:
    """One UTC day of the log by spelling; see DayGroups. Memory: the day's distinct queries and their responses."""
    by = ["agent_type", "query"]
    with snapshot(_day_rows(log, day, max_response_bytes)) as rows:
        kept = rows.filter(rows.reason.isnull())
        queries = fetch(
            connection,
            kept.group_by(by).aggregate(
                count=kept.count(),
                cache_hits=kept.count(where=kept.cached),
                answered=kept.count(where=kept.answered),
                cost=kept.cost.sum().fill_null(0).cast("int64"),
                costed=kept.cost.count(),
                latency=kept.latency.sum().fill_null(0).cast("int64"),
                timed=kept.latency.count(),
                tokens=kept.tokens.sum().fill_null(0).cast("int64"),
            ),
        )
        top = top_responses(kept, by, "model" in log.names)
        responses = fetch(connection, top)
        users, response_users = USERS.empty_table(), RESPONSE_USERS.empty_table()
        if "user_id" in log.names:
            users = fetch(connection, some_users(kept, by, connection.name))
            # Only of the responses that are kept: an answer to every row would need a list for every row.
            of_top = kept.filter(kept.usable).semi_join(top, [*by, "response"])
            response_users = fetch(connection, some_users(of_top, [*by, "response"], connection.name))
        excluded = _count_excluded(connection, rows)
    # The engine bounds characters; the bound in bytes is applied here.
    fits = pc.less_equal(pc.binary_length(responses["response"]), max_response_bytes)
    excluded[ExclusionReason.RESPONSE_TOO_LARGE] += pc.sum(responses.filter(pc.invert(fits))["count"]).as_py() or 0
    queries = queries.append_column("cost_usd", pc.divide(queries["cost"].cast("float64"), float(_NANO_PER_USD)))
    queries = queries.append_column("latency_ms", pc.divide(queries["latency"].cast("float64"), float(_MICRO_PER_MS)))
    queries, bad = with_clean_agent_types(queries)
    excluded.update(bad)
    return DayGroups(
        queries=shaped(queries, QUERIES, "agent_type query"),
        responses=shaped(
            with_clean_agent_types(responses.filter(fits))[0], RESPONSES, "agent_type query -count -last_at"
        ),
        users=shaped(with_clean_agent_types(users)[0], USERS, "agent_type query"),
        response_users=shaped(with_clean_agent_types(response_users)[0], RESPONSE_USERS, "agent_type query response"),
        excluded=+excluded,
    )


def _day_rows(log: MappedTable, day: date, max_response_bytes: int) -> Any:
    """The day's rows, each column in one known type. ``reason``: why the row is excluded; ``answer_reason``: why only
    its answer is excluded; both null for none."""
    import ibis

    at = log.time("created_at")
    query, agent_type, response = log.text("query"), log.text("agent_type"), log.text("response")
    cached = log.flag("cache_hit")
    # Not strip(): engines disagree on what is white space, and DuckDB's is ten times slower.
    answered = ~cached & response.re_search(r"[^ \t\n\r]").fill_null(False)
    reason = exclusion_of(
        (query.isnull(), ExclusionReason.EMPTY_PROMPT),
        (query.length() > MAX_PROMPT_CHARS, ExclusionReason.PROMPT_TOO_LONG),
        (agent_type.isnull(), ExclusionReason.EMPTY_AGENT_TYPE),
        (agent_type.length() > MAX_AGENT_TYPE_CHARS, ExclusionReason.BAD_AGENT_TYPE),
    )
    answer_reason = null_of("string")
    if EXCLUDED in log.table.columns:
        reason = ibis.coalesce(log.table[EXCLUDED], reason)
        answer_reason = cached.ifelse(answer_reason, log.table[ANSWER_EXCLUDED])
        # An answer that is not text is a different answer. One that was not logged in full may be the same.
        answered |= ~cached & (answer_reason == str(ExclusionReason.NO_TEXT_ANSWER)).fill_null(False)
    columns = {
        "query": query,
        "agent_type": agent_type,
        "at": at,
        "user_id": log.text("user_id"),
        "cached": cached,
        "answered": answered,
        "usable": answered & (response.length() <= max_response_bytes).fill_null(False),
        "answer_reason": answer_reason,
        "response": response,
        "model": _model(log),
        "negative": (log.number("feedback", -1e9, 1e9) < 0).fill_null(False),
        "cost": (~cached).ifelse(_whole(log.number("cost_usd", 0, _MAX_COST_USD), _NANO_PER_USD), null_of("int64")),
        "latency": (~cached).ifelse(
            _whole(log.number("latency_ms", 0, _MAX_LATENCY_MS), _MICRO_PER_MS), null_of("int64")
        ),
        "tokens": (~cached).ifelse(
            _whole(log.number("prompt_tokens", 0, _MAX_TOKENS), 1).fill_null(0)
            + _whole(log.number("completion_tokens", 0, _MAX_TOKENS), 1).fill_null(0),
            0,
        ),
        "reason": reason,
    }
    return log.table.filter(
        at >= time_literal(start_of(day), at), at < time_literal(start_of(day + timedelta(days=1)), at)
    ).select(**columns)


def _model(log: MappedTable) -> Any:
    """The model that answered; null if it is unknown or not a model's name."""
    model = log.text("model")
    named = (model.length() <= MAX_MODEL_CHARS) & model.re_search(r"[^ \t\n\r]")
    return named.fill_null(False).ifelse(model, null_of("string"))


def _count_excluded(connection: Any, rows: Any) -> Counts:
    """The excluded rows, and the rows whose answer alone is excluded, by reason."""
    counted = fetch(
        connection,
        rows.group_by("reason", "answer_reason").aggregate(
            rows=rows.count(), large=rows.count(where=rows.answered & ~rows.usable & rows.answer_reason.isnull())
        ),
    )
    excluded: Counts = Counts()
    for row in counted.to_pylist():
        if row["reason"] is None:
            excluded[ExclusionReason.RESPONSE_TOO_LARGE] += row["large"]
            if row["answer_reason"] is not None:
                excluded[ExclusionReason(row["answer_reason"])] += row["rows"]
        else:
            excluded[ExclusionReason(row["reason"])] += row["rows"]
    return excluded


def rejected(connection: Any, log: MappedTable, day: date, max_response_bytes: int) -> pa.Table:
    """One UTC day's answers that the cache served and users rejected, as REJECTED; see Source.rejected."""
    if not {"cache_hit", "feedback"} <= set(log.names):
        return REJECTED.empty_table()
    by = ["agent_type", "query", "response", "user_id"]
    rows = _day_rows(log, day, max_response_bytes)
    kept = rows.filter(
        rows.reason.isnull(),
        rows.cached,
        rows.negative,
        rows.response.re_search(r"[^ \t\n\r]").fill_null(False),
        (rows.response.length() <= max_response_bytes).fill_null(False),
    )
    found = fetch(connection, kept.group_by(by).aggregate(reports=kept.count(), last_at=kept["at"].max()))
    found = found.filter(pc.less_equal(pc.binary_length(found["response"].cast("string")), max_response_bytes))
    found, _ = with_clean_agent_types(found)
    schema = pa.schema([(name, pa.string()) for name in by] + [("reports", pa.int64()), ("last_at", TIMESTAMP)])
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in shaped(found, schema, "agent_type query response").to_pylist():
        key = row["agent_type"], row["query"], row["response"]
        one = merged.setdefault(key, {**row, "reports": 0, "users": set()})
        one["reports"] += row["reports"]
        one["last_at"] = max(one["last_at"], row["last_at"])
        if row["user_id"]:
            one["users"].add(hash_user(row["user_id"]))
    return pa.Table.from_pylist(
        [{**row, "users": sorted(row["users"])[:MAX_USERS]} for row in merged.values()], schema=REJECTED
    )


def no_groups() -> DayGroups:
    """The groups of a source without a log: none."""
    return DayGroups(
        QUERIES.empty_table(), RESPONSES.empty_table(), USERS.empty_table(), RESPONSE_USERS.empty_table(), Counts()
    )


def _whole(number: Any, per_unit: int) -> Any:
    """The number in units of 1 / ``per_unit``, rounded to int64."""
    return (number * float(per_unit) + 0.5).floor().cast("int64")
