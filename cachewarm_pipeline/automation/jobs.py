"""The jobs: some materialize a selection of assets, others have no assets and act on the live cache."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.publishing.withdrawal_service import withdraw_confirmed
from cachewarm_pipeline.workspace.workspace import Workspace

_ONE_AT_A_TIME = {PUBLISHES: "true"}

_FIRST = {"dagster/priority": "10"}
"""For jobs that a person or a report starts to change the live cache: they overtake runs that wait in the queue."""

mine_log = dg.define_asset_job(
    "mine_log",
    selection=dg.AssetSelection.assets("daily_query_counts"),
    description="Reduce days of the query log to counts. Backfill past days with this job; a range of days is one run.",
)

store_counts = dg.define_asset_job(
    "store_counts",
    selection=dg.AssetSelection.assets("serving_counts", "entry_payback"),
    description="Store the reader counts of past days before they expire in Redis. A range of days is one run.",
)

warm_cache = dg.define_asset_job(
    "warm_cache",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("answer_checks"),
    tags=_ONE_AT_A_TIME,
    description="The whole graph for one day: candidates, plan, gates, and a published generation.",
)

refresh_cache = dg.define_asset_job(
    "refresh_cache",
    selection=dg.AssetSelection.all(),
    tags=_ONE_AT_A_TIME,
    description="As warm_cache, with a check of answers before the plan: which ones have changed and how fast, which "
    "are answered again or dropped, and how long entries may live.",
)

load_cache = dg.define_asset_job(
    "load_cache",
    selection=dg.AssetSelection.assets("cache_entries"),
    tags=_ONE_AT_A_TIME,
    description="Publish the day's plan again after its gates passed. With progressive loading, load its next entries.",
)


# These jobs have no pool: a person's or a report's change to the live cache does not wait for a run that publishes, and
# does not need the lock of that run.


class RollbackConfig(dg.Config):
    """``why``: the reason, which is kept and shown with the pin. ``again``: also when a generation is pinned already;
    this would restore the version that was rolled back from."""

    why: str = ""
    again: bool = False


@dg.op
def roll_back_and_pin(
    context: dg.OpExecutionContext, config: RollbackConfig, workspace: dg.ResourceParam[Workspace]
) -> None:
    """Make the previous generation live in one step, and keep it live until the pin is released."""
    record = workspace.cache.rollback(workspace.now(), config.why, again=config.again)
    context.add_output_metadata({"generation": record.id, "as_of": str(record.as_of), "entries": record.entries})
    context.log.info(f"live again and pinned: {record.id} with {record.entries:,} entries, as of {record.as_of}")


@dg.op
def release(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Let new generations be published again."""
    pin = workspace.cache.release(workspace.now())
    context.log.info(f"released {pin.generation}, pinned since {pin.since}" if pin else "nothing was pinned")


@dg.op
def withdraw(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Withdraw answers that enough different people report as wrong, from the live generation and from later plans."""
    workspace.begin(context.run.run_id, withdraw_wrong_hits.name, workspace.today)
    context.add_output_metadata(withdraw_confirmed(workspace, context.log.info))


@dg.job(
    tags=_FIRST,
    description="Go back to the previous generation within a second, and pin it until `release_pin` runs.",
)
def roll_back() -> None:
    roll_back_and_pin()


@dg.job(tags=_FIRST, description="Release the pin that `roll_back` set, so that the next run publishes again.")
def release_pin() -> None:
    release()


@dg.job(tags=_FIRST, description="Withdraw answers that enough different people report as wrong.")
def withdraw_wrong_hits() -> None:
    withdraw()


jobs: list[Any] = [
    mine_log,
    store_counts,
    warm_cache,
    refresh_cache,
    load_cache,
    roll_back,
    release_pin,
    withdraw_wrong_hits,
]
"""All jobs of the project."""
