"""The one daily partitions definition: partition D (UTC) means "as known at the end of day D", or now if D is today."""

import warnings
from datetime import date

import dagster as dg

from cachewarm_pipeline.settings import load_settings

# Dagster marks these as beta or preview at every use; they are pinned and tested here.
for _api in (
    "`allow_nonexistent_upstream_partitions`",
    "`backfill_policy`",
    "`owners`",
    "partitions_def on an AssetCheckSpec",
):
    warnings.filterwarnings("ignore", message=f".*{_api}", module="dagster|cachewarm_pipeline")

_settings = load_settings()

daily = dg.DailyPartitionsDefinition(start_date=_settings.first_day.isoformat(), timezone="UTC", end_offset=1)
"""The newest one is the present day, as far as it has come: a falling hit rate is answered with what is asked today.
Its counts are marked as partial and mined again once the day is over."""

lookback = dg.TimeWindowPartitionMapping(
    start_offset=1 - _settings.lookback_days, allow_nonexistent_upstream_partitions=True
)
"""Day D reads the look-back window that ends at D."""

replay_window = dg.TimeWindowPartitionMapping(
    start_offset=1 - _settings.lookback_days - _settings.replay_days, allow_nonexistent_upstream_partitions=True
)
"""The replay of day D holds out the days that end at D and needs the look-back window before them."""

one_run = dg.BackfillPolicy.single_run()
"""A range of days is one run: Dagster's start-up is paid once."""


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """The days that this run is for: one, or every day of a range."""
    return [date.fromisoformat(key) for key in context.partition_keys]
