"""The rows of ``answer_checks``: which entries are stale and why, what their answer is by now, and in which order they
are worth answering again. What a plan does with them is in freshness.stale_answers."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.entries_today import Candidate, is_over_age
from cachewarm_pipeline.freshness.stale_answers import ANSWER, Present, Stale, differs, still_stale
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS
from cachewarm_pipeline.storage.schemas import conform

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CheckFinding:
    """What a check of one entry's answer found. ``new_response``: the answer that takes its place, where it is stale;
    from ``by`` (``log`` or ``llm:<model>``), written by ``model``."""

    changed: bool
    age_days: float
    stale: bool
    new_response: str | None = None
    by: str | None = None
    model: str | None = None


def sampled(entries: Sequence[Row], most: int | None, seed: str, already: Mapping[str, int] | None = None) -> list[Row]:
    """At most ``most`` entries an agent_type (None: all), ``already`` drawn ones among them, by a hash of entry and
    seed: the same seed draws the same, another one others."""
    taken = Counter(already)
    drawn = []
    for entry in sorted(entries, key=lambda entry: sha256_hex("check", seed, entry["entry_id"])):
        if most is None or taken[entry["agent_type"]] < most:
            taken[entry["agent_type"]] += 1
            drawn.append(entry)
    return drawn


def marks(
    entry: Row, today: Sequence[Candidate], present: Present, llm: str | None, limits: AgeLimits | None = None
) -> frozenset[Stale]:
    """Why an entry of the live plan is stale, apart from checks of its answer. ``today``: the candidates of its id;
    ``limits``: how old its answer may be.

    Where its source has another answer now, or none, nothing else matters: the next plan has that. An answer of the
    ``llm`` that answers afresh is as good as the present model's: it was chosen to answer as that does.
    """
    own = AnswerProvenance.of(entry["provenance"])
    found = {Stale.EMBEDDER} if differs(own.embedder, present.embedder) else set()
    if own.source_row is not None and own.source_row not in {candidate.own.source_row for candidate in today}:
        return frozenset({*found, Stale.SOURCE_ROW})
    refreshed = json.loads(entry["provenance"]).get("refreshed") or {}
    if differs(own.answer_model, present.answer_model) and refreshed.get("by") != f"llm:{llm}":
        found.add(Stale.ANSWER_MODEL)
    if differs(own.prompt_version, present.prompt_version):
        found.add(Stale.PROMPT_VERSION)
    if limits and is_over_age(entry, today, limits):
        found.add(Stale.AGE)
    return frozenset(found)


def waits(row: Row, at: datetime) -> bool:
    """Whether a row of the checks of a day that ends at ``at`` is stale and nothing has answered it again. One that is
    only growing old keeps the new answer that it has until there is another one."""
    reasons = set(row["reasons"]) & ANSWER
    return bool(reasons) and (row["new_response"] is None or (Stale.AGE in reasons and row["answered_at"] < at))


class Checks:
    """Rows under way, by entry_id. ``previous``: the rows of the file before, of which those stay that still hold."""

    def __init__(
        self,
        entries: Sequence[Row],
        previous: Sequence[Row],
        today: Mapping[str, Sequence[Candidate]],
        findings: Mapping[str, CheckFinding],
        rates: Callable[[str], float],
        present: Present,
        llm: str | None,
        at: datetime,
        limits: AgeLimits | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> None:
        """``findings``: of the entries that were checked now; ``rates``: changes an entry and day of an agent_type;
        ``at``: the end of the day; ``limits``: how old an answer may be, on the day up to which it is to last;
        ``measured``: hits a day of the entries of which they are measured."""
        self._limits, self._measured = limits or AgeLimits(), measured or {}
        self._today, self._rates, self._present, self._llm, self._at = today, rates, present, llm, at
        self._entries = {entry["entry_id"]: entry for entry in entries}
        self._rows: dict[str, dict[str, Any]] = {}
        self._hits: dict[str, float] = {}
        before = {row["entry_id"]: {**row, "reasons": frozenset(map(Stale, row["reasons"]))} for row in previous}
        for id, entry in self._entries.items():
            self._look_at(entry, before.pop(id, None), findings.get(id))
        for row in before.values():
            self._carry(row)
        self._follow_bases()

    def queue(self) -> list[dict[str, Any]]:
        """Stale entries that nothing has answered again, most worth first: by hits a day x change rate, then by hits. A
        variant waits for its base, whose answer it has.

        Hits are the measured ones, and what the plan expects of an entry (``gain``, else its demand) until there are.
        """
        waiting = [row for row in self._rows.values() if waits(row, self._at)]
        return sorted((row for row in waiting if self._base(row["entry_id"]) is None), key=self._order)

    def hits(self, entry_id: str) -> tuple[float, bool]:
        """Hits a day that a row's priority counts with, and whether they are measured."""
        return self._hits[entry_id], entry_id in self._measured

    def answer(self, entry_id: str, response: str, by: str, model: str | None) -> None:
        """Gives a row a new answer."""
        self._put(self._rows[entry_id], response, by, model)

    def table(self) -> pa.Table:
        """ANSWER_CHECKS: the queue first, then the other rows in the same order."""
        self._follow_bases()
        waiting = {row["entry_id"] for row in self.queue()}
        rows = sorted(self._rows.values(), key=lambda row: (row["entry_id"] not in waiting, *self._order(row)))
        told = [{**row, "reasons": sorted(map(str, row["reasons"])), "why": self._why(row)} for row in rows]
        return conform("answer_checks", pa.Table.from_pylist(told, schema=ANSWER_CHECKS))

    def _look_at(self, entry: Row, before: Row | None, finding: CheckFinding | None) -> None:
        own = marks(entry, self._today.get(entry["entry_id"], ()), self._present, self._llm, self._limits)
        if Stale.SOURCE_ROW in own and finding:
            finding = CheckFinding(finding.changed, finding.age_days, False)
        reasons = own | ({Stale.CHANGED} if finding and finding.stale else set())
        carried = None if before is None or Stale.SOURCE_ROW in own else self._held(before)
        if carried and reasons & ANSWER - {Stale.AGE} and "refreshed" in json.loads(entry["provenance"]):
            carried = None  # the new answer that it brought is stale itself by now
        if carried:
            # A mark for a change that brought no new answer stands until the next check of the entry.
            checked = finding is not None and carried["new_response"] is None
            reasons |= carried["reasons"] - ({Stale.CHANGED} if checked and finding and not finding.stale else set())
        if not (reasons or finding or carried):
            return
        row = {**self._row(entry, reasons), **({name: carried[name] for name in _CARRIED} if carried else {})}
        if carried and carried["new_response"] is not None:
            row |= {name: carried[name] for name in ("answer_model", "prompt_version")}
        if reasons and row["marked_at"] is None:
            row["marked_at"] = self._at
        if finding:
            row |= {"age_days": finding.age_days, "changed": finding.changed, "checked_at": self._at}
            if finding.stale and finding.new_response is not None and finding.by is not None:
                self._put(row, finding.new_response, finding.by, finding.model)
        self._keep(row, _hits(entry))

    def _carry(self, before: Row) -> None:
        """The row of an entry that is in no plan any more, say because it was left out as stale. A check of this very
        day stays in any case: it is not made twice."""
        held = self._held(before)
        if held is None and before["checked_at"] == self._at:
            held = {**before, "reasons": frozenset()}
        if held:
            candidate = self._match(before)
            self._keep(held, candidate.asked if candidate else 0.0)

    def _held(self, before: Row) -> dict[str, Any] | None:
        """The row with the reasons that still count. None where today's source has another answer than the one that was
        marked, and where neither a mark nor a new answer is left."""
        candidate = self._match(before)
        if candidate is None:
            return None
        if before["new_response"] is None:
            still = still_stale(before, candidate.own, candidate.answered_at, self._present)
            confirmed = candidate.confirmed_at
        else:
            still, confirmed = before["reasons"] - {Stale.AGE}, before["answered_at"]
        answered_now = before["answered_at"] == self._at  # why it was asked stays with the answer on its day
        if Stale.AGE in before["reasons"] and (answered_now or self._limits.over(before["agent_type"], confirmed)):
            still |= {Stale.AGE}
        return {**before, "reasons": still} if still or before["new_response"] is not None else None

    def _match(self, row: Row) -> Candidate | None:
        today = self._today.get(row["entry_id"], ())
        return next((one for one in today if one.own.source_row == row["source_row"] is not None), None)

    def _row(self, entry: Row, reasons: frozenset[Stale] | set[Stale]) -> dict[str, Any]:
        own = AnswerProvenance.of(entry["provenance"])
        return {
            **{name: entry[name] for name in ("entry_id", "agent_type", "prompt", "source")},
            "reasons": frozenset(reasons),
            "source_row": own.source_row,
            "answer_model": own.answer_model,
            "prompt_version": own.prompt_version,
            **dict.fromkeys(_CARRIED),
            "old_response": entry["response"],
        }

    def _put(self, row: dict[str, Any], response: str, by: str, model: str | None) -> None:
        row |= {"new_response": response, "answered_by": by, "answered_at": self._at, "answer_model": model}
        row["prompt_version"] = self._present.prompt_version or row["prompt_version"]

    def _keep(self, row: dict[str, Any], hits: float) -> None:
        hits = self._measured.get(row["entry_id"], hits)
        self._hits[row["entry_id"]] = hits
        self._rows[row["entry_id"]] = {**row, "priority": hits * self._rates(row["agent_type"])}

    def _follow_bases(self) -> None:
        """A variant whose base's answer changed has changed with it, and has its base's new answer."""
        for id, entry in self._entries.items():
            base = self._base(id)
            if base is None or not (base["new_response"] or Stale.CHANGED in base["reasons"]):
                continue
            row = self._rows.get(id) or {**self._row(entry, frozenset()), "marked_at": self._at}
            row["reasons"] |= base["reasons"] & {Stale.CHANGED}
            if base["new_response"] is not None and row["new_response"] != base["new_response"]:
                self._put(row, base["new_response"], base["answered_by"], base["answer_model"])
            self._keep(row, _hits(entry))

    def _base(self, entry_id: str) -> dict[str, Any] | None:
        """The row of a variant's base, where both have the same answer and it is stale."""
        entry = self._entries.get(entry_id)
        if entry is None or entry["source"] != "synthetic":
            return None
        provenance = json.loads(entry["provenance"])
        base = self._rows.get(provenance.get("base_id") or "")
        if base is None or not base["reasons"] & ANSWER or base["source_row"] is None:
            return None
        return base if base["source_row"] == AnswerProvenance.of(entry["provenance"]).source_row else None

    def _order(self, row: Row) -> tuple[float, float, str]:
        return -row["priority"], -self._hits[row["entry_id"]], row["entry_id"]

    def _why(self, row: Row) -> str:
        present = self._present
        said = {
            Stale.ANSWER_MODEL: f"another model answers now: {present.answer_model}",
            Stale.PROMPT_VERSION: f"the application's prompt has another version now: {present.prompt_version}",
            Stale.CHANGED: "a later answer says something else",
            Stale.EMBEDDER: f"embedded by another model than {present.embedder}: the next plan embeds it again",
            Stale.AGE: "confirmed too long ago for how fast answers change here, or will be before the next check",
            Stale.SOURCE_ROW: "its source has another answer now, or none: the next plan does as it",
        }
        found = "; ".join(said[reason] for reason in sorted(row["reasons"]))
        if not found:
            found = (
                "changed, but the entry has the later answer already, or a single row says it"
                if row["changed"]
                else "checked, unchanged"
            )
        return found + (f"; answered again by {row['answered_by']}" if row["new_response"] is not None else "")


_CARRIED = (
    "old_response",
    "new_response",
    "answered_by",
    "answered_at",
    "age_days",
    "changed",
    "checked_at",
    "marked_at",
)


def _hits(entry: Row) -> float:
    return float(entry["demand"] if entry["gain"] is None else entry["gain"])
