"""What every asset shares: partitions, group, owners, pools, and the days of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import record_day
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.workspace.workspace import Workspace

OWNERS = ["team:ml-platform"]

SOURCES_GROUP = "sources"
CANDIDATES_GROUP = "candidates"
VERIFICATION_GROUP = "verification"
CACHE_GROUP = "cache"
MEASUREMENT_GROUP = "measurement"

PAID_POOL = "openai"
"""Pool of the assets that may call a paid server (embedder, judge or writer). Without it, parallel runs would each
spend up to the cap of one run, and compete for one rate limit."""

DAILY_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
"""A daily run is late after two hours and counts as missed after twelve; entries live far longer. The policy looks at
the last materialization of any partition, so a backfill of old days counts too."""


def daily_asset(*, group: str, **options: Any) -> Callable[[Callable[..., None]], dg.AssetsDefinition]:
    """Decorator of an asset of this project: partitioned by UTC day, a range of days in one run, described by the
    function's docstring.

    ``group``: its group in the lineage graph. ``options`` are passed to ``dagster.asset``.
    """

    def decorate(function: Callable[..., None]) -> dg.AssetsDefinition:
        asset: dg.AssetsDefinition = dg.asset(
            partitions_def=daily, backfill_policy=one_run, group_name=group, owners=OWNERS, **options
        )(function)
        return asset

    return decorate


def paid_days(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[date]:
    """The days of the run. Until the next day, the usage ledger books what models cost to this run, asset and day."""
    for day in days_of(context):
        workspace.begin(context.run.run_id, context.asset_key.to_user_string(), day)
        yield day


@contextmanager
def log_failure_and_go_on(context: dg.AssetExecutionContext, day: date) -> Iterator[None]:
    """Logs an error in measuring a day and shows it on the page, and lets the run continue with what is stored.

    Measuring must never stop warming. The check `day_is_counted` warns about the day.
    """
    try:
        yield
    except Exception as error:
        context.log.exception(f"measuring {day} failed; warming continues without it")
        record_day(context, day, {"stored": "nothing", "why_not": f"{type(error).__name__}: {error}"})
