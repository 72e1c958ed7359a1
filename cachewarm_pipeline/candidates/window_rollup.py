"""Rolls a window of daily query counts up into ``frequent_queries``: the queries that are asked often enough, each with
the answer to warm.

Days are streamed one at a time, in three passes: the first finds the frequent queries by 8-byte hashes, the second adds
up their numbers, the third reads the texts of the responses that can win. So memory grows with the distinct queries of
the window (16 bytes each), the frequent queries, and one day. It does not grow with the log, nor with the responses
that cannot win.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import mask
from cachewarm_client.text import entry_id

from cachewarm_pipeline.answers.personal_data import personal_data
from cachewarm_pipeline.answers.response_choice import GroupResponses, LoggedAnswer, ResponseChoice, choose_response
from cachewarm_pipeline.answers.volatility import describe_volatility, is_volatile, stability
from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump, source_row_hash
from cachewarm_pipeline.candidates.window_responses import (
    ResponseNumbers,
    combine_hashes,
    flat_responses,
    hash_texts,
)
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import QueryAnswers
from cachewarm_pipeline.query_log.response_text import exact_groups
from cachewarm_pipeline.storage.schemas import FREQUENT_QUERIES, MAX_USERS, UNFIT_QUERIES

DailyTables = Callable[[Sequence[str]], Iterable[tuple[date, pa.Table]]]
"""The ``daily_query_counts`` of a window: called with the columns that are needed (a table may have more), yields
(day, table). It is called several times and must yield the same each time. Days without data may be absent."""

LOG_QUALITY = 0.9
"""quality_score of a stable answer from the log: proven in use, but not reviewed like a golden answer. Instability
lowers it: it is multiplied by the share of the winning group (``stability``)."""

_BATCH = 20_000
"""Queries whose response texts are in memory at once."""

_KEY = ("agent_type", "canonical")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = ("count", "answered", "cost_usd", "costed")


@dataclass(frozen=True, slots=True)
class FrequentQueries:
    """The result of rolling up a window."""

    table: pa.Table
    """FREQUENT_QUERIES, most frequent first, then by entry_id."""
    unfit_queries: pa.Table
    """UNFIT_QUERIES: the frequent queries that are excluded as PERSONAL or VOLATILE, in the same order, for
    reviewers."""
    excluded: Counts
    """Distinct queries that are excluded, including the unfit ones."""


def roll_up_frequent_queries(
    days: DailyTables,
    *,
    weights: Mapping[date, float],
    min_frequency: int,
    min_users: int,
    min_stability: float = 0.0,
    group_responses: GroupResponses = exact_groups,
) -> FrequentQueries:
    """The frequent queries of a window with the answers to warm, and the distinct queries that are excluded.

    Reasons for exclusion, in the order in which they are checked:

    - RARE: fewer than ``min_frequency`` rows in the window.
    - FEW_USERS: fewer than ``min_users`` distinct users (at most MAX_USERS). Not checked where no user is known.
    - PERSONAL: personal data or a secret in the prompt or in the best supported response. No judge sees such a text.
    - NO_EVIDENCE: no response was kept that did not come from the cache.
    - NEGATIVE_FEEDBACK: users rejected every response.
    - VOLATILE: stability under ``min_stability``. The answer changes between calls, so a stored one would be wrong.

    ``demand`` is the sum over days of the day's rows times the day's weight; the ``weights`` of a window sum to 1
    (query_log.day_weights). ``stability`` estimates the share of all answered rows whose response is equivalent to the
    chosen one. ``group_responses`` decides which responses are equivalent.
    """
    frequent, distinct = _frequent_hashes(days, min_frequency)
    window = _Window(days, frequent, weights)
    excluded: Counts = Counts()
    rows, unfit_rows = [], []

    def exclude_unfit(query: int, reason: ExclusionReason, detail: str, share: float | None) -> None:
        excluded[reason] += 1
        unfit_rows.append(_unfit_row(window, query, reason, detail, share))

    excluded[ExclusionReason.RARE] = distinct - len(frequent)
    for start in range(0, window.number, _BATCH):
        wanted = []
        for query in range(start, min(start + _BATCH, window.number)):
            users = len(window.users[query])
            if window.totals["count"][query] < min_frequency:  # rare queries that share a hash
                excluded[ExclusionReason.RARE] += 1
            elif users and min(users, MAX_USERS) < min_users:
                excluded[ExclusionReason.FEW_USERS] += 1
            elif data := personal_data(window.prompt(query)):
                exclude_unfit(query, ExclusionReason.PERSONAL, data, None)
            else:
                wanted.append(query)
        answers = window.contenders(wanted)
        for query in list(wanted):  # no judge sees personal data
            found = [personal_data("", answer.text) for answer in answers[query]]
            if found and found[0]:
                exclude_unfit(query, ExclusionReason.PERSONAL, found[0], None)
                wanted.remove(query)
            answers[query] = [answer for answer, data in zip(answers[query], found, strict=True) if not data]
        labels = group_responses(
            [QueryAnswers(window.prompt(query), [answer.text for answer in answers[query]]) for query in wanted]
        )
        for query, of_query in zip(wanted, labels, strict=True):
            judged, answered = answers[query], int(window.totals["answered"][query])
            if not judged:
                excluded[ExclusionReason.NO_EVIDENCE] += 1
            elif (choice := choose_response(judged, of_query)) is None:
                excluded[ExclusionReason.NEGATIVE_FEEDBACK] += 1
            else:
                share = stability(judged, of_query, choice, answered)
                if is_volatile(share, min_stability):
                    exclude_unfit(
                        query, ExclusionReason.VOLATILE, describe_volatility(judged, of_query, answered, share), share
                    )
                else:
                    rows.append(_row(window, query, choice, share))
    for table in (rows, unfit_rows):
        table.sort(key=lambda row: (-row["frequency"], row["entry_id"]))
    return FrequentQueries(
        pa.Table.from_pylist(rows, schema=FREQUENT_QUERIES),
        pa.Table.from_pylist(unfit_rows, schema=UNFIT_QUERIES),
        +excluded,
    )


def _row(window: "_Window", query: int, choice: ResponseChoice, share: float) -> dict[str, Any]:
    agent_type, prompt = window.agent_types[query], window.prompt(query)
    frequency = int(window.totals["count"][query])
    costed = int(window.totals["costed"][query])
    users = min(len(window.users[query]), MAX_USERS) or None
    provenance = {
        "first_day": date.fromordinal(window.first_day[query]).isoformat(),
        "last_day": date.fromordinal(window.last_day[query]).isoformat(),
        "frequency": frequency,
        "distinct_users": users,
        "support": choice.support,
        "last_answer_at": (_EPOCH + timedelta(microseconds=choice.answer.last_at)).isoformat(),
        "depends": AnswerProvenance(source_row_hash(choice.answer.text), choice.answer.model).as_dict(),
    }
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": prompt,
        "response": choice.answer.text,
        "source": "query_log",
        "quality_score": LOG_QUALITY * share,
        "demand": float(window.demand[query]),
        "cost_usd": float(window.totals["cost_usd"][query]) / costed if costed else None,
        "provenance": dump(provenance),
        "frequency": frequency,
        "distinct_users": users,
        "stability": share,
        "last_answer_at": choice.answer.last_at,
    }


def _unfit_row(
    window: "_Window", query: int, reason: ExclusionReason, detail: str, share: float | None
) -> dict[str, Any]:
    agent_type, prompt = window.agent_types[query], window.prompt(query)
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": mask(prompt),
        "reason": str(reason),
        "detail": detail,
        "frequency": int(window.totals["count"][query]),
        "stability": share,
        "demand": float(window.demand[query]),
    }


def _frequent_hashes(days: DailyTables, min_frequency: int) -> tuple[np.ndarray, int]:
    """The hashes of the queries with enough rows in the window, sorted; and the number of distinct hashes.

    This is only a first filter: queries that share a hash are counted together and may pass it by mistake. Those that
    pass are counted again exactly.
    """
    hashes, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    for _, table in days((*_KEY, "count")):
        pending.append((_hash_keys(table), table["count"].to_numpy()))
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


class _Window:
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
        """For each query its best supported distinct responses with their texts, at most MAX_CONTENDERS."""
        numbers = self._responses.of_queries(np.array(queries, np.int64))
        texts: dict[tuple[int, int], str] = {}
        models: dict[tuple[int, int], tuple[int, str | None]] = {}
        if len(numbers.query):
            wanted = np.unique(combine_hashes(numbers.query.astype(np.uint64), numbers.text))
            for _, table in self._days((*_KEY, "responses")):
                rows, found = self._frequent_rows(table, None)
                parents, flat = flat_responses(rows, found)
                hashes = hash_texts(flat.field("response"))
                hit = np.isin(combine_hashes(parents.astype(np.uint64), hashes), wanted)
                taken = flat.filter(pa.array(hit))
                moments = taken.field("last_at").cast(pa.int64()).to_pylist()
                found_models = taken.field("model").to_pylist()
                of_text = taken.field("response").to_pylist()
                keys = zip(parents[hit].tolist(), hashes[hit].tolist(), strict=True)
                for key, text, last_at, model in zip(keys, of_text, moments, found_models, strict=True):
                    texts.setdefault(key, text)
                    if key not in models or last_at > models[key][0]:
                        models[key] = last_at, model
        answers: dict[int, list[LoggedAnswer]] = {query: [] for query in queries}
        columns = (numbers.query, numbers.text, numbers.count, numbers.negative, numbers.last_at)
        for query, text, count, negative, last_at in zip(*(column.tolist() for column in columns), strict=True):
            model = models[query, text][1]
            answers[query].append(LoggedAnswer(texts[query, text], count, negative, last_at, model))
        return answers

    def _frequent_rows(self, table: pa.Table, day: date | None) -> tuple[pa.Table, np.ndarray]:
        """The rows of frequent queries, and the number of the query of each row. With a day, new queries are numbered
        and the day is noted; without one, all queries must be numbered already."""
        rows = table.filter(pa.array(np.isin(_hash_keys(table), self._frequent)))
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


def _hash_keys(table: pa.Table) -> np.ndarray:
    return combine_hashes(*(hash_texts(table[name].combine_chunks()) for name in _KEY))
