"""The frequent queries of a window with their counts and responses, added up over the days.

Days are streamed one at a time: ``window_rollup`` says in which passes, and what that costs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from sys import intern

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.answers.response_choice import LoggedAnswer, Sighting
from cachewarm_pipeline.answers.votes import smallest_users
from cachewarm_pipeline.candidates.window_responses import (
    ResponseNumbers,
    combine_hashes,
    flat_responses,
    hash_texts,
)
from cachewarm_pipeline.storage.schemas import MAX_USERS

DailyTables = Callable[[Sequence[str]], Iterable[tuple[date, pa.Table]]]
"""The ``daily_query_counts`` of a window: called with the columns that are needed (a table may have more), yields
(day, table). It is called several times and must yield the same each time. Days without data may be absent."""

SEEN_USERS = 4
"""Users of a response and day that are compared with those of other days; all of them are counted."""

_KEY = ("agent_type", "canonical")
_NUMBERS = ("count", "answered", "cost_usd", "costed")


def frequent_hashes(days: DailyTables, min_frequency: int) -> tuple[np.ndarray, int]:
    """The hashes of the queries with enough rows in the window, sorted; and the number of distinct hashes.

    This is only a first filter: queries that share a hash are counted together and may pass it by mistake. Those that
    pass are counted again exactly.
    """
    hashes, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    for _, table in days((*_KEY, "count")):
        pending.append((hash_keys(table), table["count"].to_numpy()))
        if sum(len(one) for one, _ in pending) > max(2_000_000, len(hashes)):
            hashes, counts = _added_up([(hashes, counts), *pending])
            pending = []
    hashes, counts = _added_up([(hashes, counts), *pending])
    return hashes[counts >= min_frequency], len(hashes)


def _added_up(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes, counts) added up by hash; the hashes are sorted."""
    hashes, place = np.unique(np.concatenate([one for one, _ in parts]), return_inverse=True)
    counts = np.zeros(len(hashes), np.int64)
    np.add.at(counts, place, np.concatenate([number for _, number in parts]))
    return hashes, counts


class Window:
    """The frequent queries of a window and their counts. A query is known by its number: 0, 1, ... in the order in
    which the days have them."""

    def __init__(self, days: DailyTables, frequent: np.ndarray, weights: Mapping[date, float]) -> None:
        self._days = days
        self._frequent = frequent
        self._numbers: dict[tuple[str, str], int] = {}
        self._spellings: list[dict[str, int]] = []
        self.users: list[set[str]] = []
        """Hashed ids by query: all of them where there are fewer than MAX_USERS, else at least MAX_USERS."""
        self.first_day: list[int] = []
        self.last_day: list[int] = []
        numbers: list[tuple[float, np.ndarray, dict[str, np.ndarray]]] = []
        responses = []
        self.known: set[str] = set()
        """Agent types whose log has user ids."""
        for day, table in days((*_KEY, "prompt", "prompt_count", *_NUMBERS, "users", "responses")):
            rows, queries = self._frequent_rows(table, day)
            for query, prompt, count, users in zip(
                queries.tolist(), *(rows[name].to_pylist() for name in ("prompt", "prompt_count", "users")), strict=True
            ):
                self._spellings[query][prompt] = self._spellings[query].get(prompt, 0) + count
                if len(self.users[query]) < MAX_USERS:
                    self.users[query].update(users)
            numbers.append((weights[day], queries, {name: rows[name].to_numpy() for name in _NUMBERS}))
            responses.append(ResponseNumbers.of(rows, queries))
            self._note_known_users(rows)
        self.number = len(self._numbers)
        self.agent_types = [agent_type for agent_type, _ in self._numbers]
        self.totals = {name: np.zeros(self.number, np.float64 if name == "cost_usd" else np.int64) for name in _NUMBERS}
        self.demand = np.zeros(self.number)
        """Expected lookups a day."""
        for weight, queries, values in numbers:
            np.add.at(self.demand, queries, weight * values["count"])
            for name in _NUMBERS:
                np.add.at(self.totals[name], queries, values[name])
        self._responses = ResponseNumbers.best(responses)

    def prompt(self, query: int) -> str:
        """The spelling with the most rows; on ties, the first in the order of code points."""
        return min(self._spellings[query].items(), key=lambda item: (-item[1], item[0]))[0]

    def contenders(self, queries: Sequence[int]) -> dict[int, list[LoggedAnswer]]:
        """For each query its contenders with their texts, the best supported first: see ``ResponseNumbers.best``."""
        numbers = self._responses.of_queries(np.array(queries, np.int64))
        texts: dict[tuple[int, int], str] = {}
        models: dict[tuple[int, int], tuple[int, str | None]] = {}
        users: dict[tuple[int, int], tuple[str, ...]] = {}
        seen: dict[tuple[int, int], list[Sighting]] = {}
        if len(numbers.query):
            wanted = np.unique(combine_hashes(numbers.query.astype(np.uint64), numbers.text))
            for day, table in self._days((*_KEY, "responses")):
                rows, found = self._frequent_rows(table, None)
                parents, flat = flat_responses(rows, found)
                hashes = hash_texts(flat.field("response"))
                hit = np.isin(combine_hashes(parents.astype(np.uint64), hashes), wanted)
                taken = flat.filter(pa.array(hit))
                moments = taken.field("last_at").cast(pa.int64()).to_pylist()
                found_models = taken.field("model").to_pylist()
                of_text = taken.field("response").to_pylist()
                keys = zip(parents[hit].tolist(), hashes[hit].tolist(), strict=True)
                people = (taken.field(name).to_pylist() for name in ("count", "users", "anonymous"))
                for key, text, last_at, model, count, got, nobody in zip(
                    keys, of_text, moments, found_models, *people, strict=True
                ):
                    texts.setdefault(key, text)
                    # A day that an older version mined has no users: its rows are of unknown ones.
                    own = tuple(map(intern, got or ()))
                    users[key] = smallest_users((*users.get(key, ()), *own))
                    anonymous = count if nobody is None else nobody
                    seen.setdefault(key, []).append(Sighting(day.toordinal(), count, own[:SEEN_USERS], anonymous))
                    if key not in models or last_at > models[key][0]:
                        models[key] = last_at, model
        answers: dict[int, list[LoggedAnswer]] = {query: [] for query in queries}
        columns = (numbers.query, numbers.text, numbers.count, numbers.negative, numbers.last_at)
        for query, text, count, negative, last_at in zip(*(column.tolist() for column in columns), strict=True):
            key = query, text
            anonymous = sum(one.anonymous for one in seen[key])
            model, on_days = models[key][1], tuple(seen[key])
            answers[query].append(
                LoggedAnswer(texts[key], count, negative, last_at, model, users[key], anonymous, on_days)
            )
        return answers

    def _note_known_users(self, rows: pa.Table) -> None:
        lists = rows["responses"].combine_chunks()
        parents = pc.list_parent_indices(lists)
        numbers = pc.fill_null(pc.list_value_length(pc.list_flatten(lists).field("users")), 0)
        with_users = parents.filter(pc.greater(numbers, 0))
        self.known.update(rows["agent_type"].take(with_users).unique().to_pylist())

    def _frequent_rows(self, table: pa.Table, day: date | None) -> tuple[pa.Table, np.ndarray]:
        """The rows of frequent queries, and the number of the query of each row. With a day, new queries are numbered
        and the day is noted; without one, all queries must be numbered already."""
        rows = table.filter(pa.array(np.isin(hash_keys(table), self._frequent)))
        queries = []
        for key in zip(rows["agent_type"].to_pylist(), rows["canonical"].to_pylist(), strict=True):
            query = self._numbers.setdefault(key, len(self._numbers))
            queries.append(query)
            if day is not None:
                if query == len(self.users):
                    self._spellings.append({})
                    self.users.append(set())
                    self.first_day.append(day.toordinal())
                    self.last_day.append(day.toordinal())
                self.first_day[query] = min(self.first_day[query], day.toordinal())
                self.last_day[query] = max(self.last_day[query], day.toordinal())
        return rows, np.array(queries, np.int64)


def hash_keys(table: pa.Table) -> np.ndarray:
    return combine_hashes(*(hash_texts(table[name].combine_chunks()) for name in _KEY))
