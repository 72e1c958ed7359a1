"""How answers are checked for a day, read - decide - no write: the entries of the newest plan against the log's later
answers or a model's fresh ones."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.assets import steps
from cachewarm_pipeline.core.answer_history import compare, histories
from cachewarm_pipeline.core.base_queries import Base
from cachewarm_pipeline.core.change_rate import ChangeRate, change_rate
from cachewarm_pipeline.core.errors import ConfigurationError
from cachewarm_pipeline.core.personal import find
from cachewarm_pipeline.core.refresh import Checks, Finding, candidates_of, sampled
from cachewarm_pipeline.core.responses import why_no_answer
from cachewarm_pipeline.core.schemas_answers import ANSWER_CHECKS, CHANGE_RATES
from cachewarm_pipeline.core.text import canonical, cut
from cachewarm_pipeline.resources.datasets import DatasetStore
from cachewarm_pipeline.resources.ports import Judge, Llm
from cachewarm_pipeline.resources.workspace import Workspace

CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")

POOLED_DAYS = 28
"""Days of checks that a rate is measured from: four weekly samples, so that small agent types come to evidence too."""

MAX_RATE = 1.0
"""Changes a day that a priority counts with: where all checked answers changed the estimate is infinite."""

Row = Mapping[str, Any]


class NotChecked(StrEnum):
    """Why an entry's answer was not checked."""

    NOT_FROM_LOG = "not_from_the_log"
    VARIANT = "variant_has_the_answer_of_its_base"
    NO_EARLIER = "no_answer_a_week_ago"
    NO_LATER = "no_answer_in_the_last_week"
    REJECTED = "users_rejected_all_answers"
    NOT_SAMPLED = "not_in_the_sample"
    NO_ANSWER = "the_model_gave_no_usable_answer"


@dataclass(frozen=True)
class Checked:
    """``table``: ANSWER_CHECKS; ``rates``: CHANGE_RATES; ``plan``: day of the plan that was checked, None where there
    is none yet. ``fault``: why the model could not be asked for all, empty where it could."""

    table: pa.Table
    rates: pa.Table
    plan: date | None
    overall: ChangeRate | None = None
    not_checked: Counter[str] = field(default_factory=Counter)
    llm: Llm | None = None
    fault: str = ""


def check_day(workspace: Workspace, day: date, judge: Judge, progress: steps.Progress, *, whole: bool) -> Checked:
    """The checks of a day; see the asset. ``whole``: every entry and not a sample."""
    settings, datasets = workspace.settings, workspace.datasets
    planned = steps.newest(datasets, "warming_plan", day)
    if planned is None:
        return Checked(ANSWER_CHECKS.empty_table(), CHANGE_RATES.empty_table(), None)
    entries = datasets.read("warming_plan", planned).to_pylist()
    before = steps.newest(datasets, "answer_checks", day)
    previous = datasets.read("answer_checks", before).to_pylist() if before else []
    ids = {row["entry_id"] for row in (*entries, *previous)}
    today = candidates_of((datasets.read(name, day) for name in CANDIDATES), ids)
    at = end_of(day)
    # A day that is run again is not checked again: its plan may have taken the answers that were found.
    done = {row["entry_id"]: row for row in previous if row["checked_at"] == at}
    to_check = [entry for entry in entries if entry["entry_id"] not in done]
    sample = _Sample(
        None if whole else settings.refresh_sample, day, Counter(row["agent_type"] for row in done.values())
    )
    fresh = _Fresh(workspace, day, judge, progress) if settings.refresh == "llm" else None
    findings = fresh.check(to_check, sample) if fresh else _by_log(workspace, day, to_check, sample, judge)
    progress(f"checked {len(findings):,} of {len(entries):,} entries of {planned}")
    agent_of = {entry["entry_id"]: entry["agent_type"] for entry in entries}
    checks_of_today = [(agent_of[id], finding.age_days, finding.changed) for id, finding in findings.items()]
    checks_of_today += [(row["agent_type"], row["age_days"], row["changed"]) for row in done.values()]
    rates, overall = _rates(workspace, day, set(agent_of.values()), checks_of_today)
    findings |= {id: Finding(row["changed"], row["age_days"], False) for id, row in done.items()}
    pooled = overall.rate or 0.0

    def rate_of(agent_type: str) -> float:
        own = rates.get(agent_type)
        return min(own.rate if own and own.measured and own.rate is not None else pooled, MAX_RATE)

    model = fresh.llm.model if fresh else None
    checks = Checks(entries, previous, today, findings, rate_of, steps.present(workspace), model, at)
    if fresh:
        fresh.answer_queue(checks, settings.refresh_max)
    table = pa.Table.from_pylist(
        [{"agent_type": name, **_columns(rates[name])} for name in sorted(rates)], schema=CHANGE_RATES
    )
    return Checked(
        checks.table(),
        table,
        planned,
        overall,
        +sample.not_checked,
        fresh.llm if fresh else None,
        fresh.fault if fresh else "",
    )


def end_of(day: date) -> datetime:
    """The end of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def week_of(day: date) -> str:
    """ISO week, for example 2026-W12: what a sample is drawn by, and the time in which a model answers once."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


class _Sample:
    """Draws entries to check, at most ``most`` an agent_type (None: all), and counts the others by reason."""

    def __init__(self, most: int | None, day: date, already: Counter[str]) -> None:
        self._most, self._seed, self._already = most, week_of(day), already
        self.not_checked: Counter[str] = Counter()

    def draw(self, able: Sequence[Row]) -> list[Row]:
        drawn = sampled(able, self._most, self._seed, self._already)
        self.not_checked[NotChecked.NOT_SAMPLED] += len(able) - len(drawn)
        return drawn


def _by_log(
    workspace: Workspace, day: date, entries: Sequence[Row], sample: _Sample, judge: Judge
) -> dict[str, Finding]:
    logged, not_checked = {}, sample.not_checked
    for entry in entries:
        if entry["source"] == "query_log":
            logged[entry["agent_type"], canonical(cut(entry["prompt"]))] = entry
        else:
            not_checked[NotChecked.NOT_FROM_LOG] += 1
    there = steps.mined_days(workspace, day, workspace.settings.lookback_days)
    found = histories(partial(steps.read_days, workspace.datasets, there), logged.keys(), day)
    able, of_entry = [], {}
    for key, entry in logged.items():
        history = found.get(key)
        if history is None or not history.later:
            not_checked[NotChecked.NO_LATER] += 1
        elif not history.earlier:
            not_checked[NotChecked.NO_EARLIER] += 1
        else:
            able.append(entry)
            of_entry[entry["entry_id"]] = history
    drawn = sample.draw(able)
    compared = compare([(of_entry[entry["entry_id"]], entry["response"]) for entry in drawn], judge, judge.same)
    findings = {}
    for entry, one in zip(drawn, compared, strict=True):
        if one is None:
            not_checked[NotChecked.REJECTED] += 1
        else:
            new = (one.later.text, "log", one.later.model) if one.stale else (None, None, None)
            findings[entry["entry_id"]] = Finding(one.changed, one.age_days, one.stale, *new)
    return findings


class _Fresh:
    """Answers of a model, each asked for once a week, whoever asks. Raises ConfigurationError where none is set."""

    def __init__(self, workspace: Workspace, day: date, judge: Judge, progress: steps.Progress) -> None:
        # Not in a batch: an answer of next week would be held against this week's.
        llm = workspace.llm(progress, batch=False)
        if llm is None or llm.name == "recorded":
            raise ConfigurationError(
                "CACHEWARM_REFRESH=llm needs a model that answers: set CACHEWARM_LLM=openai and OPENAI_API_KEY, or "
                "CACHEWARM_REFRESH=log"
            )
        self.llm: Llm = llm
        self._writing = steps.Writing(llm, True, progress)
        self._judge, self._day, self._max_bytes = judge, day, workspace.settings.max_response_bytes

    @property
    def fault(self) -> str:
        return self._writing.fault

    def check(self, entries: Sequence[Row], sample: _Sample) -> dict[str, Finding]:
        able = [entry for entry in entries if entry["source"] != "synthetic"]
        sample.not_checked[NotChecked.VARIANT] += len(entries) - len(able)
        drawn = sample.draw(able)
        told = [(entry, text) for entry, text in zip(drawn, self._answers(drawn), strict=True) if text is not None]
        sample.not_checked[NotChecked.NO_ANSWER] += len(drawn) - len(told)
        pairs = [(entry["response"], text) for entry, text in told]
        same = self._judge.same(pairs).tolist() if pairs else []
        by = f"llm:{self.llm.model}"
        findings = {}
        for (entry, text), equal in zip(told, same, strict=True):
            new = (None, None, None) if equal else (text, by, self.llm.model)
            findings[entry["entry_id"]] = Finding(not equal, self._age(entry), not equal, *new)
        return findings

    def answer_queue(self, checks: Checks, most: int) -> None:
        first = checks.queue()[:most]
        for row, text in zip(first, self._answers(first), strict=True):
            if text is not None:
                checks.answer(row["entry_id"], text, f"llm:{self.llm.model}", self.llm.model)

    def _answers(self, rows: Sequence[Row]) -> list[str | None]:
        period = week_of(self._day)
        questions = [Base(row["agent_type"], row["prompt"], origin=row["source"], period=period) for row in rows]
        return [self._usable(text) for text in self._writing.answers(questions)]

    def _usable(self, text: str | None) -> str | None:
        """The answer; None for one that could not be warmed."""
        if text is None or why_no_answer(text) or find(text):
            return None
        text = text.strip()
        return text if len(text.encode("utf-8", "surrogatepass")) <= self._max_bytes else None

    def _age(self, entry: Row) -> float:
        """Days since the entry's answer was given; 0 where that is not known, which counts for no rate."""
        provenance = json.loads(entry["provenance"])
        refreshed = provenance.get("refreshed") or {}
        moment = refreshed.get("at") or provenance.get("last_answer_at") or provenance.get("created_at")
        return (end_of(self._day) - datetime.fromisoformat(moment)).total_seconds() / 86_400 if moment else 0.0


def _rates(
    workspace: Workspace, day: date, agent_types: set[str], checks: Sequence[tuple[str, float, bool]]
) -> tuple[dict[str, ChangeRate], ChangeRate]:
    """Rates by agent_type of the plan or the checks, and of all together, from this day's checks and earlier ones.

    ``checks``: this day's, as (agent_type, age in days, changed).
    """
    settings = workspace.settings
    pool: dict[str, list[tuple[float, bool]]] = {name: [] for name in agent_types}
    for name, age, changed in (*_earlier_checks(workspace.datasets, day), *checks):
        pool.setdefault(name, []).append((age, changed))

    def rate(checks: Sequence[tuple[float, bool]]) -> ChangeRate:
        return change_rate(
            [age for age, _ in checks],
            [changed for _, changed in checks],
            max_stale_share=settings.max_stale_share,
            ttl_days=settings.ttl_days,
            ttl_min_days=settings.ttl_min_days,
        )

    return {name: rate(own) for name, own in pool.items()}, rate([check for own in pool.values() for check in own])


def _earlier_checks(datasets: DatasetStore, day: date) -> list[tuple[str, float, bool]]:
    """The checks that were made on the days before: of each file those of its own day, as it carries older rows too."""
    found = []
    for there in datasets.days("answer_checks"):
        if day - timedelta(days=POOLED_DAYS) < there < day:
            columns = ["agent_type", "age_days", "changed", "checked_at"]
            rows = datasets.read("answer_checks", there, columns).to_pylist()
            own = [row for row in rows if row["checked_at"] == end_of(there)]
            found += [(row["agent_type"], row["age_days"], row["changed"]) for row in own]
    return found


def _columns(rate: ChangeRate) -> dict[str, Any]:
    return {name: getattr(rate, name) for name in CHANGE_RATES.names if name != "agent_type"}
