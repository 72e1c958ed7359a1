"""Checks of single answers, drawn from all frequent queries: by the log's later answers, or by a model's fresh ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial

from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.candidates.variant_service import FaultTolerantWriter
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.freshness.answer_age import confirmed_at
from cachewarm_pipeline.freshness.answer_check_rows import AnswerCheckRows, CheckFinding
from cachewarm_pipeline.freshness.answer_history import History, answer_histories, compare, weekly_answers
from cachewarm_pipeline.freshness.check_sample import ChangeCheck, NotChecked, Sample, week_of
from cachewarm_pipeline.freshness.rows import CheckRow, Query
from cachewarm_pipeline.ports import AnswerPair, BaseQuery, Judge, JudgeUse, Llm, Ports, Progress
from cachewarm_pipeline.query_log.mined_days import mined_days, read_days
from cachewarm_pipeline.query_log.response_text import why_no_answer


@dataclass
class Comparisons:
    """The checks of single answers."""

    findings: dict[str, CheckFinding] = field(default_factory=dict)
    """What was found about entries of the plan, by entry_id."""
    checks: list[ChangeCheck] = field(default_factory=list)
    """What counts for the change rate."""


def compare_by_log(ports: Ports, day: date, queries: Sequence[Query], sample: Sample, judge: Judge) -> Comparisons:
    """Compares the log's earlier answers with those of its last week, for a sample of ``queries``: entries of the plan
    and others. Where the entry's answer is stale, the log's later answer is its new one."""
    not_checked = sample.not_checked
    candidates = sample.with_spares(queries)
    logged = _histories(ports, day, candidates)
    able = []
    for query in candidates:
        history = logged.get(query["entry_id"])
        if history is None or not history.later:
            not_checked[NotChecked.NO_LATER] += 1
        elif not history.earlier:
            not_checked[NotChecked.NO_EARLIER] += 1
        else:
            able.append(query)
    drawn = sample.draw(able)
    compared = compare(
        [(query["prompt"], logged[query["entry_id"]], _response(query)) for query in drawn], judge, judge.same
    )
    found = Comparisons()
    for query, one in zip(drawn, compared, strict=True):
        if one is None:
            not_checked[NotChecked.REJECTED] += 1
            continue
        planned = "response" in query
        if planned:
            new = (one.later.text, "log", one.later.model) if one.stale else (None, None, None)
            found.findings[query["entry_id"]] = CheckFinding(one.changed, one.age_days, one.stale, *new)
        if one.volatile:
            not_checked[NotChecked.BACK_AND_FORTH] += 1
        else:
            found.checks.append(ChangeCheck(query["entry_id"], query["agent_type"], planned, one.age_days, one.changed))
    return found


class FreshAnswers:
    """A model's fresh answers; each question is asked once a week, whichever caller asks. Raises ConfigurationError
    where no model is set that answers."""

    def __init__(self, ports: Ports, day: date, judge: Judge, progress: Progress) -> None:
        # Not in a batch: an answer that arrives next week would be compared with this week's.
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
        """Why the model could not answer all questions; empty where it could."""
        return self._writing.fault

    def check(self, queries: Sequence[Query], sample: Sample, *, whole: bool) -> Comparisons:
        """Compares the answers of a sample of ``queries`` with fresh ones. ``whole``: also check all
        other entries; these do not count for the rate."""
        drawn = sample.draw(queries)
        drawn_ids = {query["entry_id"] for query in drawn}
        rest = [query for query in queries if whole and "response" in query and query["entry_id"] not in drawn_ids]
        sample.not_checked[NotChecked.NOT_SAMPLED] -= len(rest)
        asked: list[Query] = [*drawn, *rest]
        answered = [(query, text) for query, text in zip(asked, self._answers(asked), strict=True) if text is not None]
        sample.not_checked[NotChecked.NO_ANSWER] += len(asked) - len(answered)
        earlier = self._earlier_answers([query for query, _ in answered if query["entry_id"] in drawn_ids], sample)
        own = [(query["prompt"], _response(query), text) for query, text in answered]
        pairs = [AnswerPair(prompt, response, text) for prompt, response, text in own if response is not None]
        pairs += [
            AnswerPair(query["prompt"], earlier[query["entry_id"]][0], text)
            for query, text in answered
            if query["entry_id"] in earlier
        ]
        # A fresh answer has other words each time: only one that says something else has changed.
        verdicts = self._judge.same(pairs, JudgeUse.CHANGED).tolist() if pairs else []
        same = dict(zip(pairs, verdicts, strict=True))
        by = f"llm:{self.llm.model}"
        found = Comparisons()
        for query, text in answered:
            id = query["entry_id"]
            if "response" in query:
                equal = same[AnswerPair(query["prompt"], query["response"], text)]
                new = (None, None, None) if equal else (text, by, self.llm.model)
                found.findings[id] = CheckFinding(not equal, self._days_since(_confirmed(query)), not equal, *new)
            if id in earlier:
                answer, at = earlier[id]
                changed = not same[AnswerPair(query["prompt"], answer, text)]
                planned = "response" in query
                found.checks.append(ChangeCheck(id, query["agent_type"], planned, self._days_since(at), changed))
        return found

    def answer_queue(self, rows: AnswerCheckRows, most: int) -> None:
        """Answers the first ``most`` entries of the queue."""
        first = rows.queue()[:most]
        for row, text in zip(first, self._answers(first), strict=True):
            if text is not None:
                rows.answer(row["entry_id"], text, f"llm:{self.llm.model}", self.llm.model)

    def _earlier_answers(self, queries: Sequence[Query], sample: Sample) -> dict[str, tuple[str, datetime]]:
        """By entry_id, the answer that a query had before, and when.

        For a query of the log it is the log's answer of a week or more ago, not the entry's own. The entry's answer was
        given yesterday as long as it is right, so by its age all recent changes would look like old ones.
        """
        found: dict[str, tuple[str, datetime]] = {}
        from_log = []
        for query in queries:
            at = _confirmed(query)
            if (
                "response" in query
                and at is not None
                and (query["source"] == "golden" or "refreshed" in json.loads(query["provenance"]))
            ):
                found[query["entry_id"]] = query["response"], at
            else:
                from_log.append(query)
        logged = _histories(self._ports, self._day, from_log)
        known = [query for query in from_log if query["entry_id"] in logged and logged[query["entry_id"]].earlier]
        sample.not_checked[NotChecked.NO_EARLIER] += len(from_log) - len(known)
        answers = weekly_answers([(query["prompt"], logged[query["entry_id"]]) for query in known], self._judge)
        for query, weekly in zip(known, answers, strict=True):
            if weekly.earlier is None:
                sample.not_checked[NotChecked.REJECTED] += 1
            elif weekly.volatile:
                sample.not_checked[NotChecked.BACK_AND_FORTH] += 1
            else:
                at = datetime.fromtimestamp(weekly.earlier.answer.last_at / 1e6, UTC)
                found[query["entry_id"]] = weekly.earlier.answer.text, at
        return found

    def _answers(self, rows: Sequence[Query] | Sequence[CheckRow]) -> list[str | None]:
        period = week_of(self._day)
        questions = [BaseQuery(row["agent_type"], row["prompt"], origin=row["source"], period=period) for row in rows]
        return [self._usable(text) for text in self._writing.answers(questions)]

    def _usable(self, text: str | None) -> str | None:
        """The answer; None where it could not be warmed."""
        if text is None or why_no_answer(text) or find_personal_data(text):
            return None
        text = text.strip()
        most = self._ports.settings.max_response_bytes
        return text if len(text.encode("utf-8", "surrogatepass")) <= most else None

    def _days_since(self, moment: datetime | None) -> float:
        """0 where the moment is not known; such a check does not count for the rate."""
        return (end_of(self._day) - moment).total_seconds() / 86_400 if moment else 0.0


def _response(query: Query) -> str | None:
    if "response" in query:
        return query["response"]
    return None


def _confirmed(query: Query) -> datetime | None:
    return confirmed_at(json.loads(query["provenance"])) if "response" in query else None


def _histories(ports: Ports, day: date, queries: Sequence[Query]) -> Mapping[str, History]:
    """By entry_id, for the queries with an uncached answer in the window."""
    of_key = {(query["agent_type"], canonical(cut(query["prompt"]))): query["entry_id"] for query in queries}
    days = mined_days(ports, day, ports.settings.lookback_days)
    found = answer_histories(partial(read_days, ports.datasets, days), of_key.keys(), day)
    return {of_key[key]: history for key, history in found.items()}
