"""Checks of single answers, drawn from all frequent queries: by the log's later answers, or by a model's fresh ones."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import partial
from typing import Any

from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.candidates.variant_service import FaultTolerantWriter
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.freshness.answer_age import confirmed_at
from cachewarm_pipeline.freshness.answer_history import History, compare, histories, weeks
from cachewarm_pipeline.freshness.change_sample import ChangeCheck
from cachewarm_pipeline.freshness.refresh_queue import CheckFinding, Checks, sampled
from cachewarm_pipeline.ports import BaseQuery, Judge, Llm, Ports, Progress
from cachewarm_pipeline.query_log.responses import why_no_answer
from cachewarm_pipeline.query_log.service import mined_days, read_days

SPARE = 4
"""Times the sample that histories are read of: some queries have no answer a week ago, or none since."""

Row = Mapping[str, Any]


class NotChecked(StrEnum):
    """Why a query's answer was not checked, or its check counts for no rate."""

    NOT_FROM_LOG = "not_from_the_log"
    VARIANT = "variant_has_the_answer_of_its_base"
    NO_EARLIER = "no_answer_a_week_ago"
    NO_LATER = "no_answer_in_the_last_week"
    REJECTED = "users_rejected_all_answers"
    BACK_AND_FORTH = "answers_go_back_and_forth"
    NOT_SAMPLED = "not_in_the_sample"
    NO_ANSWER = "the_model_gave_no_usable_answer"


@dataclass
class Comparisons:
    """``findings``: of entries of the plan, by entry_id; ``checks``: what counts for the change rate."""

    findings: dict[str, CheckFinding] = field(default_factory=dict)
    checks: list[ChangeCheck] = field(default_factory=list)


class Sample:
    """Draws queries to check, at most ``most`` an agent_type (None: all) with those ``already`` checked, and counts the
    others by reason."""

    def __init__(self, most: int | None, day: date, already: Counter[str]) -> None:
        self._most, self._seed, self._already = most, week_of(day), already
        self.not_checked: Counter[str] = Counter()

    def maybe(self, rows: Sequence[Row]) -> list[Row]:
        """More than are drawn, in the order of the draw: so many histories need to be read."""
        return self._first(rows, None if self._most is None else SPARE * self._most)

    def draw(self, able: Sequence[Row]) -> list[Row]:
        return self._first(able, self._most)

    def _first(self, rows: Sequence[Row], most: int | None) -> list[Row]:
        drawn = sampled(rows, most, self._seed, self._already)
        self.not_checked[NotChecked.NOT_SAMPLED] += len(rows) - len(drawn)
        return drawn


def compare_by_log(ports: Ports, day: date, queries: Sequence[Row], sample: Sample, judge: Judge) -> Comparisons:
    """Earlier answers of the log against those of its last week. ``queries``: entries of the plan (with a response) and
    others."""
    not_checked = sample.not_checked
    maybe = sample.maybe(queries)
    logged = _histories(ports, day, maybe)
    able = []
    for row in maybe:
        history = logged.get(row["entry_id"])
        if history is None or not history.later:
            not_checked[NotChecked.NO_LATER] += 1
        elif not history.earlier:
            not_checked[NotChecked.NO_EARLIER] += 1
        else:
            able.append(row)
    drawn = sample.draw(able)
    compared = compare([(logged[row["entry_id"]], row.get("response")) for row in drawn], judge, judge.same)
    found = Comparisons()
    for row, one in zip(drawn, compared, strict=True):
        if one is None:
            not_checked[NotChecked.REJECTED] += 1
            continue
        planned = "response" in row
        if planned:
            new = (one.later.text, "log", one.later.model) if one.stale else (None, None, None)
            found.findings[row["entry_id"]] = CheckFinding(one.changed, one.age_days, one.stale, *new)
        if one.volatile:
            not_checked[NotChecked.BACK_AND_FORTH] += 1
        else:
            found.checks.append(ChangeCheck(row["entry_id"], row["agent_type"], planned, one.age_days, one.changed))
    return found


class FreshAnswers:
    """Answers of a model, each asked for once a week, whoever asks. Raises ConfigurationError where none is set."""

    def __init__(self, ports: Ports, day: date, judge: Judge, progress: Progress) -> None:
        # Not in a batch: an answer of next week would be held against this week's.
        llm = ports.llm(progress, batch=False)
        if llm is None or llm.name == "recorded":
            raise ConfigurationError(
                "CACHEWARM_REFRESH=llm needs a model that answers: set CACHEWARM_LLM=openai and OPENAI_API_KEY, or "
                "CACHEWARM_REFRESH=log"
            )
        self.llm: Llm = llm
        self._writing = FaultTolerantWriter(llm, True, progress)
        self._judge, self._day, self._ports = judge, day, ports

    @property
    def fault(self) -> str:
        return self._writing.fault

    def check(self, queries: Sequence[Row], sample: Sample, *, whole: bool) -> Comparisons:
        """Answers against fresh ones. With ``whole`` also those of all entries of the plan that were not drawn; these
        count for no rate, of which they are no sample."""
        drawn = sample.draw(queries)
        of_sample = {row["entry_id"] for row in drawn}
        rest = [row for row in queries if whole and "response" in row and row["entry_id"] not in of_sample]
        sample.not_checked[NotChecked.NOT_SAMPLED] -= len(rest)
        asked = [*drawn, *rest]
        told = [(row, text) for row, text in zip(asked, self._answers(asked), strict=True) if text is not None]
        sample.not_checked[NotChecked.NO_ANSWER] += len(asked) - len(told)
        held = self._held([row for row, _ in told if row["entry_id"] in of_sample], sample)
        pairs = [(row["response"], text) for row, text in told if "response" in row]
        pairs += [(held[row["entry_id"]][0], text) for row, text in told if row["entry_id"] in held]
        same = dict(zip(pairs, self._judge.same(pairs).tolist() if pairs else [], strict=True))
        by = f"llm:{self.llm.model}"
        found = Comparisons()
        for row, text in told:
            id, planned = row["entry_id"], "response" in row
            if planned:
                equal = same[row["response"], text]
                new = (None, None, None) if equal else (text, by, self.llm.model)
                found.findings[id] = CheckFinding(not equal, self._days_since(_confirmed(row)), not equal, *new)
            if id in held:
                answer, at = held[id]
                check = ChangeCheck(id, row["agent_type"], planned, self._days_since(at), not same[answer, text])
                found.checks.append(check)
        return found

    def answer_queue(self, checks: Checks, most: int) -> None:
        first = checks.queue()[:most]
        for row, text in zip(first, self._answers(first), strict=True):
            if text is not None:
                checks.answer(row["entry_id"], text, f"llm:{self.llm.model}", self.llm.model)

    def _held(self, rows: Sequence[Row], sample: Sample) -> dict[str, tuple[str, datetime]]:
        """By entry_id, the answer that a query had and when. Of the log's, that of a week or more ago, and not the
        entry's own: that one was given yesterday as long as it is right, and so would say that all quick changes are
        old ones."""
        held: dict[str, tuple[str, datetime]] = {}
        logged = []
        for row in rows:
            at = _confirmed(row)
            if at is not None and (row["source"] == "golden" or "refreshed" in json.loads(row["provenance"])):
                held[row["entry_id"]] = row["response"], at
            else:
                logged.append(row)
        found = _histories(self._ports, self._day, logged)
        known = [row for row in logged if row["entry_id"] in found and found[row["entry_id"]].earlier]
        sample.not_checked[NotChecked.NO_EARLIER] += len(logged) - len(known)
        for row, its in zip(known, weeks([found[row["entry_id"]] for row in known], self._judge), strict=True):
            if its.earlier is None:
                sample.not_checked[NotChecked.REJECTED] += 1
            elif its.volatile:
                sample.not_checked[NotChecked.BACK_AND_FORTH] += 1
            else:
                at = datetime.fromtimestamp(its.earlier.answer.last_at / 1e6, UTC)
                held[row["entry_id"]] = its.earlier.answer.text, at
        return held

    def _answers(self, rows: Sequence[Row]) -> list[str | None]:
        period = week_of(self._day)
        questions = [BaseQuery(row["agent_type"], row["prompt"], origin=row["source"], period=period) for row in rows]
        return [self._usable(text) for text in self._writing.answers(questions)]

    def _usable(self, text: str | None) -> str | None:
        """The answer; None for one that could not be warmed."""
        if text is None or why_no_answer(text) or find_personal_data(text):
            return None
        text = text.strip()
        most = self._ports.settings.max_response_bytes
        return text if len(text.encode("utf-8", "surrogatepass")) <= most else None

    def _days_since(self, moment: datetime | None) -> float:
        """0 where it is not known, which counts for no rate."""
        return (end_of(self._day) - moment).total_seconds() / 86_400 if moment else 0.0


def week_of(day: date) -> str:
    """ISO week, for example 2026-W12: what a sample is drawn by, and the time in which a model answers once."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def _confirmed(row: Row) -> datetime | None:
    return confirmed_at(json.loads(row["provenance"])) if "response" in row else None


def _histories(ports: Ports, day: date, rows: Sequence[Row]) -> dict[str, History]:
    """By entry_id; of queries with an uncached answer in the window."""
    of_key = {(row["agent_type"], canonical(cut(row["prompt"]))): row["entry_id"] for row in rows}
    there = mined_days(ports, day, ports.settings.lookback_days)
    found = histories(partial(read_days, ports.datasets, there), of_key.keys(), day)
    return {of_key[key]: history for key, history in found.items()}
