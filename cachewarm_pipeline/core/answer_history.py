"""An earlier and a later answer of the log to one query, and whether they say the same: what a check of an entry from
the log rests on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.core.personal import find
from cachewarm_pipeline.core.responses import Answer, GroupResponses, choose
from cachewarm_pipeline.core.rollup import Days
from cachewarm_pipeline.core.staleness import Same

WEEK = 7
"""Days of log that one answer is chosen from: the last ones for the later answer; for the earlier one those that end at
the newest day before them with an answer."""

CONFIRMED = 2
"""Rows in the last week that must say the later answer before it takes an entry's place: a single one may be an odd
one. For the rate it counts all the same, which can only shorten a TTL."""

Key = tuple[str, str]
"""agent_type and canonical query."""


@dataclass(frozen=True)
class History:
    """Uncached answers to one query, without those with personal data, added up over the days of each week."""

    earlier: list[Answer]
    later: list[Answer]


@dataclass(frozen=True)
class Compared:
    """``later`` is the answer of the last week. ``changed``: the earlier one says something else; ``age_days``: days
    between the newest row of each. ``stale``: it changed, CONFIRMED rows say so, and the entry's own
    answer is not the later one."""

    later: Answer
    changed: bool
    stale: bool
    age_days: float


def histories(days: Days, wanted: Collection[Key], day: date) -> dict[Key, History]:
    """The answers to the wanted queries as known at the end of ``day``. Queries without any uncached answer are not
    there. ``days`` as for ``rollup``. Memory: the wanted queries' answers a day."""
    by_day: dict[Key, dict[date, list[dict[str, Any]]]] = {}
    forms = pa.array(sorted({canonical for _, canonical in wanted}), pa.string())
    keys = set(wanted)
    personal = cache(lambda text: bool(find(text)))  # an answer comes again on many days
    for of, table in days(("agent_type", "canonical", "responses")):
        for row in table.filter(pc.is_in(table["canonical"], value_set=forms)).to_pylist():
            key = row["agent_type"], row["canonical"]
            if key in keys and of <= day and (said := [r for r in row["responses"] if not personal(r["response"])]):
                by_day.setdefault(key, {})[of] = said
    cut = day - timedelta(WEEK)
    found = {}
    for key, its in by_day.items():
        last = max((of for of in its if of <= cut), default=date.min)
        found[key] = History(
            _added([its[of] for of in sorted(its) if last - timedelta(WEEK) < of <= last] if last > date.min else []),
            _added([its[of] for of in sorted(its) if of > cut]),
        )
    return found


def compare(asked: Sequence[tuple[History, str]], group: GroupResponses, same: Same) -> list[Compared | None]:
    """Of each history and the answer of its entry, whether the answer changed; None where users rejected all answers of
    one of the weeks.

    A week's answer is the best supported one, as the roll-up chooses: of the newest row alone, a query that says
    something else every fifth time would change in every third check.
    """
    answers = [week for history, _ in asked for week in (history.earlier, history.later)]
    labels = group([[answer.text for answer in week] for week in answers])
    choices = [choose(week, of) for week, of in zip(answers, labels, strict=True)]
    pairs = list(zip(choices[::2], choices[1::2], (own for _, own in asked), strict=True))
    told = [(one.answer, other.answer, own) for one, other, own in pairs if one and other]
    verdicts = _verdicts(
        [*((earlier.text, later.text) for earlier, later, _ in told), *((own, later.text) for _, later, own in told)],
        same,
    )
    found: list[Compared | None] = []
    at = 0
    for one, other, _ in pairs:
        if one is None or other is None:
            found.append(None)
            continue
        changed, own = not verdicts[at], bool(verdicts[len(told) + at])
        stale = changed and not own and other.support >= CONFIRMED
        age = (other.answer.last_at - one.answer.last_at) / 86_400e6
        found.append(Compared(other.answer, changed, stale, age))
        at += 1
    return found


def _verdicts(pairs: Sequence[tuple[str, str]], same: Same) -> np.ndarray:
    return same(pairs) if pairs else np.empty(0, bool)


def _added(days: Sequence[Sequence[dict[str, Any]]]) -> list[Answer]:
    """Best supported first, then newest."""
    by_text: dict[str, Answer] = {}
    for responses in days:
        for row in responses:
            new = Answer(row["response"], row["count"], row["negative"], _micros(row["last_at"]), row["model"])
            old = by_text.get(new.text, Answer(new.text, 0, 0, -1))
            newest = max(new, old, key=lambda answer: answer.last_at)
            by_text[new.text] = Answer(
                new.text, old.count + new.count, old.negative + new.negative, newest.last_at, newest.model
            )
    return sorted(by_text.values(), key=lambda answer: (-answer.count, -answer.last_at, answer.text))


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
