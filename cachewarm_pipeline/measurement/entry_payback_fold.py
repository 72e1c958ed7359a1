"""What each entry earned: folds stored days of hits into one row an entry (ENTRY_PAYBACK).

Figures cover the 90 days that end with the day, and are added up from the stored days each time. Only what reaches
further back (first day, last hit, rejections, idle state) is carried over from the table of an earlier day.

The `payback` of an entry is a ratio: dollars of calls that its hits saved / dollars that it cost to make. The days in
which the cost of warming is earned back are something else: PaybackDays in `returns`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from cachewarm_pipeline.freshness.idle_entries import LEAST_LOOKUPS, EntryDay, IdleState, idle_states_after
from cachewarm_pipeline.measurement.entry_verdicts import EntryFacts, entry_verdicts
from cachewarm_pipeline.measurement.prompts_in_log import PromptKey, PromptLogCount, prompt_key
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_PAYBACK
from cachewarm_pipeline.storage.schemas import conform

WINDOW_DAYS = 90
"""Days that the figures cover: as long as counters live in Redis."""

WEEK, MONTH = 7, 28

LEAST_DAYS = 7
"""Counted days that hits a day are measured from at least: each weekday once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


ReadLog = Callable[[Mapping[PromptKey, str]], Mapping[str, PromptLogCount]]
"""Looks the prompts (key to entry_id) up in a day's log; returns those that are in it, by entry_id."""


@dataclass(slots=True)
class _EntryState:
    """What is known of an entry so far. The fields are the columns of ENTRY_PAYBACK, and these:"""

    entry_id: str
    agent_type: str
    prompt: str
    source: str
    first_day: date
    prompt_key: PromptKey | None
    """None for an empty prompt: the log is not searched for it."""
    last_hit: int | None = None
    """Microseconds since 1970."""
    negative: int = 0
    idle: IdleState = field(default_factory=IdleState)
    seen_on: date | None = None
    """The newest day with a row of it."""
    live_on: date | None = None
    """The newest day at whose end it was live."""
    cost_usd: float | None = None
    hits: int = 0
    hits_7: int = 0
    hits_28: int = 0
    whole_days: int = 0
    days_looked_up: int = 0
    recent_days: int = 0
    """days_looked_up of the last MONTH days."""
    recent_hits: int = 0
    """Hits on these days."""
    recovered_usd: float = 0.0
    unpriced_hits: int = 0


class EntryPaybackFold:
    """Folds days, oldest first: call `add` for each of `days`, then `table`.

    Memory: one day's table, and for each entry that was live or hit in the window under 1 KB and its prompt.
    """

    def __init__(self, day: date, idle_days: int, before: pa.Table | None = None, before_day: date | None = None):
        """``before``: ENTRY_PAYBACK of ``before_day``, an earlier day with counts: the state to continue from."""
        self._day, self._idle_days, self._before_day = day, idle_days, before_day
        self._entries: dict[str, _EntryState] = {}
        self._newest: date | None = None
        for row in before.to_pylist() if before else ():
            entry = self._new_entry(row["entry_id"], row["agent_type"], row["prompt"], row["source"], row["first_day"])
            entry.last_hit, entry.negative = _micros(row["last_hit"]), row["negative"]
            entry.idle = IdleState(row["idle_days"], row["average_hits"], row["left_on"], row["times_left"])

    @property
    def days(self) -> list[date]:
        """The days to add, oldest first."""
        return [self._day - timedelta(days=back) for back in range(WINDOW_DAYS - 1, -1, -1)]

    @property
    def entries(self) -> int:
        """Number of entries so far."""
        return len(self._entries)

    @property
    def counted_to(self) -> date | None:
        """The newest day with counts."""
        return self._newest

    def add(self, day: date, hits: pa.Table | None, lookups: Mapping[str, int], read_log: ReadLog) -> None:
        """Adds one day. ``hits``: ENTRY_HITS, None if none is stored. ``lookups``: of the warmed arm, by agent_type.
        ``read_log`` is called only for days after ``before_day``."""
        seen: dict[str, EntryDay] = {}
        for row in _rows(hits) if hits else ():
            self._count(day, row, lookups)
            seen[row.entry_id] = EntryDay(row.whole_day, row.hits)
        if hits is not None:
            self._newest = day
        if self._before_day is not None and day <= self._before_day:
            return
        prompts = {entry.prompt_key: id for id, entry in self._entries.items() if entry.prompt_key}
        logged = read_log(prompts) if prompts else {}
        states: dict[str, dict[str, IdleState]] = {}
        for id, entry in self._entries.items():
            states.setdefault(entry.agent_type, {})[id] = entry.idle
        for id, found in logged.items():
            self._entries[id].negative += found.negative
        asked = {id for id, found in logged.items() if found.rows > 0}
        for agent_type, of_type in states.items():
            looked_up = hits is not None and lookups.get(agent_type, 0) >= LEAST_LOOKUPS
            now = idle_states_after(of_type, day, seen, looked_up=looked_up, asked=asked, idle_days=self._idle_days)
            for id, idle in now.items():
                self._entries[id].idle = idle

    def table(self, facts: EntryFacts) -> pa.Table:
        """ENTRY_PAYBACK: most hits first, then most dollars. ``facts`` may have entries that were never counted."""
        first = self.days[0]
        kept = [e for e in self._entries.values() if e.idle.left_on or (e.seen_on is not None and e.seen_on >= first)]
        made = sum(entry.live_on is not None for entry in kept)
        share = facts.paid_usd / made if facts.paid_usd is not None and made else None
        rows = [self._row(entry, facts, share) for entry in kept]
        rows.sort(key=lambda row: (-row["hits"], -(row["recovered_usd"] or 0.0), row["entry_id"]))
        return conform("entry_payback", pa.Table.from_pylist(rows, schema=ENTRY_PAYBACK))

    def _new_entry(self, entry_id: str, agent_type: str, prompt: str, source: str, first_day: date) -> _EntryState:
        entry = _EntryState(entry_id, agent_type, prompt, source, first_day, prompt_key(agent_type, prompt))
        self._entries[entry_id] = entry
        return entry

    def _count(self, day: date, row: "_HitsRow", lookups: Mapping[str, int]) -> None:
        entry = self._entries.get(row.entry_id)
        entry = entry or self._new_entry(row.entry_id, row.agent_type, row.prompt, row.source, day)
        if row.prompt and not entry.prompt:  # it was in no stored plan when it was first counted
            entry.agent_type, entry.prompt, entry.source = row.agent_type, row.prompt, row.source
            entry.prompt_key = prompt_key(row.agent_type, row.prompt)
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

    def _row(self, entry: _EntryState, facts: EntryFacts, share: float | None) -> dict[str, Any]:
        """A row of ENTRY_PAYBACK; ``share``: USD that it cost to make an entry."""
        checked_at, changed = facts.checked.get(entry.entry_id, (None, None))
        verdicts = entry_verdicts(
            entry.entry_id, facts, rejected=entry.negative > 0, idle=entry.idle.left_on is not None
        )
        priced = entry.hits - entry.unpriced_hits
        recovered = entry.recovered_usd if priced or not entry.hits else None
        made = share if entry.live_on is not None else None
        return {
            **{name: getattr(entry, name) for name in _STATE_COLUMNS},
            "live": entry.live_on is not None and entry.live_on == self._newest,
            "hits_a_day": entry.recent_hits / entry.recent_days if entry.recent_days >= LEAST_DAYS else None,
            "recovered_usd": recovered,
            "made_usd": made,
            "payback": recovered / made if made and recovered is not None else None,
            "idle_days": entry.idle.days,
            "average_hits": entry.idle.average_hits,
            "left_on": entry.idle.left_on,
            "times_left": entry.idle.times,
            "reports": facts.reports.get(entry.entry_id, 0),
            "checked_at": checked_at,
            "changed": changed,
            "verdicts": [str(verdict) for verdict in verdicts],
        }


_STATE_COLUMNS = (
    *("entry_id", "agent_type", "prompt", "source", "first_day", "hits", "hits_7", "hits_28", "last_hit"),
    *("whole_days", "days_looked_up", "cost_usd", "unpriced_hits", "negative"),
)
"""Columns of ENTRY_PAYBACK that are fields of _EntryState under the same name."""


class _HitsRow(NamedTuple):
    """A row of ENTRY_HITS. ``last_hit`` is in microseconds since 1970: that takes a tenth of the time of a datetime."""

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
