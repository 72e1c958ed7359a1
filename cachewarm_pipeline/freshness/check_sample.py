"""Which queries are checked, and which of their checks count for the change rate.

The rate is not measured on the plan's entries alone. Entries were chosen for stable answers; measured on them alone,
the rate would be too low: by a quarter at 3% a day, by half at 10%.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.freshness.rows import LoggedQuery, PlanEntry, Query

SPARE = 4
"""Histories are read for this many times the sample: some queries have no answer of a week ago, or none since."""


class NotChecked(StrEnum):
    """Why a query's answer was not checked, or why its check does not count for the rate."""

    NOT_FROM_LOG = "not_from_the_log"
    VARIANT = "variant_has_the_answer_of_its_base"
    NO_EARLIER = "no_answer_a_week_ago"
    NO_LATER = "no_answer_in_the_last_week"
    REJECTED = "users_rejected_all_answers"
    BACK_AND_FORTH = "answers_go_back_and_forth"
    NOT_SAMPLED = "not_in_the_sample"
    NO_ANSWER = "the_model_gave_no_usable_answer"


@dataclass(frozen=True)
class ChangeCheck:
    """A row of CHANGE_CHECKS: whether the answer of one query has changed since ``age_days`` ago."""

    entry_id: str
    agent_type: str
    planned: bool
    """Whether the query is an entry of the plan."""
    age_days: float
    changed: bool


class Sample:
    """Draws the queries to check: at most ``most`` for each agent_type (None: all), including those ``already``
    checked. ``not_checked`` counts the other queries by reason."""

    def __init__(self, most: int | None, day: date, already: Counter[str]) -> None:
        self._most, self._week, self._already = most, week_of(day), already
        self.not_checked: Counter[str] = Counter()

    def with_spares(self, queries: Sequence[Query]) -> list[Query]:
        """SPARE times as many as ``draw`` takes, in the order of the draw: those whose histories need to be read."""
        return self._first(queries, None if self._most is None else SPARE * self._most)

    def draw(self, queries: Sequence[Query]) -> list[Query]:
        """The sample of the queries that can be checked."""
        return self._first(queries, self._most)

    def _first(self, queries: Sequence[Query], most: int | None) -> list[Query]:
        drawn = sampled(queries, most, self._week, self._already)
        self.not_checked[NotChecked.NOT_SAMPLED] += len(queries) - len(drawn)
        return drawn


def sampled(
    queries: Sequence[Query], most: int | None, seed: str, already: Mapping[str, int] | None = None
) -> list[Query]:
    """At most ``most`` queries for each agent_type (None: all), including the number ``already`` drawn, ordered by a
    hash of ``seed`` and entry_id. The same seed draws the same queries, another seed draws others."""
    taken = Counter(already)
    drawn = []
    for query in sorted(queries, key=lambda query: sha256_hex("check", seed, query["entry_id"])):
        if most is None or taken[query["agent_type"]] < most:
            taken[query["agent_type"]] += 1
            drawn.append(query)
    return drawn


def week_of(day: date) -> str:
    """The ISO week, for example 2026-W12. It seeds the sample, and a model answers each question once a week."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def population(planned: Sequence[PlanEntry], frequent: pa.Table, unfit_queries: pa.Table) -> list[Query]:
    """The planned entries, then the day's other frequent queries (FREQUENT_QUERIES), then those excluded as VOLATILE
    (UNFIT_QUERIES); each entry_id once.

    Volatile queries belong to it because a query whose answer changed in the middle of the window is taken for
    volatile. Inherently volatile queries are recognised later (answer_history.weekly_answers).
    """
    volatile = unfit_queries.filter(pc.equal(unfit_queries["reason"], str(ExclusionReason.VOLATILE)))
    found: dict[str, Query] = {row["entry_id"]: row for row in planned}
    for table in (frequent, volatile):
        for row in table.select(["entry_id", "agent_type", "prompt"]).to_pylist():
            query: LoggedQuery = {
                "entry_id": row["entry_id"],
                "agent_type": row["agent_type"],
                "prompt": row["prompt"],
                "source": "query_log",
            }
            found.setdefault(query["entry_id"], query)
    return list(found.values())


def newest_of_each(days: Iterable[Iterable[ChangeCheck]]) -> list[ChangeCheck]:
    """One check for each query, the newest. ``days``: newest first. A query that was checked in each of four weeks is
    one piece of evidence, not four."""
    found: dict[str, ChangeCheck] = {}
    for checks in days:
        for check in checks:
            found.setdefault(check.entry_id, check)
    return list(found.values())
