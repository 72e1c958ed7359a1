"""Jobs by asset selection, and the ones without assets that act on the live cache."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.publishing.withdrawal_service import withdraw_confirmed
from cachewarm_pipeline.workspace.workspace import Workspace

_ONE_AT_A_TIME = {PUBLISHES: "true"}

_FIRST = {"dagster/priority": "10"}
"""Of what a person or a report does to the live cache: it overtakes runs that wait in the queue."""

mine_log = dg.define_asset_job(
    "mine_log",
    selection=dg.AssetSelection.assets("daily_query_counts"),
    description="Reduce days of the query log to counts. Backfill this over past days; a range is one run.",
)

store_counts = dg.define_asset_job(
    "store_counts",
    selection=dg.AssetSelection.assets("serving_counts", "entry_payback"),
    description="Take what readers counted on past days out of Redis, before it expires there. A range is one run.",
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
    description="As warm_cache, and before the plan the answers are checked: which have changed, how fast they do, "
    "what is answered again or dropped, and how long entries may live.",
)

load_cache = dg.define_asset_job(
    "load_cache",
    selection=dg.AssetSelection.assets("cache_entries"),
    tags=_ONE_AT_A_TIME,
    description="Publish the day's proven plan again; with progressive loading one tick of it.",
)


# No pool: what a person or a report does to the live cache waits for no publishing run, and needs no lock of theirs.


class Why(dg.Config):
    """``why`` a person does this is kept beside the pin and shown with it. ``again``: also where one is pinned already,
    which brings back what the first rollback fled."""

    why: str = ""
    again: bool = False


@dg.op
def roll_back_and_pin(context: dg.OpExecutionContext, config: Why, workspace: dg.ResourceParam[Workspace]) -> None:
    """The previous generation becomes live in one step, and stays so until the pin is released."""
    record = workspace.cache.rollback(workspace.now(), config.why, again=config.again)
    context.add_output_metadata({"generation": record.id, "as_of": str(record.as_of), "entries": record.entries})
    context.log.info(f"live again and pinned: {record.id} with {record.entries:,} entries, as of {record.as_of}")


@dg.op
def release(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """New generations may be published again."""
    pin = workspace.cache.release(workspace.now())
    context.log.info(f"released {pin.generation}, pinned since {pin.since}" if pin else "nothing was pinned")


@dg.op
def withdraw(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Entries that enough people report as wrong leave the live generation now, and later plans."""
    workspace.begin(context.run.run_id, withdraw_wrong_hits.name, workspace.today)
    context.add_output_metadata(withdraw_confirmed(workspace, context.log.info))


@dg.job(
    tags=_FIRST, description="Go back to the previous generation within a second, and pin it. `release_pin` ends that."
)
def roll_back() -> None:
    roll_back_and_pin()


@dg.job(tags=_FIRST, description="End the pin that `roll_back` set: the next run publishes again.")
def release_pin() -> None:
    release()


@dg.job(tags=_FIRST, description="Take entries out of service that enough different people report as wrong.")
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
