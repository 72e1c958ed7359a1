"""What each entry earned in 90 days: hits, dollars, last hit, days without one, and what speaks against it (reports,
withdrawals, changed answers, rejections in the log). Entries without a hit in CACHEWARM_IDLE_DAYS days or more, on
which an average entry of their agent_type had 10 hits, leave the next plan, at most 5% of an agent_type's live entries
a day. They come back when their question is asked again, or after as many days. `cachewarm entries` asks this table."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.assets import steps
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.lineage.asset_page import MEASUREMENT, OWNERS, never_stops, record, records, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.measurement.entry_payback import Fold, InLog, Known, Question, in_log, withdrawn_verdicts
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.plots.drawing import line_plot, markdown_image
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.workspace.workspace import Workspace

NAME = "entry_payback"

_SHOWN = 20
_BEST = ("prompt", "agent_type", "source", "hits", "hits_7", "recovered_usd", "payback", "last_hit", "verdicts")
_WORST = ("prompt", "agent_type", "source", "days_looked_up", "idle_days", "average_hits", "left_on", "verdicts")


@dg.asset(
    deps=["serving_counts", steps.DAILY],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=MEASUREMENT,
    owners=OWNERS,
    kinds={"parquet"},
    description=__doc__,
)
def entry_payback(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    for day in days_of(context):
        with never_stops(context, day):
            table, counted_to = payback_day(workspace, day)
            # What it rests on is told by the file itself: a day whose counts came later is no ground to go on from.
            workspace.datasets.write(NAME, day, table, fingerprint=counted_to.isoformat() if counted_to else "")
            record(context, day, _told(table, counted_to))


def payback_day(workspace: Workspace, day: date) -> tuple[pa.Table, date | None]:
    """ENTRY_PAYBACK of a day, and the newest day whose counts are in it.

    States go on from the newest earlier table that had the counts of its own day; so the table of a day is the same
    whenever it is made again from the same stored days. Reads 90 days of counts, one at a time, and of the log the days
    since that table.
    """
    datasets = workspace.datasets
    before, table = _before(datasets, day)
    fold = Fold(day, workspace.settings.idle_days, table, before)
    stored = {name: set(datasets.days(name)) for name in ("entry_hits", "hour_counts", steps.DAILY)}
    for each in fold.days:
        hits = datasets.read("entry_hits", each) if each in stored["entry_hits"] else None
        lookups = _lookups(datasets, each) if hits is not None and each in stored["hour_counts"] else {}
        fold.add(each, hits, lookups, partial(_in_log, datasets, each, each in stored[steps.DAILY]))
    return fold.table(_known(workspace, day, fold) if fold.entries else Known()), fold.counted_to


def counted_to(datasets: DatasetStore, day: date) -> date | None:
    """The newest day whose counts are in a day's table; None where there are none."""
    found = datasets.fingerprint(NAME, day)
    return date.fromisoformat(found) if found else None


def _before(datasets: DatasetStore, day: date) -> tuple[date | None, pa.Table | None]:
    """The table to go on from, and its day; one that cannot be read is passed over, as the days are stored."""
    for there in sorted((one for one in datasets.days(NAME) if one < day), reverse=True):
        with suppress(DatasetError):
            if counted_to(datasets, there) == there:
                return there, datasets.read(NAME, there)
    return None, None


def _lookups(datasets: DatasetStore, day: date) -> dict[str, int]:
    """Look-ups of the warmed arm by agent_type, of readers that count which entry they serve: older versions count
    neither that nor the time that a look-up takes."""
    found: dict[str, int] = {}
    columns = ["arm", "agent_type", "exact", "semantic", "misses", "hit_seconds", "miss_seconds"]
    for row in datasets.read("hour_counts", day, columns).to_pylist():
        if row["arm"] == WARMED_ARM and row["hit_seconds"] + row["miss_seconds"] > 0:
            lookups = row["exact"] + row["semantic"] + row["misses"]
            found[row["agent_type"]] = found.get(row["agent_type"], 0) + lookups
    return found


def _in_log(datasets: DatasetStore, day: date, there: bool, questions: Mapping[Question, str]) -> Mapping[str, InLog]:
    columns = ["agent_type", "canonical", "count", "responses"]
    return in_log(datasets.read(steps.DAILY, day, columns), questions) if there else {}


def _known(workspace: Workspace, day: date, fold: Fold) -> Known:
    """What was known by the end of the day. Checks of the day itself come after this: they are the next day's."""
    datasets, end = workspace.datasets, end_of(day)
    there = [each for each in datasets.days("answer_checks") if each < day]
    checks = datasets.read("answer_checks", max(there), ["entry_id", "checked_at", "changed"]) if there else None
    paid = read_usage(workspace, fold.days[0], day)["usd"].to_pylist()
    return Known(
        _reports(workspace, day),
        withdrawn_verdicts(steps.withdrawn_entries(datasets), end),
        {
            row["entry_id"]: (row["checked_at"], row["changed"])
            for row in (checks.to_pylist() if checks else ())
            if row["checked_at"] is not None
        },
        sum(paid) if paid else None,
    )


def _reports(workspace: Workspace, day: date) -> dict[str, int]:
    """People who reported an entry's answer by the end of the day, where nothing was done about it yet."""
    found: dict[str, set[str]] = {}
    for report in workspace.wrong_hit_reports():
        if report.first_at < end_of(day):
            found.setdefault(report.entry_id, set()).update(report.reporters)
    return {entry: len(reporters) for entry, reporters in found.items()}


def _told(table: pa.Table, counted: date | None) -> dict[str, Any]:
    rows = table.to_pylist()
    hits = [row["hits"] for row in rows]
    looked_at = [row for row in rows if row["days_looked_up"] and not row["hits"]]
    looked_at.sort(key=lambda row: (row["left_on"] is None, -row["days_looked_up"], row["entry_id"]))
    left = [row for row in rows if row["left_on"] is not None]
    numbers = {
        "counts_up_to": counted.isoformat()
        if counted
        else "no reader has counted yet: entries earn once look-ups come through WarmedSemanticCache",
        "hits": sum(hits),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in rows),
        "unpriced_hits": sum(row["unpriced_hits"] for row in rows),
        "live": sum(row["live"] for row in rows),
        "earned_nothing": len(looked_at),
        "left_out_as_idle": len(left),
        "golden_left_out_as_idle": sum(row["source"] == "golden" for row in left),
    }
    verdicts = [verdict for row in rows for verdict in row["verdicts"]]
    return {
        **numbers,
        "best": records([{name: row[name] for name in _BEST} for row in rows[:_SHOWN] if row["hits"]]),
        "nothing_earned": records([{name: row[name] for name in _WORST} for row in looked_at[:_SHOWN]]),
        "share_of_hits": _plot(hits),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        **table_metadata(table, None, _BEST),
    }


def _plot(hits: list[int]) -> dg.MetadataValue:
    """``hits``: most first."""
    if not sum(hits):
        return dg.MetadataValue.text("no hit yet")
    shares = np.concatenate(([0.0], np.cumsum(hits) / sum(hits)))
    half, most = (int(np.searchsorted(shares, part)) for part in (0.5, 0.9))
    picture = line_plot(
        {"hits": (np.arange(len(shares)), shares)},
        title="Share of all hits that the first so many entries bring, best first",
        x_label="entries",
        y_label="hits / all hits",
        percent="y",
        marks={"hits": (float(half), float(shares[half]))},
        notes={"hits": f"half by {half:,} of {len(hits):,},\n90% by {most:,}"},
    )
    return dg.MetadataValue.md(markdown_image(picture, "cumulative share of hits by entries, best first"))
