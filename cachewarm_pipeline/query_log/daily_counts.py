"""The counts of one day: the engine's groups of exact spellings become groups of canonical queries.

A window of such days is evaluated in candidates.window_rollup.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import canonical, hash_user

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.query_log.response_text import why_no_answer
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, MAX_RESPONSES, MAX_USERS, RESPONSE

_SUMS = ("count", "cache_hits", "answered", "cost_usd", "costed", "latency_ms", "timed", "tokens")


def count_day(
    queries: pa.Table, responses: pa.Table, users: pa.Table, response_users: pa.Table
) -> tuple[pa.Table, Counts]:
    """One day's ``daily_query_counts``, by agent_type and canonical query, and the number of excluded rows.

    The tables are those of ``DayGroups``: groups of one exact spelling. Spellings of one canonical query are merged. A
    spelling whose canonical form is empty (blank, or only marks) is counted as EMPTY_PROMPT.
    Responses that are no answer (``why_no_answer``) are no evidence: their rows stay demand, but are subtracted from
    ``answered`` and counted as EMPTY_RESPONSE or UNPARSABLE_OUTPUT.

    Distinct users are a bounded set: the smallest MAX_USERS hashed ids. Merging such sets over spellings and over days
    answers "at least k users?" exactly for k <= MAX_USERS: if all merged sets are complete, their union is complete;
    if one of them was full, the answer is yes. Hashing hides the ids from a reader of the dataset, but not from someone
    who can list all ids and hash them.

    Memory and time grow with the day's distinct queries, not with its rows.
    """
    groups = _Groups(queries)
    excluded: Counts = Counts()
    excluded[ExclusionReason.EMPTY_PROMPT] = (
        pc.sum(queries.filter(pa.array(groups.of(queries) < 0))["count"]).as_py() or 0
    )
    queries, group = groups.kept(queries)
    columns = {"agent_type": groups.agent_types(), "canonical": groups.canonicals()}
    columns["prompt"], columns["prompt_count"] = _most_frequent_spellings(queries, group)
    for name in _SUMS:
        values = queries[name].to_numpy()
        total = np.zeros(groups.number, dtype=values.dtype)
        np.add.at(total, group, values)
        columns[name] = pa.array(total)
    users, group = groups.kept(users)
    columns["users"] = _smallest_users(group, users["user_id"], groups.number)
    responses, group = groups.kept(responses)
    no_answer = _flag_no_answers(responses, excluded)
    unanswered = np.zeros(groups.number, np.int64)
    np.add.at(unanswered, group[no_answer], responses["count"].to_numpy()[no_answer])
    columns["answered"] = pa.array(np.maximum(columns["answered"].to_numpy() - unanswered, 0))
    columns["responses"] = _best_responses(
        responses.filter(pa.array(~no_answer)), group[~no_answer], *groups.kept(response_users), groups.number
    )
    return pa.table([columns[name] for name in DAILY_QUERY_COUNTS.names], schema=DAILY_QUERY_COUNTS), +excluded


class _Groups:
    """Numbers the groups 0, 1, 2, ... by agent_type, then canonical query."""

    def __init__(self, queries: pa.Table) -> None:
        self._texts = pc.unique(queries["query"])
        forms = [canonical(text) for text in self._texts.to_pylist()]
        self._agents = pa.array(sorted(pc.unique(queries["agent_type"]).to_pylist()), pa.string())
        self._forms = pa.array(sorted({form for form in forms if form}), pa.string())
        ranks = {form: rank for rank, form in enumerate(self._forms.to_pylist())}
        # The last one, -1, is the rank of a text that is not among them (position -1).
        self._rank_of_text = np.array([*(ranks.get(form, -1) for form in forms), -1], dtype=np.int64)
        wide = self._wide(queries)
        self._present = np.unique(wide[wide >= 0])
        self.number = len(self._present)

    def _wide(self, table: pa.Table) -> np.ndarray:
        form = self._rank_of_text[_positions(table["query"], self._texts)]
        agent = _positions(table["agent_type"], self._agents)
        return np.where((form >= 0) & (agent >= 0), agent * len(self._forms) + form, -1)

    def of(self, table: pa.Table) -> np.ndarray:
        """The group of each row (n,); -1 if its query has no canonical form, or is not among ``queries``: rows may
        arrive between two statements to an engine."""
        wide = self._wide(table)
        group = np.searchsorted(self._present, wide)
        known = np.append(self._present, -2)[group] == wide
        return np.where(known & (wide >= 0), group, -1)

    def kept(self, table: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """The rows that have a group, and the group of each."""
        group = self.of(table)
        return table.filter(pa.array(group >= 0)), group[group >= 0]

    def agent_types(self) -> pa.Array:
        return self._agents.take(pa.array(self._present // max(len(self._forms), 1)))

    def canonicals(self) -> pa.Array:
        return self._forms.take(pa.array(self._present % max(len(self._forms), 1)))


def _positions(values: pa.ChunkedArray, of: pa.Array) -> np.ndarray:
    found = pc.fill_null(pc.index_in(values, value_set=of), -1).combine_chunks()
    positions: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def _most_frequent_spellings(queries: pa.Table, group: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """For each group the spelling with the most rows, and the number of these rows. On ties the first spelling in the
    order of code points."""
    spellings = (
        pa.table({"group": group, "query": queries["query"], "count": queries["count"]})
        .group_by(["group", "query"])
        .aggregate([("count", "sum")])
        .sort_by([("group", "ascending"), ("count_sum", "descending"), ("query", "ascending")])
    )
    first = spellings.filter(pa.array(_place_in_group(spellings) == 0))
    return first["query"].combine_chunks(), first["count_sum"].combine_chunks()


def _smallest_users(group: np.ndarray, users: pa.ChunkedArray, number: int) -> pa.Array:
    """For each group the smallest hashes of its user ids, at most MAX_USERS, as a list."""
    encoded = users.combine_chunks().dictionary_encode()
    hashes = pa.array([hash_user(user) for user in encoded.dictionary.to_pylist()], pa.string())
    distinct = (
        pa.table({"group": group, "user": hashes.take(encoded.indices)})
        .group_by(["group", "user"])
        .aggregate([])
        .sort_by([("group", "ascending"), ("user", "ascending")])
    )
    kept = distinct.filter(pa.array(_place_in_group(distinct) < MAX_USERS))
    return _lists(kept, kept["user"].combine_chunks(), number)


def _flag_no_answers(responses: pa.Table, excluded: Counts) -> np.ndarray:
    """Which responses are no answer (n,), bool. Adds their rows to ``excluded``."""
    texts = pc.unique(responses["response"])
    place = _positions(responses["response"], texts)
    reasons = [why_no_answer(text) for text in texts.to_pylist()]
    flags: np.ndarray = np.array([reason is not None for reason in reasons], dtype=bool)[place]
    for i, number in zip(place[flags].tolist(), responses["count"].to_numpy()[flags].tolist(), strict=True):
        if (reason := reasons[i]) is not None:
            excluded[reason] += number
    return flags


def _best_responses(
    responses: pa.Table, group: np.ndarray, users: pa.Table, users_group: np.ndarray, number: int
) -> pa.Array:
    """For each group its responses with the most rows, at most MAX_RESPONSES, as a list of structs. ``users``: who got
    which response."""
    newest = pc.ScalarAggregateOptions(skip_nulls=False)
    sums: list[Any] = [
        *((name, "sum") for name in ("count", "negative", "anonymous")),
        ("last_at", "max"),
        ("model", "first", newest),
    ]
    counted = (
        pa.table({"group": group, **{name: responses[name] for name in RESPONSE.names if name != "users"}})
        .sort_by([("group", "ascending"), ("last_at", "descending"), ("model", "ascending")])
        # One thread: only then the rows keep their order, and the first row of a group is its newest.
        .group_by(["group", "response"], use_threads=False)
        .aggregate(sums)
        .rename_columns({f"{name}_{how}": name for name, how, *_ in sums})
        .sort_by(
            [("group", "ascending"), ("count", "descending"), ("last_at", "descending"), ("response", "ascending")]
        )
    )
    kept = counted.filter(pa.array(_place_in_group(counted) < MAX_RESPONSES))
    kept = kept.append_column("users", _users_of_responses(kept, users, users_group))
    fields = [kept[field.name].combine_chunks().cast(field.type) for field in RESPONSE]
    return _lists(kept, pa.StructArray.from_arrays(fields, fields=list(RESPONSE)), number)


def _users_of_responses(kept: pa.Table, users: pa.Table, group: np.ndarray) -> pa.Array:
    """The smallest hashed ids of the users who got each response: one list for each row of ``kept``."""
    rows = kept.select(["group", "response"]).append_column("row", pa.array(np.arange(kept.num_rows)))
    joined = pa.table({"group": group, "response": users["response"], "user_id": users["user_id"]}).join(
        rows, ["group", "response"], join_type="inner"
    )
    return _smallest_users(joined["row"].to_numpy(), joined["user_id"], kept.num_rows)


def _place_in_group(table: pa.Table) -> np.ndarray:
    """The place of each row within its group (n,): 0, 1, 2, ... The table is sorted by group."""
    group = table["group"].to_numpy()
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))


def _lists(table: pa.Table, values: pa.Array, number: int) -> pa.Array:
    """One list of values for each group 0..number-1, empty if the group has no row. The table is sorted by group."""
    lengths = np.bincount(table["group"].to_numpy(), minlength=number)
    return pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)).astype(np.int32), values)
