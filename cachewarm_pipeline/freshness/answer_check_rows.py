"""The rows of ``answer_checks``: which entries are stale and why, what their new answers are, and in which order the
refresh queue answers them again. What a plan does with the rows is in stale_answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.current_candidates import CurrentCandidate, is_over_age
from cachewarm_pipeline.freshness.rows import CheckRow, PlanEntry
from cachewarm_pipeline.freshness.stale_reasons import ANSWER_REASONS, CurrentSources, Stale, differs, still_stale
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS
from cachewarm_pipeline.storage.schemas import conform


@dataclass(frozen=True)
class CheckFinding:
    """What a check of one entry's answer found."""

    changed: bool
    """Whether there is another answer now."""
    age_days: float
    """Age of the answer that was checked."""
    stale: bool
    """Whether the entry's answer is stale."""
    new_response: str | None = None
    """The answer that replaces it where it is stale; None: none is known."""
    by: str | None = None
    """Where the new answer is from: ``log`` or ``llm:<model>``."""
    model: str | None = None
    """The model that wrote the new answer."""


def stale_marks(
    entry: PlanEntry,
    today: Sequence[CurrentCandidate],
    current: CurrentSources,
    llm: str | None,
    limits: AgeLimits | None = None,
) -> frozenset[Stale]:
    """Why an entry of the live plan is stale, apart from checks of its answer.

    ``today``: the candidates with its id. ``llm``: the model that gives fresh answers. ``limits``: how old its answer
    may be. Once its source has another answer, or none, no other reason but the embedder matters: the next plan takes
    what the source has. An answer of ``llm`` is as good as one of the current model, because ``llm`` was chosen to
    answer as that model does.
    """
    own = AnswerProvenance.of(entry["provenance"])
    found = {Stale.EMBEDDER} if differs(own.embedder, current.embedder) else set()
    if own.source_row is not None and own.source_row not in {candidate.provenance.source_row for candidate in today}:
        return frozenset({*found, Stale.SOURCE_ROW})
    refreshed = json.loads(entry["provenance"]).get("refreshed") or {}
    if differs(own.answer_model, current.answer_model) and refreshed.get("by") != f"llm:{llm}":
        found.add(Stale.ANSWER_MODEL)
    if differs(own.prompt_version, current.prompt_version):
        found.add(Stale.PROMPT_VERSION)
    if limits and is_over_age(entry, today, limits):
        found.add(Stale.AGE)
    return frozenset(found)


def waits_for_answer(row: CheckRow, at: datetime) -> bool:
    """Whether a row of the checks of a day that ends at ``at`` is stale and has no new answer yet. A row that is stale
    by its age keeps the new answer that it has, and waits for another one."""
    reasons = ANSWER_REASONS.intersection(row["reasons"])
    if not reasons or row["new_response"] is None:
        return bool(reasons)
    return Stale.AGE in reasons and row["answered_at"] is not None and row["answered_at"] < at


class AnswerCheckRows:
    """The rows of a day, built from the plan's entries, the findings of its checks and the rows of the checks before.

    ``queue`` and ``table`` can be read at any time; ``answer`` gives a row a new answer.
    """

    def __init__(
        self,
        entries: Sequence[PlanEntry],
        previous: Sequence[CheckRow],
        today: Mapping[str, Sequence[CurrentCandidate]],
        findings: Mapping[str, CheckFinding],
        rates: Callable[[str], float],
        current: CurrentSources,
        llm: str | None,
        at: datetime,
        limits: AgeLimits | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> None:
        """``entries``: entries of the plan, and other entries to mark in the same way.
        ``previous``: the rows of the checks before; those that still apply are kept.
        ``today``: today's candidates, by entry_id.
        ``findings``: of the entries that were checked now, by entry_id.
        ``rates``: changes an entry and day, for an agent_type.
        ``current``: what answers depend on today.
        ``llm``: the model that gives fresh answers; None: there is none.
        ``at``: the end of the day.
        ``limits``: how old an answer may be on the day up to which it has to last.
        ``measured``: hits a day by entry_id, of the entries for which they are measured."""
        self._limits, self._measured = limits or AgeLimits(), measured or {}
        self._today, self._rates, self._current, self._llm, self._at = today, rates, current, llm, at
        self._entries = {entry["entry_id"]: entry for entry in entries}
        self._rows: dict[str, CheckRow] = {}
        self._hits: dict[str, float] = {}
        before: dict[str, CheckRow] = {row["entry_id"]: {**row} for row in previous}
        for id, entry in self._entries.items():
            self._mark(entry, before.pop(id, None), findings.get(id))
        for row in before.values():
            self._carry(row)
        self._follow_bases()

    def queue(self) -> list[CheckRow]:
        """Stale rows without a new answer, by hits a day x change rate, then by hits, most first. A variant is not in
        it: it gets the new answer of its base.

        Hits are the measured ones; until there are any, those that the plan expects of the entry (``gain``, else its
        demand).
        """
        waiting = [row for row in self._rows.values() if waits_for_answer(row, self._at)]
        return sorted((row for row in waiting if self._stale_base(row["entry_id"]) is None), key=self._order)

    def hits(self, entry_id: str) -> tuple[float, bool]:
        """The hits a day in a row's priority, and whether they are measured."""
        return self._hits[entry_id], entry_id in self._measured

    def answer(self, entry_id: str, response: str, by: str, model: str | None) -> None:
        """Gives a row a new answer."""
        self._put_answer(self._rows[entry_id], response, by, model)

    def table(self) -> pa.Table:
        """ANSWER_CHECKS: the queue first, then the other rows in the same order."""
        self._follow_bases()
        waiting = {row["entry_id"] for row in self.queue()}
        rows = sorted(self._rows.values(), key=lambda row: (row["entry_id"] not in waiting, *self._order(row)))
        stored = [{**row, "reasons": sorted(map(str, row["reasons"])), "why": self._why(row)} for row in rows]
        return conform("answer_checks", pa.Table.from_pylist(stored, schema=ANSWER_CHECKS))

    def _mark(self, entry: PlanEntry, before: CheckRow | None, finding: CheckFinding | None) -> None:
        """Makes the row of an entry, where it is stale, was checked, or has a row before that still applies."""
        own = stale_marks(entry, self._today.get(entry["entry_id"], ()), self._current, self._llm, self._limits)
        if Stale.SOURCE_ROW in own and finding:
            finding = CheckFinding(finding.changed, finding.age_days, False)
        reasons = own | ({Stale.CHANGED} if finding and finding.stale else set())
        carried = None if before is None or Stale.SOURCE_ROW in own else self._still_applies(before)
        if carried and reasons & ANSWER_REASONS - {Stale.AGE} and "refreshed" in json.loads(entry["provenance"]):
            carried = None  # the new answer that this row brought is itself stale now
        if carried:
            # A mark for a change that brought no new answer stays until the next check of the entry.
            checked = finding is not None and carried["new_response"] is None
            dropped = {Stale.CHANGED} if checked and finding and not finding.stale else set()
            reasons |= {Stale(reason) for reason in carried["reasons"]} - dropped
        if not (reasons or finding or carried):
            return
        row = self._new_row(entry, reasons)
        if carried:
            row |= {
                "old_response": carried["old_response"],
                "new_response": carried["new_response"],
                "answered_by": carried["answered_by"],
                "answered_at": carried["answered_at"],
                "age_days": carried["age_days"],
                "changed": carried["changed"],
                "checked_at": carried["checked_at"],
                "marked_at": carried["marked_at"],
            }
            if carried["new_response"] is not None:
                row |= {"answer_model": carried["answer_model"], "prompt_version": carried["prompt_version"]}
        if reasons and row["marked_at"] is None:
            row["marked_at"] = self._at
        if finding:
            row |= {"age_days": finding.age_days, "changed": finding.changed, "checked_at": self._at}
            if finding.stale and finding.new_response is not None and finding.by is not None:
                self._put_answer(row, finding.new_response, finding.by, finding.model)
        self._keep(row, _expected_hits(entry))

    def _carry(self, before: CheckRow) -> None:
        """Keeps the row of an entry that is no longer in the plan, for example because it was excluded as stale. A
        check made on the same day is always kept, so that it is not made twice."""
        row = self._still_applies(before)
        if row is None and before["checked_at"] == self._at:
            row = {**before, "reasons": frozenset()}
        if row:
            candidate = self._same_answer(before)
            self._keep(row, candidate.demand if candidate else 0.0)

    def _still_applies(self, before: CheckRow) -> CheckRow | None:
        """The row with the reasons that still apply. None where today's source has another answer than the marked one,
        and where neither a reason nor a new answer is left."""
        candidate = self._same_answer(before)
        if candidate is None:
            return None
        if before["new_response"] is None:
            still = still_stale(before, candidate.provenance, candidate.answered_at, self._current)
            confirmed = candidate.confirmed_at
        else:
            still = frozenset(map(Stale, before["reasons"])) - {Stale.AGE}
            confirmed = before["answered_at"]
        answered_now = before["answered_at"] == self._at  # on its day, an answer keeps the reason why it was asked for
        if Stale.AGE in before["reasons"] and (answered_now or self._limits.over(before["agent_type"], confirmed)):
            still |= {Stale.AGE}
        return {**before, "reasons": still} if still or before["new_response"] is not None else None

    def _same_answer(self, row: CheckRow) -> CurrentCandidate | None:
        """Today's candidate whose answer comes from the row's source row."""
        today = self._today.get(row["entry_id"], ())
        return next((one for one in today if one.provenance.source_row == row["source_row"] is not None), None)

    def _new_row(self, entry: PlanEntry, reasons: frozenset[Stale] | set[Stale]) -> CheckRow:
        own = AnswerProvenance.of(entry["provenance"])
        return {
            "entry_id": entry["entry_id"],
            "agent_type": entry["agent_type"],
            "prompt": entry["prompt"],
            "source": entry["source"],
            "reasons": frozenset(reasons),
            "why": "",
            "old_response": entry["response"],
            "new_response": None,
            "answered_by": None,
            "answered_at": None,
            "age_days": None,
            "changed": None,
            "checked_at": None,
            "marked_at": None,
            "priority": 0.0,
            "answer_model": own.answer_model,
            "prompt_version": own.prompt_version,
            "source_row": own.source_row,
        }

    def _put_answer(self, row: CheckRow, response: str, by: str | None, model: str | None) -> None:
        row |= {"new_response": response, "answered_by": by, "answered_at": self._at, "answer_model": model}
        row["prompt_version"] = self._current.prompt_version or row["prompt_version"]

    def _keep(self, row: CheckRow, hits: float) -> None:
        """Adds the row, with its priority. ``hits``: expected hits a day, used unless they are measured."""
        hits = self._measured.get(row["entry_id"], hits)
        self._hits[row["entry_id"]] = hits
        self._rows[row["entry_id"]] = {**row, "priority": hits * self._rates(row["agent_type"])}

    def _follow_bases(self) -> None:
        """Marks variants whose base's answer changed, and gives them the base's new answer."""
        for id, entry in self._entries.items():
            base = self._stale_base(id)
            if base is None or not (base["new_response"] or Stale.CHANGED in base["reasons"]):
                continue
            row = self._rows.get(id)
            if row is None:
                row = self._new_row(entry, frozenset())
                row["marked_at"] = self._at
            row["reasons"] = {Stale.CHANGED}.intersection(base["reasons"]).union(row["reasons"])
            if base["new_response"] is not None and row["new_response"] != base["new_response"]:
                self._put_answer(row, base["new_response"], base["answered_by"], base["answer_model"])
            self._keep(row, _expected_hits(entry))

    def _stale_base(self, entry_id: str) -> CheckRow | None:
        """The row of a variant's base, where its answer is stale and the variant has the same answer."""
        entry = self._entries.get(entry_id)
        if entry is None or entry["source"] != "synthetic":
            return None
        provenance = json.loads(entry["provenance"])
        base = self._rows.get(provenance.get("base_id") or "")
        if base is None or not ANSWER_REASONS.intersection(base["reasons"]) or base["source_row"] is None:
            return None
        return base if base["source_row"] == AnswerProvenance.of(entry["provenance"]).source_row else None

    def _order(self, row: CheckRow) -> tuple[float, float, str]:
        return -row["priority"], -self._hits[row["entry_id"]], row["entry_id"]

    def _why(self, row: CheckRow) -> str:
        """A row's reasons in words."""
        current = self._current
        in_words = {
            Stale.ANSWER_MODEL: f"another model answers now: {current.answer_model}",
            Stale.PROMPT_VERSION: f"the application's prompt has another version now: {current.prompt_version}",
            Stale.CHANGED: "a later answer is different",
            Stale.EMBEDDER: f"embedded by another model than {current.embedder}: the next plan embeds it again",
            Stale.AGE: "last confirmed too long ago for how fast answers change here, or will be before the next check",
            Stale.SOURCE_ROW: "its source has another answer now, or none: the next plan follows the source",
        }
        found = "; ".join(in_words[reason] for reason in sorted(map(Stale, row["reasons"])))
        if not found:
            found = (
                "changed, but the entry already has the later answer, or only a single row gives it"
                if row["changed"]
                else "checked, unchanged"
            )
        return found + (f"; answered again by {row['answered_by']}" if row["new_response"] is not None else "")


def _expected_hits(entry: PlanEntry) -> float:
    return float(entry["demand"] if entry["gain"] is None else entry["gain"])
