"""How answers are checked for a day, read - decide - no write: a sample of the frequent queries says how fast answers
change, and the entries of the newest plan are marked, or get a newer answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.change_rate import ChangeRate, age_limit, change_rate
from cachewarm_pipeline.freshness.change_sample import ChangeCheck, newest_of_each, population
from cachewarm_pipeline.freshness.comparison_service import FreshAnswers, NotChecked, Sample, compare_by_log
from cachewarm_pipeline.freshness.entries_today import aged_out, candidates_of
from cachewarm_pipeline.freshness.refresh_queue import CheckFinding, Checks
from cachewarm_pipeline.freshness.service import present_sources
from cachewarm_pipeline.freshness.stored_payback import measured_hits, stored_payback
from cachewarm_pipeline.ports import Judge, Llm, Ports, Progress
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS, CHANGE_CHECKS, CHANGE_RATES
from cachewarm_pipeline.storage.datasets import DatasetStore

CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")

POOLED_DAYS = 28
"""Days of checks that a rate is measured from: four weekly samples, so that small agent types come to evidence too."""

UNTIL_NEXT = 7
"""Days until the next checks: what will be too old by then is asked anew now."""

MAX_RATE = 1.0
"""Changes a day that a priority counts with: where all checked answers changed the estimate is infinite."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """``table``: ANSWER_CHECKS; ``checks``: CHANGE_CHECKS; ``rates``: CHANGE_RATES; ``plan``: day of the plan that was
    checked, None where there is none yet. ``fault``: why the model could not be asked for all, empty where it could.
    ``hits``: of rows of ``table`` by entry_id, hits a day and whether they are measured."""

    table: pa.Table
    checks: pa.Table
    rates: pa.Table
    plan: date | None
    overall: ChangeRate | None = None
    not_checked: Counter[str] = field(default_factory=Counter)
    llm: Llm | None = None
    fault: str = ""
    hits: dict[str, tuple[float, bool]] = field(default_factory=dict)


def check_day(ports: Ports, day: date, judge: Judge, progress: Progress, *, whole: bool) -> Checked:
    """The checks of a day; see the asset. ``whole``: every entry and not a sample."""
    settings, datasets = ports.settings, ports.datasets
    planned = datasets.newest("warming_plan", day)
    if planned is None:
        return Checked(ANSWER_CHECKS.empty_table(), CHANGE_CHECKS.empty_table(), CHANGE_RATES.empty_table(), None)
    entries = datasets.read("warming_plan", planned).to_pylist()
    before = datasets.newest("answer_checks", day)
    previous = datasets.read("answer_checks", before).to_pylist() if before else []
    at = end_of(day)
    # A day that is run again is not checked again: its plan may have taken the answers that were found.
    done = {row["entry_id"]: row for row in previous if row["checked_at"] == at}
    counted = _checks_of(datasets, day)
    agent_done = {check.entry_id: check.agent_type for check in counted}
    agent_done |= {id: row["agent_type"] for id, row in done.items()}
    fresh = FreshAnswers(ports, day, judge, progress) if settings.refresh == "llm" else None
    most = None if whole and not fresh else settings.refresh_sample
    sample = Sample(most, day, Counter(agent_done.values()))
    queries = _queries(datasets, day, entries, agent_done, sample, by_model=fresh is not None)
    found = fresh.check(queries, sample, whole=whole) if fresh else compare_by_log(ports, day, queries, sample, judge)
    progress(f"checked {len(found.findings):,} of {len(entries):,} entries of {planned}, {len(found.checks):,} queries")
    counted += found.checks
    rates, overall = _rates(ports, day, {entry["agent_type"] for entry in entries}, counted)
    findings = found.findings | {id: CheckFinding(row["changed"], row["age_days"], False) for id, row in done.items()}
    pooled = overall.rate or 0.0

    def rate_of(agent_type: str) -> float:
        own = rates.get(agent_type)
        return min(own.rate if own and own.measured and own.rate is not None else pooled, MAX_RATE)

    limits = AgeLimits(
        {name: age_limit(rate.high, **_bounds(ports)) for name, rate in rates.items() if rate.measured}, at
    )
    earlier = _earlier_entries(datasets, planned) if fresh else []
    today = candidates_of(
        [datasets.read(name, day) for name in CANDIDATES],
        {row["entry_id"] for row in (*entries, *previous, *earlier)},
        limits,
    )
    aged = aged_out(earlier, {entry["entry_id"] for entry in entries}, today, limits)
    checks = Checks(
        [*entries, *aged],
        previous,
        today,
        findings,
        rate_of,
        present_sources(ports),
        fresh.llm.model if fresh else None,
        at,
        limits.ahead(UNTIL_NEXT) if fresh else limits,
        measured_hits(earned) if (earned := stored_payback(datasets, day, ["entry_id", "hits_a_day"])) else {},
    )
    if fresh:
        fresh.answer_queue(checks, settings.refresh_max)
    table = checks.table()
    return Checked(
        table,
        pa.Table.from_pylist([asdict(check) for check in counted], schema=CHANGE_CHECKS),
        pa.Table.from_pylist(
            [{"agent_type": name, **_columns(rates[name])} for name in sorted(rates)], schema=CHANGE_RATES
        ),
        planned,
        overall,
        +sample.not_checked,
        fresh.llm if fresh else None,
        fresh.fault if fresh else "",
        {entry: checks.hits(entry) for entry in table["entry_id"].to_pylist()},
    )


def _queries(
    datasets: DatasetStore, day: date, entries: Sequence[Row], done: dict[str, str], sample: Sample, *, by_model: bool
) -> list[Any]:
    """What may be checked today: entries of the plan, but those that cannot be checked in this way, and all other
    frequent queries."""
    able = []
    for entry in entries:
        if by_model and entry["source"] == "synthetic":
            sample.not_checked[NotChecked.VARIANT] += 1
        elif not by_model and entry["source"] != "query_log":
            sample.not_checked[NotChecked.NOT_FROM_LOG] += 1
        else:
            able.append(entry)
    found = population(able, datasets.read("frequent_queries", day), datasets.read("unfit_queries", day))
    return [row for row in found if row["entry_id"] not in done]


def _earlier_entries(datasets: DatasetStore, planned: date) -> list[Row]:
    """Entries of the plans since the checks before, newest plan first."""
    days = [there for there in datasets.days("warming_plan") if planned - timedelta(UNTIL_NEXT) <= there < planned]
    return [row for there in sorted(days, reverse=True) for row in datasets.read("warming_plan", there).to_pylist()]


def _bounds(ports: Ports) -> dict[str, float]:
    settings = ports.settings
    return {
        "max_stale_share": settings.max_stale_share,
        "ttl_days": settings.ttl_days,
        "ttl_min_days": settings.ttl_min_days,
    }


def _rates(
    ports: Ports, day: date, agent_types: set[str], checks: Sequence[ChangeCheck]
) -> tuple[dict[str, ChangeRate], ChangeRate]:
    """Rates by agent_type of the plan or the checks, and of all together, from this day's ``checks`` and those of the
    days before, each query once."""
    datasets = ports.datasets
    before = [there for there in datasets.days("change_checks") if day - timedelta(POOLED_DAYS) < there < day]
    pool: dict[str, list[ChangeCheck]] = {name: [] for name in agent_types}
    for check in newest_of_each([checks, *(_checks_of(datasets, there) for there in sorted(before, reverse=True))]):
        pool.setdefault(check.agent_type, []).append(check)

    def rate(checks: Sequence[ChangeCheck]) -> ChangeRate:
        return change_rate([check.age_days for check in checks], [check.changed for check in checks], **_bounds(ports))

    return {name: rate(own) for name, own in pool.items()}, rate([check for own in pool.values() for check in own])


def _checks_of(datasets: DatasetStore, day: date) -> list[ChangeCheck]:
    if not datasets.exists("change_checks", day):
        return []
    return [ChangeCheck(**row) for row in datasets.read("change_checks", day).to_pylist()]


def _columns(rate: ChangeRate) -> dict[str, Any]:
    return {name: getattr(rate, name) for name in CHANGE_RATES.names if name != "agent_type"}
