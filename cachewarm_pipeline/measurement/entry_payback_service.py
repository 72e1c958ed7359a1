"""What each entry earned by the end of a day, from the stored days of hits: read and decide, never write."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from functools import partial

import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.freshness.service import withdrawn_entries
from cachewarm_pipeline.measurement.entry_payback import EntryFacts, Fold, InLog, PromptKey, in_log, withdrawn_verdicts
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.ports import Ports
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.storage.datasets import DatasetStore

ENTRY_PAYBACK_ASSET = "entry_payback"


def payback_day(ports: Ports, day: date) -> tuple[pa.Table, date | None]:
    """ENTRY_PAYBACK of a day, and the newest day whose counts are in it.

    States go on from the newest earlier table that had the counts of its own day; so the table of a day is the same
    whenever it is made again from the same stored days. Reads 90 days of counts, one at a time, and of the log the days
    since that table.
    """
    datasets = ports.datasets
    before, table = _before(datasets, day)
    fold = Fold(day, ports.settings.idle_days, table, before)
    stored = {name: set(datasets.days(name)) for name in ("entry_hits", "hour_counts", DAILY)}
    for each in fold.days:
        hits = datasets.read("entry_hits", each) if each in stored["entry_hits"] else None
        lookups = _lookups(datasets, each) if hits is not None and each in stored["hour_counts"] else {}
        fold.add(each, hits, lookups, partial(_in_log, datasets, each, each in stored[DAILY]))
    return fold.table(_known(ports, day, fold) if fold.entries else EntryFacts()), fold.counted_to


def counted_to(datasets: DatasetStore, day: date) -> date | None:
    """The newest day whose counts are in a day's table; None where there are none."""
    found = datasets.fingerprint(ENTRY_PAYBACK_ASSET, day)
    return date.fromisoformat(found) if found else None


def _before(datasets: DatasetStore, day: date) -> tuple[date | None, pa.Table | None]:
    """The table to go on from, and its day; one that cannot be read is passed over, as the days are stored."""
    for there in sorted((one for one in datasets.days(ENTRY_PAYBACK_ASSET) if one < day), reverse=True):
        with suppress(DatasetError):
            if counted_to(datasets, there) == there:
                return there, datasets.read(ENTRY_PAYBACK_ASSET, there)
    return None, None


def _lookups(datasets: DatasetStore, day: date) -> dict[str, int]:
    """Lookups of the warmed arm by agent_type, of readers that count which entry they serve: older versions count
    neither that nor the time that a lookup takes."""
    found: dict[str, int] = {}
    columns = ["arm", "agent_type", "exact", "semantic", "misses", "hit_seconds", "miss_seconds"]
    for row in datasets.read("hour_counts", day, columns).to_pylist():
        if row["arm"] == WARMED_ARM and row["hit_seconds"] + row["miss_seconds"] > 0:
            lookups = row["exact"] + row["semantic"] + row["misses"]
            found[row["agent_type"]] = found.get(row["agent_type"], 0) + lookups
    return found


def _in_log(datasets: DatasetStore, day: date, there: bool, questions: Mapping[PromptKey, str]) -> Mapping[str, InLog]:
    columns = ["agent_type", "canonical", "count", "responses"]
    return in_log(datasets.read(DAILY, day, columns), questions) if there else {}


def _known(ports: Ports, day: date, fold: Fold) -> EntryFacts:
    """What was known by the end of the day. Checks of the day itself come after this: they are the next day's."""
    datasets, end = ports.datasets, end_of(day)
    there = [each for each in datasets.days("answer_checks") if each < day]
    checks = datasets.read("answer_checks", max(there), ["entry_id", "checked_at", "changed"]) if there else None
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
    """People who reported an entry's answer by the end of the day, where nothing was done about it yet."""
    found: dict[str, set[str]] = {}
    for report in ports.wrong_hit_reports():
        if report.first_at < end_of(day):
            found.setdefault(report.entry_id, set()).update(report.reporters)
    return {entry: len(reporters) for entry, reporters in found.items()}
