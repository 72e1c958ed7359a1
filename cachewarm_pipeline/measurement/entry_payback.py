"""What each entry earned: stored days of hits folded into one row an entry, with what speaks against it.

Figures are of the 90 days that end at the day, added up from the stored days each time; only what looks further back
(first day, last hit, rejections, whether it is left out) is carried over from the table of an earlier day.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.freshness.idle_entries import LEAST_LOOKUPS, EntryDay, IdleState, idle_states_after
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_PAYBACK
from cachewarm_pipeline.storage.schemas import conform

WINDOW_DAYS = 90
"""Days that figures are of: as long as counters live in Redis."""

WEEK, MONTH = 7, 28

LEAST_DAYS = 7
"""Days from which on hits a day are measured: each weekday once."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EntryVerdict(StrEnum):
    """What speaks against an entry; a reviewer filters by it."""

    REPORTED = "reported"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"
    CHANGED = "changed"
    REJECTED = "rejected"
    IDLE = "idle"


class InLog(NamedTuple):
    """A question in one day's log: rows, and answers that users rejected."""

    rows: int
    negative: int


PromptKey = tuple[str, str]
"""agent_type and canonical prompt, as the log's counts are keyed."""

Log = Callable[[Mapping[PromptKey, str]], Mapping[str, InLog]]
"""Of the questions (to entry_ids) those that are in a day's log, by entry_id."""


@dataclass(frozen=True)
class EntryFacts:
    """What else is known of entries by the end of the day, by entry_id. ``reports``: people who report the answer as
    wrong; ``withdrawn``: WITHDRAWN or REINSTATED; ``checked``: when its answer was checked, and whether it changed;
    ``paid_usd``: what runs paid in the window, None where that was not recorded."""

    reports: Mapping[str, int] = field(default_factory=dict)
    withdrawn: Mapping[str, EntryVerdict] = field(default_factory=dict)
    checked: Mapping[str, tuple[datetime, bool]] = field(default_factory=dict)
    paid_usd: float | None = None


@dataclass(slots=True)
class _Entry:
    entry_id: str
    agent_type: str
    prompt: str
    source: str
    first_day: date
    question: PromptKey | None
    last_hit: int | None = None
    negative: int = 0
    idle: IdleState = field(default_factory=IdleState)
    seen_on: date | None = None
    live_on: date | None = None
    cost_usd: float | None = None
    hits: int = 0
    hits_7: int = 0
    hits_28: int = 0
    whole_days: int = 0
    days_looked_up: int = 0
    recent_days: int = 0
    recent_hits: int = 0
    recovered_usd: float = 0.0
    unpriced_hits: int = 0


class Fold:
    """Folds days, oldest first. Memory: one day's table, and a record (under 1 KB and its prompt) for each entry that
    was live or hit in the window."""

    def __init__(self, day: date, idle_days: int, before: pa.Table | None = None, before_day: date | None = None):
        """``before``: ENTRY_PAYBACK of ``before_day``, an earlier day with counts; states go on from there."""
        self._day, self._idle_days, self._before_day = day, idle_days, before_day
        self._entries: dict[str, _Entry] = {}
        self._newest: date | None = None
        for row in before.to_pylist() if before else ():
            own = row["entry_id"], row["agent_type"], row["prompt"], row["source"]
            entry = self._entry(*own, first_day=row["first_day"])
            entry.last_hit, entry.negative = _micros(row["last_hit"]), row["negative"]
            entry.idle = IdleState(row["idle_days"], row["average_hits"], row["left_on"], row["times_left"])

    @property
    def days(self) -> list[date]:
        """The days to add, oldest first."""
        return [self._day - timedelta(days=back) for back in range(WINDOW_DAYS - 1, -1, -1)]

    @property
    def entries(self) -> int:
        """How many there are so far."""
        return len(self._entries)

    @property
    def counted_to(self) -> date | None:
        """The newest day with counts."""
        return self._newest

    def add(self, day: date, hits: pa.Table | None, lookups: Mapping[str, int], log: Log) -> None:
        """One day. ``hits``: ENTRY_HITS, None where nothing is stored; ``lookups``: of the warmed arm by agent_type.
        ``log`` is asked on days after ``before_day`` alone."""
        seen: dict[str, EntryDay] = {}
        for row in _rows(hits) if hits else ():
            self._count(day, row, lookups)
            seen[row.entry_id] = EntryDay(row.whole_day, row.hits)
        if hits is not None:
            self._newest = day
        if self._before_day is not None and day <= self._before_day:
            return
        questions = {entry.question: id for id, entry in self._entries.items() if entry.question}
        said = log(questions) if questions else {}
        states: dict[str, dict[str, IdleState]] = {}
        for id, entry in self._entries.items():
            states.setdefault(entry.agent_type, {})[id] = entry.idle
        for id, found in said.items():
            self._entries[id].negative += found.negative
        asked = {id for id, found in said.items() if found.rows > 0}
        for agent_type, own in states.items():
            looked_up = hits is not None and lookups.get(agent_type, 0) >= LEAST_LOOKUPS
            now = idle_states_after(own, day, seen, looked_up=looked_up, asked=asked, idle_days=self._idle_days)
            for id, idle in now.items():
                self._entries[id].idle = idle

    def table(self, known: EntryFacts) -> pa.Table:
        """ENTRY_PAYBACK: most hits first, then most dollars. ``known`` may have entries that were never counted."""
        first = self.days[0]
        kept = [e for e in self._entries.values() if e.idle.left_on or (e.seen_on is not None and e.seen_on >= first)]
        made = sum(entry.live_on is not None for entry in kept)
        share = known.paid_usd / made if known.paid_usd is not None and made else None
        rows = [self._row(entry, known, share) for entry in kept]
        rows.sort(key=lambda row: (-row["hits"], -(row["recovered_usd"] or 0.0), row["entry_id"]))
        return conform("entry_payback", pa.Table.from_pylist(rows, schema=ENTRY_PAYBACK))

    def _entry(self, entry_id: str, agent_type: str, prompt: str, source: str, first_day: date) -> _Entry:
        made = _Entry(entry_id, agent_type, prompt, source, first_day, _question(agent_type, prompt))
        self._entries[entry_id] = made
        return made

    def _count(self, day: date, row: "_HitsRow", lookups: Mapping[str, int]) -> None:
        entry = self._entries.get(row.entry_id)
        entry = entry or self._entry(row.entry_id, row.agent_type, row.prompt, row.source, day)
        if row.prompt and not entry.prompt:  # when it was first counted nobody knew it any more
            entry.agent_type, entry.prompt, entry.source = row.agent_type, row.prompt, row.source
            entry.question = _question(row.agent_type, row.prompt)
        back, hits = (self._day - day).days, row.hits
        entry.first_day, entry.seen_on = min(entry.first_day, day), day
        entry.live_on = day if row.live else entry.live_on
        entry.cost_usd = entry.cost_usd if row.cost_usd is None else row.cost_usd
        entry.hits += hits
        entry.hits_7 += hits if back < WEEK else 0
        entry.hits_28 += hits if back < MONTH else 0
        if row.last_hit is not None:
            entry.last_hit = max(entry.last_hit or row.last_hit, row.last_hit)
        entry.whole_days += row.whole_day
        if row.whole_day and lookups.get(entry.agent_type, 0) >= LEAST_LOOKUPS:
            entry.days_looked_up += 1
            entry.recent_days += back < MONTH
            entry.recent_hits += hits if back < MONTH else 0
        if row.cost_usd is None:
            entry.unpriced_hits += hits
        else:
            entry.recovered_usd += hits * row.cost_usd

    def _row(self, entry: _Entry, known: EntryFacts, share: float | None) -> dict[str, Any]:
        checked_at, changed = known.checked.get(entry.entry_id, (None, None))
        reports, withdrawn = known.reports.get(entry.entry_id, 0), known.withdrawn.get(entry.entry_id)
        against = {
            EntryVerdict.REPORTED: reports > 0,
            EntryVerdict.WITHDRAWN: withdrawn == EntryVerdict.WITHDRAWN,
            EntryVerdict.REINSTATED: withdrawn == EntryVerdict.REINSTATED,
            EntryVerdict.CHANGED: bool(changed),
            EntryVerdict.REJECTED: entry.negative > 0,
            EntryVerdict.IDLE: entry.idle.left_on is not None,
        }
        priced = entry.hits - entry.unpriced_hits
        recovered = entry.recovered_usd if priced or not entry.hits else None
        made = share if entry.live_on is not None else None
        own = ("entry_id", "agent_type", "prompt", "source", "first_day", "hits", "hits_7", "hits_28", "last_hit")
        days = ("whole_days", "days_looked_up", "cost_usd", "unpriced_hits", "negative")
        return {
            **{name: getattr(entry, name) for name in (*own, *days)},
            "live": entry.live_on is not None and entry.live_on == self._newest,
            "hits_a_day": entry.recent_hits / entry.recent_days if entry.recent_days >= LEAST_DAYS else None,
            "recovered_usd": recovered,
            "made_usd": made,
            "payback": recovered / made if made and recovered is not None else None,
            "idle_days": entry.idle.days,
            "average_hits": entry.idle.average_hits,
            "left_on": entry.idle.left_on,
            "times_left": entry.idle.times,
            "reports": reports,
            "checked_at": checked_at,
            "changed": changed,
            "verdicts": [str(verdict) for verdict, holds in against.items() if holds],
        }


class _HitsRow(NamedTuple):
    """A row of ENTRY_HITS; ``last_hit`` in microseconds since 1970, which costs a tenth of a datetime."""

    entry_id: str
    agent_type: str
    prompt: str
    source: str
    cost_usd: float | None
    live: bool
    whole_day: bool
    hits: int
    last_hit: int | None


def _rows(hits: pa.Table) -> Iterable[_HitsRow]:
    plain = ("entry_id", "agent_type", "prompt", "source", "cost_usd")
    columns = [
        *(hits[name] for name in plain),
        hits["generation"].is_valid(),
        *(hits[name] for name in ("whole_day", "hits")),
        hits["last_hit"].cast(pa.int64()),
    ]
    return map(_HitsRow._make, zip(*(column.to_pylist() for column in columns), strict=True))


def _micros(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def _question(agent_type: str, prompt: str) -> PromptKey | None:
    text = canonical(cut(prompt))
    return (agent_type, text) if text else None


def withdrawn_verdicts(table: pa.Table, by: datetime) -> dict[str, EntryVerdict]:
    """What had become of withdrawn entries by a moment: WITHDRAWN as long as one answer of it stays out.
    ``table``: WITHDRAWN_ENTRIES."""
    found: dict[str, EntryVerdict] = {}
    for row in table.to_pylist():
        if row["withdrawn_at"] >= by:
            continue
        out = row["reinstated_at"] is None or row["reinstated_at"] >= by
        if out or row["entry_id"] not in found:
            found[row["entry_id"]] = EntryVerdict.WITHDRAWN if out else EntryVerdict.REINSTATED
    return found


def in_log(counts: pa.Table, questions: Mapping[PromptKey, str]) -> dict[str, InLog]:
    """The questions that a day's log has. ``counts``: agent_type, canonical, count and responses of
    DAILY_QUERY_COUNTS."""
    texts: Collection[str] = {text for _, text in questions}
    near = counts.filter(pc.is_in(counts["canonical"], value_set=pa.array(sorted(texts), pa.string())))
    found = {}
    for row in near.to_pylist():
        entry = questions.get((row["agent_type"], row["canonical"]))
        if entry is not None:
            found[entry] = InLog(row["count"], sum(answer["negative"] for answer in row["responses"]))
    return found
