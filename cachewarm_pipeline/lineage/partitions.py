"""The one daily partitions definition: partition D (UTC) means "as known at the end of day D", or now if D is today."""

import warnings
from datetime import date

import dagster as dg

from cachewarm_pipeline.settings import load_settings

# Dagster warns at every use that these are beta or preview; their version is pinned and they are tested.
for _api in (
    "`allow_nonexistent_upstream_partitions`",
    "`backfill_policy`",
    "`owners`",
    "partitions_def on an AssetCheckSpec",
):
    warnings.filterwarnings("ignore", message=f".*{_api}", module="dagster|cachewarm_pipeline")

_settings = load_settings()

daily = dg.DailyPartitionsDefinition(start_date=_settings.first_day.isoformat(), timezone="UTC", end_offset=1)
"""The newest partition is today, incomplete: when the hit rate falls, a run can react to what
users ask today. Its counts are marked as partial and counted again once the day is over."""

lookback = dg.TimeWindowPartitionMapping(
    start_offset=1 - _settings.lookback_days, allow_nonexistent_upstream_partitions=True
)
"""Day D reads the lookback window that ends at D."""

replay_window = dg.TimeWindowPartitionMapping(
    start_offset=1 - _settings.lookback_days - _settings.replay_days, allow_nonexistent_upstream_partitions=True
)
"""The replay of day D holds out the last days up to D and reads the lookback window before them."""

one_run = dg.BackfillPolicy.single_run()
"""A range of days is one run, so that Dagster starts only once."""


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """The days of this run: one day, or every day of a range."""
    return [date.fromisoformat(key) for key in context.partition_keys]
