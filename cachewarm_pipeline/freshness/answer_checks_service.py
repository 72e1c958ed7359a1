"""The checks of a day. Reads datasets and writes none. A sample of the frequent queries measures how fast answers
change; the entries of the newest plan are marked where they are stale, and get a newer answer where one is known."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.answer_check_rows import AnswerCheckRows, CheckFinding
from cachewarm_pipeline.freshness.answer_comparison_service import FreshAnswers, compare_by_log
from cachewarm_pipeline.freshness.change_rate import ChangeRate, change_rate
from cachewarm_pipeline.freshness.check_sample import ChangeCheck, NotChecked, Sample, newest_of_each, population
from cachewarm_pipeline.freshness.current_candidates import current_candidates, entries_over_age
from cachewarm_pipeline.freshness.rows import CheckRow, PlanEntry, Query
from cachewarm_pipeline.freshness.service import current_sources
from cachewarm_pipeline.freshness.stored_payback import measured_hits_a_day, stored_payback
from cachewarm_pipeline.freshness.ttl import age_limit, ttl_bounds
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.ports import Judge, Llm, Ports, Progress
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS, CHANGE_CHECKS, CHANGE_RATES
from cachewarm_pipeline.storage.datasets import DatasetStore

CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")

POOLED_DAYS = 28
"""Days of checks that a rate is measured from: four weekly samples, so that small agent types have evidence too."""

UNTIL_NEXT = 7
"""Days until the next checks: an answer that will be too old by then is asked for again now."""

MAX_RATE = 1.0
"""Largest change rate (a day) in a priority: where all checked answers changed, the estimate is infinite."""


@dataclass(frozen=True)
class DayOfChecks:
    """The checks of a day."""

    table: pa.Table
    """ANSWER_CHECKS."""
    checks: pa.Table
    """CHANGE_CHECKS."""
    rates: pa.Table
    """CHANGE_RATES."""
    plan: date | None
    """Day of the plan that was checked; None where there is no plan yet."""
    overall: ChangeRate | None = None
    """The change rate of all agent types together."""
    not_checked: Counter[str] = field(default_factory=Counter)
    """Queries that were not checked, by reason."""
    llm: Llm | None = None
    """The model that gave fresh answers; None where the log was used."""
    fault: str = ""
    """Why the model could not answer all questions; empty where it could."""
    hits: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """Hits a day and whether they are measured, by entry_id of the rows of ``table``."""


def check_day(ports: Ports, day: date, judge: Judge, progress: Progress, *, whole: bool) -> DayOfChecks:
    """The checks of a day; see the asset. ``whole``: check every entry instead of a sample."""
    settings, datasets = ports.settings, ports.datasets
    planned = datasets.newest("warming_plan", day)
    if planned is None:
        return DayOfChecks(ANSWER_CHECKS.empty_table(), CHANGE_CHECKS.empty_table(), CHANGE_RATES.empty_table(), None)
    entries: list[PlanEntry] = datasets.read("warming_plan", planned).to_pylist()
    before = datasets.newest("answer_checks", day)
    previous: list[CheckRow] = datasets.read("answer_checks", before).to_pylist() if before else []
    at = end_of(day)
    # When a day runs again, its checks are not made again: its plan may already have taken the answers they found.
    done = {row["entry_id"]: row for row in previous if row["checked_at"] == at}
    checks = _stored_checks(datasets, day)
    already = {check.entry_id: check.agent_type for check in checks}
    already |= {id: row["agent_type"] for id, row in done.items()}
    fresh = FreshAnswers(ports, day, judge, progress) if settings.refresh == "llm" else None
    most = None if whole and not fresh else settings.refresh_sample
    sample = Sample(most, day, Counter(already.values()))
    queries = _queries_to_check(datasets, day, entries, already, sample, by_model=fresh is not None)
    found = fresh.check(queries, sample, whole=whole) if fresh else compare_by_log(ports, day, queries, sample, judge)
    progress(
        f"checked {len(found.findings):,} of {plural(len(entries), 'entry', 'entries')} of {planned}, "
        f"{plural(len(found.checks), 'query', 'queries')}"
    )
    checks += found.checks
    rates, overall = _rates(ports, day, {entry["agent_type"] for entry in entries}, checks)
    limits = AgeLimits(
        {name: age_limit(rate.high, **ttl_bounds(settings)) for name, rate in rates.items() if rate.measured}, at
    )
    earlier = _earlier_entries(datasets, planned) if fresh else []
    today = current_candidates(
        [datasets.read(name, day) for name in CANDIDATES],
        [*_ids(entries), *(row["entry_id"] for row in previous), *_ids(earlier)],
        limits,
    )
    payback = stored_payback(datasets, day, ["entry_id", "hits_a_day"])
    rows = AnswerCheckRows(
        [*entries, *entries_over_age(earlier, set(_ids(entries)), today, limits)],
        previous,
        today,
        found.findings | _findings_of(done),
        _priority_rate(rates, overall),
        current_sources(ports),
        fresh.llm.model if fresh else None,
        at,
        limits.ahead(UNTIL_NEXT) if fresh else limits,
        measured_hits_a_day(payback) if payback else {},
    )
    if fresh:
        fresh.answer_queue(rows, settings.refresh_max)
    table = rows.table()
    return DayOfChecks(
        table,
        pa.Table.from_pylist([asdict(check) for check in checks], schema=CHANGE_CHECKS),
        pa.Table.from_pylist(
            [{"agent_type": name, **_columns(rates[name])} for name in sorted(rates)], schema=CHANGE_RATES
        ),
        planned,
        overall,
        +sample.not_checked,
        fresh.llm if fresh else None,
        fresh.fault if fresh else "",
        {entry: rows.hits(entry) for entry in table["entry_id"].to_pylist()},
    )


def _ids(entries: Sequence[PlanEntry]) -> list[str]:
    return [entry["entry_id"] for entry in entries]


def _findings_of(done: Mapping[str, CheckRow]) -> dict[str, CheckFinding]:
    """The findings of checks that an earlier run of the same day made."""
    return {id: CheckFinding(bool(row["changed"]), row["age_days"] or 0.0, False) for id, row in done.items()}


def _priority_rate(rates: Mapping[str, ChangeRate], overall: ChangeRate) -> Callable[[str], float]:
    """The change rate in the priority of an agent_type's rows: its own where it is measured, else the overall one."""
    pooled = overall.rate or 0.0

    def rate_of(agent_type: str) -> float:
        own = rates.get(agent_type)
        return min(own.rate if own and own.measured and own.rate is not None else pooled, MAX_RATE)

    return rate_of


def _queries_to_check(
    datasets: DatasetStore,
    day: date,
    entries: Sequence[PlanEntry],
    already: Mapping[str, str],
    sample: Sample,
    *,
    by_model: bool,
) -> list[Query]:
    """What may be checked today and was not ``already`` checked: entries of the plan that can be checked in this way,
    and all other frequent queries."""
    able = []
    for entry in entries:
        if by_model and entry["source"] == "synthetic":
            sample.not_checked[NotChecked.VARIANT] += 1
        elif not by_model and entry["source"] != "query_log":
            sample.not_checked[NotChecked.NOT_FROM_LOG] += 1
        else:
            able.append(entry)
    found = population(able, datasets.read("frequent_queries", day), datasets.read("unfit_queries", day))
    return [query for query in found if query["entry_id"] not in already]


def _earlier_entries(datasets: DatasetStore, planned: date) -> list[PlanEntry]:
    """Entries of the plans since the checks before, newest plan first."""
    days = [of for of in datasets.days("warming_plan") if planned - timedelta(UNTIL_NEXT) <= of < planned]
    return [row for of in sorted(days, reverse=True) for row in datasets.read("warming_plan", of).to_pylist()]


def _rates(
    ports: Ports, day: date, agent_types: set[str], checks: Sequence[ChangeCheck]
) -> tuple[dict[str, ChangeRate], ChangeRate]:
    """The rates by agent_type of the plan or of the checks, and the rate of all together. They rest on this day's
    ``checks`` and on those of POOLED_DAYS before; each query counts once."""
    datasets, bounds = ports.datasets, ttl_bounds(ports.settings)
    before = [of for of in datasets.days("change_checks") if day - timedelta(POOLED_DAYS) < of < day]
    pool: dict[str, list[ChangeCheck]] = {name: [] for name in agent_types}
    for check in newest_of_each([checks, *(_stored_checks(datasets, of) for of in sorted(before, reverse=True))]):
        pool.setdefault(check.agent_type, []).append(check)

    def rate(checks: Sequence[ChangeCheck]) -> ChangeRate:
        return change_rate([check.age_days for check in checks], [check.changed for check in checks], **bounds)

    return {name: rate(own) for name, own in pool.items()}, rate([check for own in pool.values() for check in own])


def _stored_checks(datasets: DatasetStore, day: date) -> list[ChangeCheck]:
    if not datasets.exists("change_checks", day):
        return []
    return [ChangeCheck(**row) for row in datasets.read("change_checks", day).to_pylist()]


def _columns(rate: ChangeRate) -> dict[str, Any]:
    return {name: getattr(rate, name) for name in CHANGE_RATES.names if name != "agent_type"}
