"""An earlier and a later answer of the log to one query, and whether they are equivalent: what checks by the log rest
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

from cachewarm_pipeline.answers.response_choice import GroupResponses, LoggedAnswer, ResponseChoice, choose_response
from cachewarm_pipeline.candidates.window_counts import DailyTables
from cachewarm_pipeline.freshness.rows import AreEquivalent
from cachewarm_pipeline.ports import AnswerPair, JudgeUse, QueryAnswers

WEEK = 7
"""Days of log from which one answer is chosen. For the later answer these are the last days of the log; for the earlier
answer they end at the newest day before them that has an answer."""

CONFIRMED = 2
"""Rows of the last week that must give the later answer before it replaces an entry's: a single row may be an
exception. A single row still counts for the change rate, where it can only shorten a TTL."""

STEADY = 2 / 3
"""An answer with at least this share of both weeks' rows is a query's usual one, however often others appear."""

Key = tuple[str, str]
"""agent_type and canonical query."""


@dataclass(frozen=True)
class History:
    """The uncached answers to one query in both weeks, without those with personal data, added up over the days."""

    earlier: list[LoggedAnswer]
    later: list[LoggedAnswer]


@dataclass(frozen=True)
class WeeklyAnswers:
    """The answer of each week; None where users rejected all of its answers."""

    earlier: ResponseChoice | None
    later: ResponseChoice | None
    volatile: bool
    """The answers go back and forth."""


@dataclass(frozen=True)
class AnswerComparison:
    """A check of one query by its history."""

    later: LoggedAnswer
    """The answer of the last week."""
    changed: bool
    """Whether the earlier answer says something else."""
    stale: bool
    """Whether it changed, CONFIRMED rows give it, and the entry's own answer says something else."""
    age_days: float
    """Days between the newest row of each answer."""
    volatile: bool = False
    """As in WeeklyAnswers; then the check does not count for the rate."""


def answer_histories(days: DailyTables, wanted: Collection[Key], day: date) -> dict[Key, History]:
    """The answers to the wanted queries as known at the end of ``day``. Queries without an uncached answer have none.
    ``days``: as for ``roll_up_frequent_queries``. Memory: the wanted queries' answers of each day."""
    by_day: dict[Key, dict[date, list[dict[str, Any]]]] = {}
    forms = pa.array(sorted({canonical for _, canonical in wanted}), pa.string())
    keys = set(wanted)
    is_personal = cache(lambda text: bool(find_personal_data(text)))  # cached: an answer is given on many days
    for of, table in days(("agent_type", "canonical", "responses")):
        for row in table.filter(pc.is_in(table["canonical"], value_set=forms)).to_pylist():
            key = row["agent_type"], row["canonical"]
            if key in keys and of <= day:
                answers = [answer for answer in row["responses"] if not is_personal(answer["response"])]
                if answers:
                    by_day.setdefault(key, {})[of] = answers
    cut = day - timedelta(WEEK)
    found = {}
    for key, own in by_day.items():
        last = max((of for of in own if of <= cut), default=date.min)
        found[key] = History(
            _added_up(
                [own[of] for of in sorted(own) if last - timedelta(WEEK) < of <= last] if last > date.min else []
            ),
            _added_up([own[of] for of in sorted(own) if of > cut]),
        )
    return found


def weekly_answers(found: Sequence[tuple[str, History]], group: GroupResponses) -> list[WeeklyAnswers]:
    """The answer of each week: the one with most support, as the roll-up chooses it. By the newest row alone, a query
    that gets another answer every fifth time would change in every third check.

    A query is inherently volatile if two answers occur in both weeks and neither has a share of STEADY. An answer that
    changed over time never looks like that, however often it changed, because the old answer does not come back. So
    volatile queries can be excluded from a rate, whether their weeks differ or happen to agree, without excluding
    changes. Where the log is too thin to show it (a row or two a week), a volatile query counts as changed in about
    half of its checks, which can only shorten a TTL.
    """
    asked = [
        QueryAnswers(question, list(dict.fromkeys(answer.text for answer in (*one.earlier, *one.later))))
        for question, one in found
    ]
    weekly = []
    for (_, one), own, labels in zip(found, asked, group(asked), strict=True):
        label = dict(zip(own.responses, labels, strict=True))
        earlier, later = ([label[answer.text] for answer in week] for week in (one.earlier, one.later))
        rows = Counter[int]()
        for answer in (*one.earlier, *one.later):
            rows[label[answer.text]] += answer.count
        volatile = len({*earlier} & {*later}) > 1 and max(rows.values()) < STEADY * rows.total()
        weekly.append(WeeklyAnswers(choose_response(one.earlier, earlier), choose_response(one.later, later), volatile))
    return weekly


def compare(
    asked: Sequence[tuple[str, History, str | None]], group: GroupResponses, are_equivalent: AreEquivalent
) -> list[AnswerComparison | None]:
    """For each prompt and history, with the answer of the query's entry (None: it has no entry), whether the answer
    changed. None where users rejected all answers of one of the weeks. A new wording is no change (CHANGED)."""
    comparable = [
        (question, weekly, weekly.earlier.answer, weekly.later, own) if weekly.earlier and weekly.later else None
        for weekly, (question, _, own) in zip(
            weekly_answers([(question, history) for question, history, _ in asked], group), asked, strict=True
        )
    ]
    found_pairs = list(filter(None, comparable))
    pairs = [
        AnswerPair(question, earlier.text, later.answer.text, _shared_model(earlier, later.answer))
        for question, _, earlier, later, _ in found_pairs
    ]
    owns = [
        AnswerPair(question, own, later.answer.text) for question, _, _, later, own in found_pairs if own is not None
    ]
    verdicts = _verdicts([*pairs, *owns], are_equivalent).tolist()
    equal, of_own = iter(verdicts[: len(pairs)]), iter(verdicts[len(pairs) :])
    found: list[AnswerComparison | None] = []
    for one in comparable:
        if one is None:
            found.append(None)
            continue
        _, weekly, earlier, later, own = one
        changed = not next(equal)
        other = own is not None and not next(of_own)
        age = (later.answer.last_at - earlier.last_at) / 86_400e6
        stale = changed and other and later.support >= CONFIRMED
        found.append(AnswerComparison(later.answer, changed, stale, age, weekly.volatile))
    return found


def _shared_model(one: LoggedAnswer, other: LoggedAnswer) -> str | None:
    """The model that gave both answers, if there is one."""
    return one.model if one.model == other.model else None


def _verdicts(pairs: Sequence[AnswerPair], are_equivalent: AreEquivalent) -> np.ndarray:
    return are_equivalent(pairs, use=JudgeUse.CHANGED) if pairs else np.empty(0, bool)


def _added_up(days: Sequence[Sequence[dict[str, Any]]]) -> list[LoggedAnswer]:
    """The answers of several days, those with most support first, then the newest."""
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
