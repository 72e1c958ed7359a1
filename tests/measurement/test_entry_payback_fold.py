"""Folding stored days into what each entry earned: sums, nulls, state that is carried over, and verdicts."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from cachewarm_client.text import entry_id
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.stored_payback import idle_entry_ids, measured_hits_a_day
from cachewarm_pipeline.freshness.withdrawn_entries import add, empty, reinstate
from cachewarm_pipeline.measurement.entry_payback_fold import WINDOW_DAYS, EntryPaybackFold
from cachewarm_pipeline.measurement.entry_verdicts import EntryFacts, EntryVerdict, withdrawn_verdicts
from cachewarm_pipeline.measurement.prompts_in_log import PromptLogCount, prompts_in_log
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS
from tests.support.payback_data import AGENT, ENOUGH, hits_row, hits_table

DAY = date(2026, 3, 20)
Row = dict[str, Any]


def fold(
    days: Mapping[date, list[Row]],
    day: date = DAY,
    *,
    lookups: Mapping[str, int] | None = None,
    idle_days: int = 28,
    asked: Mapping[date, Mapping[str, PromptLogCount]] | None = None,
    before: tuple[pa.Table, date] | None = None,
    known: EntryFacts | None = None,
) -> pa.Table:
    folded = EntryPaybackFold(day, idle_days, *(before or ()))
    for each in folded.days:
        stored = days.get(each)
        logged = (asked or {}).get(each, {})
        folded.add(
            each,
            None if stored is None else hits_table(stored),
            {AGENT: ENOUGH} if lookups is None else lookups,
            lambda prompts, logged=logged: {  # type: ignore[misc]
                id: logged[text] for (_, text), id in prompts.items() if text in logged
            },
        )
    return folded.table(known or EntryFacts())


def by_prompt(table: pa.Table) -> dict[str, Row]:
    return {row["prompt"]: row for row in table.to_pylist()}


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


HISTORY = st.dictionaries(
    st.integers(0, 120),
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(0, 9), st.sampled_from([None, 0.25, 2.0]), st.booleans())
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(HISTORY)
def test_sums_over_entries_are_sums_over_the_stored_days_of_the_window(history: dict[int, Any]) -> None:
    days = {
        ago(back): [
            hits_row(name, ago(back), hits, cost_usd=cost, whole_day=whole)
            for name, (hits, cost, whole) in entries.items()
        ]
        for back, entries in history.items()
    }
    rows = fold(days).to_pylist()
    stored = [(ago(back), row) for back in history for row in days[ago(back)] if back < WINDOW_DAYS]
    for name, least in (("hits", WINDOW_DAYS), ("hits_28", 28), ("hits_7", 7)):
        assert sum(row[name] for row in rows) == sum(row["hits"] for day, row in stored if (DAY - day).days < least)
    priced = [row["hits"] * row["cost_usd"] for _, row in stored if row["cost_usd"] is not None]
    assert sum(row["recovered_usd"] or 0.0 for row in rows) == pytest.approx(sum(priced))
    assert sum(row["unpriced_hits"] for row in rows) == sum(r["hits"] for _, r in stored if r["cost_usd"] is None)
    assert sum(row["whole_days"] for row in rows) == sum(row["whole_day"] for _, row in stored)
    assert {row["prompt"] for row in rows} == {row["prompt"] for _, row in stored}
    assert [row["hits"] for row in rows] == sorted((row["hits"] for row in rows), reverse=True)


@settings(max_examples=12)
@given(HISTORY, st.integers(1, 4), st.lists(st.integers(0, 30), max_size=3))
def test_a_table_continued_from_an_earlier_one_equals_one_made_from_the_beginning(
    history: dict[int, Any], idle_days: int, stops: list[int]
) -> None:
    days = {
        ago(back): [hits_row(name, ago(back), hits, whole_day=whole) for name, (hits, _, whole) in entries.items()]
        for back, entries in history.items()
        if back < 60
    }
    asked = {ago(back): {"a": PromptLogCount(1, 1)} for back in range(0, 60, 9)}
    whole = fold(days, idle_days=idle_days, asked=asked)
    before = None
    for stop in sorted(set(stops) - {0}, reverse=True):
        before = (fold(days, ago(stop), idle_days=idle_days, asked=asked, before=before), ago(stop))
    assert fold(days, idle_days=idle_days, asked=asked, before=before) == whole


def test_an_entrys_row_has_its_days_its_last_hit_and_its_dollars() -> None:
    days = {ago(n): [hits_row("How?", ago(n), n % 2), hits_row("Why?", ago(n), 0, cost_usd=None)] for n in range(10)}
    days[ago(0)][1]["generation"] = None
    table = by_prompt(fold(days, known=EntryFacts(paid_usd=1.0)))
    how, why = table["How?"], table["Why?"]
    assert (how["hits"], how["hits_7"], how["whole_days"], how["days_looked_up"]) == (5, 3, 10, 10)
    assert (how["first_day"], how["last_hit"]) == (ago(9), datetime(2026, 3, 19, 13, tzinfo=UTC))
    assert (how["hits_a_day"], how["recovered_usd"], how["made_usd"], how["payback"]) == (0.5, 2.5, 0.5, 5.0)
    assert (how["live"], how["idle_days"]) == (True, 1)
    assert (why["live"], why["idle_days"], why["last_hit"]) == (False, 10, None)
    assert (why["recovered_usd"], why["payback"]) == (0.0, 0.0)


def test_hits_of_unknown_cost_are_counted_but_recover_no_dollars() -> None:
    (row,) = fold({ago(1): [hits_row("How?", ago(1), 3, cost_usd=None)]}, known=EntryFacts(paid_usd=0.0)).to_pylist()
    assert (row["recovered_usd"], row["unpriced_hits"], row["payback"]) == (None, 3, None)


def test_hits_a_day_are_measured_from_a_week_of_days_that_were_looked_up() -> None:
    days = {ago(n): [hits_row("How?", ago(n), 2)] for n in range(8)}
    six = {day: rows for day, rows in days.items() if day > ago(6)}
    assert measured_hits_a_day(fold(days)) == {entry_id("How?", AGENT): 2.0}
    assert measured_hits_a_day(fold(six)) == {}
    assert measured_hits_a_day(fold(days, lookups={AGENT: 9})) == {}  # nobody to speak of looked
    assert by_prompt(fold(days, lookups={AGENT: 9}))["How?"]["whole_days"] == 8


def busy(*numbers: int, more: Row | None = None) -> dict[date, list[Row]]:
    """Days of counts of an entry that is never hit, beside one that is: on average 5 hits a day for each of them."""
    return {ago(n): [hits_row("How?", ago(n), **(more or {})), hits_row("Busy?", ago(n), 10)] for n in numbers}


def test_days_without_stored_counts_make_no_entry_idle() -> None:
    live = busy(*range(40))
    assert idle_entry_ids(fold(live)) == {entry_id("How?", AGENT)}
    gaps = {day: rows for day, rows in live.items() if day > ago(26)}
    assert idle_entry_ids(fold(gaps)) == set()
    assert idle_entry_ids(fold(live, lookups={"another": ENOUGH})) == set()
    assert idle_entry_ids(fold({})) == set()


def test_an_entry_is_compared_with_the_other_entries_of_its_agent_type() -> None:
    live = busy(*range(40), more={"agent_type": "another", "entry_id": "own"})
    table = fold(live, lookups={AGENT: ENOUGH, "another": ENOUGH})
    assert idle_entry_ids(table) == set()
    assert (by_prompt(table)["How?"]["idle_days"], by_prompt(table)["How?"]["average_hits"]) == (40, 0.0)
    own = by_prompt(fold(busy(*range(40))))["How?"]
    assert (own["idle_days"], own["average_hits"], own["left_on"]) == (28, 140.0, ago(12))


def test_an_excluded_entry_is_carried_from_table_to_table_until_it_may_return() -> None:
    days = busy(*range(40, 20, -1))
    left = fold(days, ago(21), idle_days=20)
    assert by_prompt(left)["How?"]["left_on"] == ago(21)

    def later(back: int, **more: Any) -> Row:
        return by_prompt(fold(days, ago(back), idle_days=20, before=(left, ago(21)), **more))["How?"]

    assert (later(5)["left_on"], later(5)["idle_days"], later(5)["average_hits"]) == (ago(21), 20, 100.0)
    assert later(5, asked={ago(6): {"how": PromptLogCount(1, 0)}})["left_on"] is None
    assert (later(0)["left_on"], later(0)["times_left"]) == (None, 1)
    assert fold({}, idle_days=20, before=(left, ago(21))).num_rows == 0


def test_an_entry_that_was_unknown_when_it_was_hit_gets_its_prompt_later() -> None:
    unknown = {"agent_type": "", "prompt": "", "source": "", "generation": None, "cost_usd": None}
    first = {**hits_row("How?", ago(3), 4), **unknown}
    (row,) = fold({ago(3): [first], ago(2): [hits_row("How?", ago(2), 1)]}).to_pylist()
    assert (row["prompt"], row["agent_type"], row["hits"], row["unpriced_hits"]) == ("How?", AGENT, 5, 4)
    (row,) = fold({ago(3): [first]}).to_pylist()
    assert (row["prompt"], row["live"], row["made_usd"]) == ("", False, None)


def test_each_entry_has_the_verdicts_that_a_reviewer_filters_by() -> None:
    rows = [hits_row(name, ago(0), 1) for name in ("good", "bad", "old")]
    bad, old = rows[1]["entry_id"], rows[2]["entry_id"]
    at = datetime(2026, 3, 15, tzinfo=UTC)
    known = EntryFacts({bad: 2}, {bad: EntryVerdict.WITHDRAWN}, {old: (at, True), rows[0]["entry_id"]: (at, False)})
    table = by_prompt(fold({ago(0): rows}, known=known, asked={ago(0): {"bad": PromptLogCount(5, 3)}}))
    assert table["good"]["verdicts"] == []
    assert (table["good"]["checked_at"], table["good"]["changed"]) == (at, False)
    assert table["bad"]["verdicts"] == ["reported", "withdrawn", "rejected"]
    assert (table["bad"]["reports"], table["bad"]["negative"]) == (2, 3)
    assert table["old"]["verdicts"] == ["changed"]


def test_an_entry_is_withdrawn_from_the_moment_of_the_withdrawal_until_all_its_answers_are_reinstated() -> None:
    def out(entry: str, response: str) -> Row:
        own = {"entry_id": entry, "agent_type": AGENT, "prompt": "p", "response": response}
        return {**own, "why": "", "reports": 0, "by": "person"}

    end = end_of(DAY)
    table = add(empty(), [out("e", "one"), out("f", "one")], end - timedelta(days=2))
    table = reinstate(table, {"e", "f"}, end - timedelta(days=1))
    table = add(table, [out("f", "two"), out("g", "late")], end - timedelta(hours=1))
    assert withdrawn_verdicts(table, end - timedelta(days=2)) == {}
    assert set(withdrawn_verdicts(table, end - timedelta(days=1)).values()) == {EntryVerdict.WITHDRAWN}
    expected = {"e": EntryVerdict.REINSTATED, "f": EntryVerdict.WITHDRAWN, "g": EntryVerdict.WITHDRAWN}
    assert withdrawn_verdicts(table, end) == expected


def test_only_an_entrys_own_prompt_and_agent_type_count_as_asked_and_as_rejected() -> None:
    answers = [{"response": "x", "count": 2, "last_at": end_of(DAY), "negative": n, "model": None} for n in (1, 2)]
    zero = Counter(dict.fromkeys(DAILY_QUERY_COUNTS.names, 0))
    rows = [
        {**zero, "agent_type": agent, "canonical": text, "prompt": text, "count": 7, "users": [], "responses": answers}
        for agent, text in ((AGENT, "how"), ("another", "how"), (AGENT, "how come"))
    ]
    counts = pa.Table.from_pylist(rows, schema=DAILY_QUERY_COUNTS)
    assert prompts_in_log(counts, {(AGENT, "how"): "id", (AGENT, "why"): "other"}) == {"id": PromptLogCount(7, 3)}
