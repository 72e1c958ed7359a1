"""The labelled log: the distinct queries of the window that have an answer of their own.

Match rules are fitted and certified on it. The judge labels a query by comparing its own answer with the one that the
cache would serve.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import entry_id, sha256_hex

from cachewarm_pipeline.answers.response_choice import LoggedAnswer, choose_response
from cachewarm_pipeline.candidates.window_counts import DailyTables
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import QueryAnswers
from cachewarm_pipeline.query_log.response_text import exact_groups
from cachewarm_pipeline.storage.schemas import LABELLED_QUERIES

CHOOSE, FIT, CERTIFY = "choose", "fit", "certify"
PARTS = (CHOOSE, FIT, CERTIFY)
SHARES = {CHOOSE: 0.2, FIT: 0.2, CERTIFY: 0.6}
"""Shares of the labelled log. The queries of ``choose`` and ``fit`` both choose entries (planning.expected_demand) and
fit the match model: a model may be fitted on the queries that chose the entries. Those of ``certify`` do neither, and a
query that is an entry certifies nothing. ``certify`` is the largest part: a bound needs many hits, a model of
twenty-odd weights does not (Banking77, 1,000 entries: training on 0.2 to 0.7 of the log changed the hit rate at 5% by 2
points)."""


def part_of(entry: str) -> str:
    """The part of the log that a query belongs to, on every day: a hash of the entry_id decides; it never changes."""
    place = int(sha256_hex("part", entry)[:8], 16) / 2**32
    for part in PARTS:
        place -= SHARES[part]
        if place < 0:
            return part
    return CERTIFY


def labelled_queries(days: DailyTables, *, maximum: int, weights: Mapping[date, float]) -> tuple[pa.Table, Counts]:
    """The table LABELLED_QUERIES, with at most ``maximum`` distinct queries an agent_type, those asked last; and how
    many were excluded, by reason.

    The answer of a query is the one with the most support that did not come from the cache, the newest on ties.
    Excluded: OVER_CAP (older than the ``maximum`` newest), NO_EVIDENCE and NEGATIVE_FEEDBACK as in the roll-up,
    PERSONAL (in the prompt or the answer: no judge may see it). ``days`` and ``weights``: as for
    ``roll_up_frequent_queries``. Memory: 200 bytes for each distinct query of the window, and the chosen queries'
    answers.
    """
    excluded: Counts = Counts()
    chosen, excluded[ExclusionReason.OVER_CAP], stands_for = _choose(days, maximum, weights)
    numbers: dict[tuple[str, str], _Query] = {}
    columns = ("agent_type", "canonical", "prompt", "prompt_count", "count", "responses", "cost_usd", "costed")
    for day, table in days(columns):
        for row in _rows(table, chosen):
            numbers.setdefault((row["agent_type"], row["canonical"]), _Query()).add(day, weights[day], row)
    rows = []
    for (agent_type, _), query in numbers.items():
        prompt = query.prompt
        answers = query.answers()
        if not answers:
            excluded[ExclusionReason.NO_EVIDENCE] += 1
        elif find_personal_data(prompt):
            excluded[ExclusionReason.PERSONAL] += 1
        elif (
            choice := choose_response(answers, exact_groups([QueryAnswers(prompt, [a.text for a in answers])])[0])
        ) is None:
            excluded[ExclusionReason.NEGATIVE_FEEDBACK] += 1
        elif find_personal_data(choice.answer.text):
            excluded[ExclusionReason.PERSONAL] += 1
        else:
            entry = entry_id(prompt, agent_type)
            rows.append(
                {
                    "entry_id": entry,
                    "agent_type": agent_type,
                    "prompt": prompt,
                    "response": choice.answer.text,
                    "frequency": query.count,
                    "demand": query.demand,
                    "stands_for": stands_for[agent_type],
                    "cost_usd": query.cost_usd,
                    "last_day": query.last_day,
                    "part": part_of(entry),
                }
            )
    rows.sort(key=lambda row: (row["agent_type"], row["entry_id"]))
    return pa.Table.from_pylist(rows, schema=LABELLED_QUERIES), +excluded


class _Query:
    """One distinct query over the window."""

    def __init__(self) -> None:
        self.count = 0
        self.demand = 0.0
        self.last_day = date.min
        self._cost, self._costed = 0.0, 0
        self._spellings: Counter[str] = Counter()
        self._answers: dict[str, list[int]] = {}

    def add(self, day: date, weight: float, row: dict[str, Any]) -> None:
        self.count += row["count"]
        self.demand += weight * row["count"]
        self._cost += row["cost_usd"] if row["costed"] else 0.0
        self._costed += row["costed"]
        self.last_day = max(self.last_day, day)
        self._spellings[row["prompt"]] += row["prompt_count"]
        for answer in row["responses"]:
            at = int(answer["last_at"].timestamp() * 1e6)
            known = self._answers.setdefault(answer["response"], [0, 0, at])
            known[:] = known[0] + answer["count"], known[1] + answer["negative"], max(known[2], at)

    @property
    def cost_usd(self) -> float | None:
        """Mean over the calls with a known cost."""
        return self._cost / self._costed if self._costed else None

    @property
    def prompt(self) -> str:
        return min(self._spellings.items(), key=lambda item: (-item[1], item[0]))[0]

    def answers(self) -> list[LoggedAnswer]:
        """Most support first, then newest."""
        found = [LoggedAnswer(text, count, negative, at) for text, (count, negative, at) in self._answers.items()]
        return sorted(found, key=lambda a: (-a.count, -a.last_at, a.text))


def _choose(
    days: DailyTables, maximum: int, weights: Mapping[date, float]
) -> tuple[dict[str, set[str]], int, dict[str, float]]:
    """The chosen canonical queries by agent_type, those of the newest days, within a day by hash; how many were not
    chosen; and by agent_type the demand of all queries divided by that of the chosen ones."""
    last: dict[str, dict[str, date]] = {}
    demand: dict[str, dict[str, float]] = {}
    for day, table in days(("agent_type", "canonical", "count")):
        columns = (table[name].to_pylist() for name in ("agent_type", "canonical", "count"))
        for agent_type, query, count in zip(*columns, strict=True):
            own, asked = last.setdefault(agent_type, {}), demand.setdefault(agent_type, {})
            own[query] = max(own.get(query, date.min), day)
            asked[query] = asked.get(query, 0.0) + weights[day] * count
    chosen, over, stands_for = {}, 0, {}
    for agent_type, queries in last.items():
        if len(queries) > maximum:
            order = sorted(queries, key=lambda query: (-queries[query].toordinal(), sha256_hex(query)))
            chosen[agent_type] = set(order[:maximum])
        else:
            chosen[agent_type] = set(queries)
        over += len(queries) - len(chosen[agent_type])
        kept = sum(demand[agent_type][query] for query in chosen[agent_type])
        stands_for[agent_type] = sum(demand[agent_type].values()) / kept if kept else 1.0
    return chosen, over, stands_for


def _rows(table: pa.Table, chosen: dict[str, set[str]]) -> list[dict[str, Any]]:
    keys = zip(table["agent_type"].to_pylist(), table["canonical"].to_pylist(), strict=True)
    keep = np.array([query in chosen.get(agent_type, ()) for agent_type, query in keys], bool)
    kept: list[dict[str, Any]] = table.filter(pa.array(keep, pa.bool_())).to_pylist()
    return kept
