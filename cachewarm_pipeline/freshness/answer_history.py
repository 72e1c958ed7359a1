"""An earlier and a later answer of the log to one query, and whether they say the same: what a check by the log rests
on."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.personal_data import find_personal_data

from cachewarm_pipeline.candidates.window_rollup import DailyTables
from cachewarm_pipeline.freshness.stale_answers import Same
from cachewarm_pipeline.query_log.responses import GroupResponses, LoggedAnswer, ResponseChoice, choose_response

WEEK = 7
"""Days of log that one answer is chosen from: the last ones for the later answer; for the earlier one those that end at
the newest day before them with an answer."""

CONFIRMED = 2
"""Rows in the last week that must say the later answer before it takes an entry's place: a single one may be an odd
one. For the rate it counts all the same, which can only shorten a TTL."""

STEADY = 2 / 3
"""Share of both weeks' rows from which an answer is a query's usual one, however often others come between."""

Key = tuple[str, str]
"""agent_type and canonical query."""


@dataclass(frozen=True)
class History:
    """Uncached answers to one query, without those with personal data, added up over the days of each week."""

    earlier: list[LoggedAnswer]
    later: list[LoggedAnswer]


@dataclass(frozen=True)
class Weeks:
    """The answer of each week, None where users rejected all of it. ``volatile``: the answers go back and forth."""

    earlier: ResponseChoice | None
    later: ResponseChoice | None
    volatile: bool


@dataclass(frozen=True)
class Compared:
    """``later`` is the answer of the last week. ``changed``: the earlier one says something else; ``age_days``: days
    between the newest row of each. ``stale``: it changed, CONFIRMED rows say so, and the entry's own
    answer is not the later one. ``volatile``: as of ``Weeks``; then it says nothing about the rate."""

    later: LoggedAnswer
    changed: bool
    stale: bool
    age_days: float
    volatile: bool = False


def histories(days: DailyTables, wanted: Collection[Key], day: date) -> dict[Key, History]:
    """The answers to the wanted queries as known at the end of ``day``. Queries without any uncached answer are not
    there. ``days`` as for the roll-up. Memory: the wanted queries' answers a day."""
    by_day: dict[Key, dict[date, list[dict[str, Any]]]] = {}
    forms = pa.array(sorted({canonical for _, canonical in wanted}), pa.string())
    keys = set(wanted)
    personal = cache(lambda text: bool(find_personal_data(text)))  # an answer comes again on many days
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


def weeks(found: Sequence[History], group: GroupResponses) -> list[Weeks]:
    """The answer of each week: the best supported one, as the roll-up chooses. Of the newest row alone, a query that
    says something else every fifth time would change in every third check.

    A query is volatile by nature where two answers both occur in both weeks and none has STEADY of the rows. An answer
    that changed over time never looks like that, however often it changed: the old one does not come back. So volatile
    queries can be left out of a rate, both when their weeks differ and when they happen to agree, without leaving out
    changes. Where the log is too thin to show it (a row or two a week), such a query counts as it falls, changed in
    about half of its checks: that can only shorten a TTL.
    """
    texts = [list(dict.fromkeys(answer.text for answer in (*one.earlier, *one.later))) for one in found]
    made = []
    for one, its, labels in zip(found, texts, group(texts), strict=True):
        label = dict(zip(its, labels, strict=True))
        earlier, later = ([label[answer.text] for answer in week] for week in (one.earlier, one.later))
        rows = Counter[int]()
        for answer in (*one.earlier, *one.later):
            rows[label[answer.text]] += answer.count
        back = len({*earlier} & {*later}) > 1 and max(rows.values()) < STEADY * rows.total()
        made.append(Weeks(choose_response(one.earlier, earlier), choose_response(one.later, later), back))
    return made


def compare(asked: Sequence[tuple[History, str | None]], group: GroupResponses, same: Same) -> list[Compared | None]:
    """Of each history and the answer of its entry (None: it has no entry), whether the answer changed; None where users
    rejected all answers of one of the weeks."""
    told = [
        (its, its.earlier.answer, its.later, own) if its.earlier and its.later else None
        for its, (_, own) in zip(weeks([history for history, _ in asked], group), asked, strict=True)
    ]
    pairs = [(earlier.text, later.answer.text) for _, earlier, later, _ in filter(None, told)]
    owns = [(own, later.answer.text) for _, _, later, own in filter(None, told) if own is not None]
    verdicts = _verdicts([*pairs, *owns], same).tolist()
    equal, of_own = iter(verdicts[: len(pairs)]), iter(verdicts[len(pairs) :])
    found: list[Compared | None] = []
    for one in told:
        if one is None:
            found.append(None)
            continue
        its, earlier, later, own = one
        changed = not next(equal)
        other = own is not None and not next(of_own)
        age = (later.answer.last_at - earlier.last_at) / 86_400e6
        found.append(
            Compared(later.answer, changed, changed and other and later.support >= CONFIRMED, age, its.volatile)
        )
    return found


def _verdicts(pairs: Sequence[tuple[str, str]], same: Same) -> np.ndarray:
    return same(pairs) if pairs else np.empty(0, bool)


def _added(days: Sequence[Sequence[dict[str, Any]]]) -> list[LoggedAnswer]:
    """Best supported first, then newest."""
    by_text: dict[str, LoggedAnswer] = {}
    for responses in days:
        for row in responses:
            new = LoggedAnswer(row["response"], row["count"], row["negative"], _micros(row["last_at"]), row["model"])
            old = by_text.get(new.text, LoggedAnswer(new.text, 0, 0, -1))
            newest = max(new, old, key=lambda answer: answer.last_at)
            by_text[new.text] = LoggedAnswer(
                new.text, old.count + new.count, old.negative + new.negative, newest.last_at, newest.model
            )
    return sorted(by_text.values(), key=lambda answer: (-answer.count, -answer.last_at, answer.text))


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
