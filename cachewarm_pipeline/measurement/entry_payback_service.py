"""Reads the stored days of hits and computes what each entry earned by the end of a day. It never writes."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from functools import partial

import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.freshness.service import withdrawn_entries
from cachewarm_pipeline.measurement.entry_payback_fold import EntryPaybackFold
from cachewarm_pipeline.measurement.entry_verdicts import EntryFacts, withdrawn_verdicts
from cachewarm_pipeline.measurement.prompts_in_log import PromptKey, PromptLogCount, prompts_in_log
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.ports import Ports
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.storage.datasets import DatasetStore

ENTRY_PAYBACK_ASSET = "entry_payback"


def compute_entry_payback(ports: Ports, day: date) -> tuple[pa.Table, date | None]:
    """ENTRY_PAYBACK of a day, and the newest day whose counts are in it.

    It continues from the newest earlier table that had the counts of its own day. So the table of a day is always the
    same if it is made again from the same stored days. Reads 90 days of counts, one at a time, and the days of the log
    since that earlier table.
    """
    datasets = ports.datasets
    before, table = _earlier_table(datasets, day)
    fold = EntryPaybackFold(day, ports.settings.idle_days, table, before)
    stored = {name: set(datasets.days(name)) for name in ("entry_hits", "hour_counts", DAILY)}
    for each in fold.days:
        hits = datasets.read("entry_hits", each) if each in stored["entry_hits"] else None
        lookups = _lookups(datasets, each) if hits is not None and each in stored["hour_counts"] else {}
        fold.add(each, hits, lookups, partial(_prompts_in_log, datasets, each, each in stored[DAILY]))
    return fold.table(_facts(ports, day, fold) if fold.entries else EntryFacts()), fold.counted_to


def counted_to(datasets: DatasetStore, day: date) -> date | None:
    """The newest day whose counts are in the stored table of a day; None if it has no counts."""
    found = datasets.fingerprint(ENTRY_PAYBACK_ASSET, day)
    return date.fromisoformat(found) if found else None


def _earlier_table(datasets: DatasetStore, day: date) -> tuple[date | None, pa.Table | None]:
    """The table to continue from, and its day. An unreadable table is skipped: its days of hits are still stored."""
    for earlier in sorted((one for one in datasets.days(ENTRY_PAYBACK_ASSET) if one < day), reverse=True):
        with suppress(DatasetError):
            if counted_to(datasets, earlier) == earlier:
                return earlier, datasets.read(ENTRY_PAYBACK_ASSET, earlier)
    return None, None


def _lookups(datasets: DatasetStore, day: date) -> dict[str, int]:
    """Lookups of the warmed arm by agent_type, of readers that count hits by entry.

    Older versions count neither hits by entry nor the time of a lookup, so rows without a time are skipped.
    """
    found: dict[str, int] = {}
    columns = ["arm", "agent_type", "exact", "semantic", "misses", "hit_seconds", "miss_seconds"]
    for row in datasets.read("hour_counts", day, columns).to_pylist():
        if row["arm"] == WARMED_ARM and row["hit_seconds"] + row["miss_seconds"] > 0:
            lookups = row["exact"] + row["semantic"] + row["misses"]
            found[row["agent_type"]] = found.get(row["agent_type"], 0) + lookups
    return found


def _prompts_in_log(
    datasets: DatasetStore, day: date, stored: bool, prompts: Mapping[PromptKey, str]
) -> Mapping[str, PromptLogCount]:
    columns = ["agent_type", "canonical", "count", "responses"]
    return prompts_in_log(datasets.read(DAILY, day, columns), prompts) if stored else {}


def _facts(ports: Ports, day: date, fold: EntryPaybackFold) -> EntryFacts:
    """What was known by the end of the day. The day's own answer checks run after this asset, so they count on the next
    day."""
    datasets, end = ports.datasets, end_of(day)
    check_days = [each for each in datasets.days("answer_checks") if each < day]
    columns = ["entry_id", "checked_at", "changed"]
    checks = datasets.read("answer_checks", max(check_days), columns) if check_days else None
    paid = read_usage(ports.usage_folder, fold.days[0], day)["usd"].to_pylist()
    return EntryFacts(
        _reports(ports, day),
        withdrawn_verdicts(withdrawn_entries(datasets), end),
        {
            row["entry_id"]: (row["checked_at"], row["changed"])
            for row in (checks.to_pylist() if checks else ())
            if row["checked_at"] is not None
        },
        sum(paid) if paid else None,
    )


def _reports(ports: Ports, day: date) -> dict[str, int]:
    """Number of people who reported an entry's answer by the end of the day, of reports that are still open."""
    found: dict[str, set[str]] = {}
    for report in ports.wrong_hit_reports():
        if report.first_at < end_of(day):
            found.setdefault(report.entry_id, set()).update(report.reporters)
    return {entry: len(reporters) for entry, reporters in found.items()}
