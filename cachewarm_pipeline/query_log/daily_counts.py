"""One day of the log as ``count_day``: the engine's groups of spellings become groups of canonical queries.

What a window of such days says is decided in candidates.window_rollup.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import canonical, hash_user

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.query_log.responses import why_no_answer
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, MAX_RESPONSES, MAX_USERS, RESPONSE

_SUMS = ("count", "cache_hits", "answered", "cost_usd", "costed", "latency_ms", "timed", "tokens")


def count_day(queries: pa.Table, responses: pa.Table, users: pa.Table) -> tuple[pa.Table, Counts]:
    """A day's ``count_day``, by agent_type and canonical query, and the rows left out.

    The tables are those of ``DayGroups``: groups of one exact spelling. Spellings of one canonical query are merged;
    a spelling of which nothing is left in canonical form (blank, only marks) is counted as EMPTY_PROMPT.
    Responses that answer nothing (``why_no_answer``) are no evidence: their rows stay demand, are taken off
    ``answered`` and are counted as EMPTY_RESPONSE or UNPARSABLE_OUTPUT.

    Distinct users are a bounded set: the smallest MAX_USERS hashed ids. Merging such sets over spellings and over days
    answers "at least k users?" exactly for k <= MAX_USERS: either every set that was merged is complete, then so is
    their union; or one was full, and the answer is yes. Hashing hides an id from a reader of the dataset; whoever can
    list all ids can find them again.

    Memory and time go with the day's distinct queries, whatever the number of rows behind them.
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
    columns["users"] = _hashed_users(*groups.kept(users), groups.number)
    responses, group = groups.kept(responses)
    silent = _answer_nothing(responses, excluded)
    lost = np.zeros(groups.number, np.int64)
    np.add.at(lost, group[silent], responses["count"].to_numpy()[silent])
    columns["answered"] = pa.array(np.maximum(columns["answered"].to_numpy() - lost, 0))
    columns["responses"] = _best_responses(responses.filter(pa.array(~silent)), group[~silent], groups.number)
    return pa.table([columns[name] for name in DAILY_QUERY_COUNTS.names], schema=DAILY_QUERY_COUNTS), +excluded


class _Groups:
    """Numbers the (agent_type, canonical query) groups 0.. in the order of agent_type, then canonical query."""

    def __init__(self, queries: pa.Table) -> None:
        self._texts = pc.unique(queries["query"])
        forms = [canonical(text) for text in self._texts.to_pylist()]
        self._agents = pa.array(sorted(pc.unique(queries["agent_type"]).to_pylist()), pa.string())
        self._forms = pa.array(sorted({form for form in forms if form}), pa.string())
        ranks = {form: rank for rank, form in enumerate(self._forms.to_pylist())}
        # One more, -1, for a text that is not there.
        self._rank_of_text = np.array([*(ranks.get(form, -1) for form in forms), -1], dtype=np.int64)
        wide = self._wide(queries)
        self._present = np.unique(wide[wide >= 0])
        self.number = len(self._present)

    def _wide(self, table: pa.Table) -> np.ndarray:
        form = self._rank_of_text[_positions(table["query"], self._texts)]
        agent = _positions(table["agent_type"], self._agents)
        return np.where((form >= 0) & (agent >= 0), agent * len(self._forms) + form, -1)

    def of(self, table: pa.Table) -> np.ndarray:
        """Group of each row; -1 for a query without canonical form, and for one that ``queries`` does not have
        (rows that came in between two questions to an engine)."""
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
    """Per group the spelling with most rows, on ties the first in the order of code points, and its rows."""
    spellings = (
        pa.table({"group": group, "query": queries["query"], "count": queries["count"]})
        .group_by(["group", "query"])
        .aggregate([("count", "sum")])
        .sort_by([("group", "ascending"), ("count_sum", "descending"), ("query", "ascending")])
    )
    first = spellings.filter(pa.array(_place_in_group(spellings) == 0))
    return first["query"].combine_chunks(), first["count_sum"].combine_chunks()


def _hashed_users(users: pa.Table, group: np.ndarray, number: int) -> pa.Array:
    encoded = users["user_id"].combine_chunks().dictionary_encode()
    hashes = pa.array([hash_user(user) for user in encoded.dictionary.to_pylist()], pa.string())
    distinct = (
        pa.table({"group": group, "user": hashes.take(encoded.indices)})
        .group_by(["group", "user"])
        .aggregate([])
        .sort_by([("group", "ascending"), ("user", "ascending")])
    )
    kept = distinct.filter(pa.array(_place_in_group(distinct) < MAX_USERS))
    return _lists(kept, kept["user"].combine_chunks(), number)


def _answer_nothing(responses: pa.Table, excluded: Counts) -> np.ndarray:
    """Which responses answer nothing (bool, one a row); their rows are added to ``excluded``."""
    texts = pc.unique(responses["response"])
    place = _positions(responses["response"], texts)
    reasons = [why_no_answer(text) for text in texts.to_pylist()]
    silent: np.ndarray = np.array([reason is not None for reason in reasons], dtype=bool)[place]
    for i, number in zip(place[silent].tolist(), responses["count"].to_numpy()[silent].tolist(), strict=True):
        if (reason := reasons[i]) is not None:
            excluded[reason] += number
    return silent


def _best_responses(responses: pa.Table, group: np.ndarray, number: int) -> pa.Array:
    newest = pc.ScalarAggregateOptions(skip_nulls=False)
    sums: list[Any] = [("count", "sum"), ("last_at", "max"), ("negative", "sum"), ("model", "first", newest)]
    counted = (
        pa.table({"group": group, **{name: responses[name] for name in RESPONSE.names}})
        .sort_by([("group", "ascending"), ("last_at", "descending"), ("model", "ascending")])
        # One thread: the first row of a group is its newest only where their order is kept.
        .group_by(["group", "response"], use_threads=False)
        .aggregate(sums)
        .rename_columns({f"{name}_{how}": name for name, how, *_ in sums})
        .sort_by(
            [("group", "ascending"), ("count", "descending"), ("last_at", "descending"), ("response", "ascending")]
        )
    )
    kept = counted.filter(pa.array(_place_in_group(counted) < MAX_RESPONSES))
    fields = [kept[field.name].combine_chunks().cast(field.type) for field in RESPONSE]
    return _lists(kept, pa.StructArray.from_arrays(fields, fields=list(RESPONSE)), number)


def _place_in_group(table: pa.Table) -> np.ndarray:
    """0 for the first row of each group, 1 for the second, of a table that is sorted by group."""
    group = table["group"].to_numpy()
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))


def _lists(table: pa.Table, values: pa.Array, number: int) -> pa.Array:
    """One list per group 0..number-1 of a table that is sorted by group; empty where a group has no row."""
    lengths = np.bincount(table["group"].to_numpy(), minlength=number)
    return pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)).astype(np.int32), values)
