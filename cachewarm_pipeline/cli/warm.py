"""`cachewarm warm`: the graph for one day, published, with a report."""

import time
from collections import Counter
from datetime import date
from typing import Annotated, Literal

import typer
from cachewarm_client.keys import may_replace

from cachewarm_pipeline.automation.catch_up import day_ranges
from cachewarm_pipeline.cli.console import (
    EXIT_STOPPED,
    Name,
    RedisUrl,
    check_target,
    emit,
    err,
    parse_day,
    settings_with,
)
from cachewarm_pipeline.cli.days_to_warm import choose_day, days_to_mine, source_sizes
from cachewarm_pipeline.cli.warm_report_text import print_report
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.exclusion_reasons import as_metadata
from cachewarm_pipeline.reporting.warm_report import Report, build_report
from cachewarm_pipeline.settings import Settings


def warm(
    source: Annotated[
        str | None, typer.Option(help="Folder of Parquet, CSV or JSONL, or a URL. Default: the sample.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day to warm for, YYYY-MM-DD. Default: the log's last complete day.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Entries at most. (env: CACHEWARM_BUDGET)")] = None,
    max_wrong_hit_rate: Annotated[
        float | None, typer.Option(help="Target for wrong hits / hits. (env: CACHEWARM_MAX_WRONG_HIT_RATE)")
    ] = None,
    judge: Annotated[
        Literal["exact", "local", "llm", "embedding"] | None,
        typer.Option(help="How two answers are judged equivalent. (env: CACHEWARM_JUDGE)"),
    ] = None,
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    allow_rollback: Annotated[
        bool | None, typer.Option("--allow-rollback", help="Let an older day replace a newer one.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Load at once, even with CACHEWARM_PROGRESSIVE and outside its window.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show plan, cost and forecast; publish nothing, spend nothing, ask no Redis."),
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON ('-': standard output).")
    ] = None,
) -> None:
    """Fill the cache: run the graph for one day, publish the plan as a new generation, print the report.

    With --dry-run nothing is published or paid; exit 0 means that a run would pass the gates.
    Exit 0: published, or loading continues off-peak (CACHEWARM_PROGRESSIVE).
    1: a gate or a fault stopped the run; the live generation is untouched. 2: wrong usage or settings.
    """
    started = time.monotonic()
    settings = settings_with(
        source_url=source,
        budget=budget,
        max_wrong_hit_rate=max_wrong_hit_rate,
        judge=judge,
        name=name,
        redis_url=redis_url,
        allow_rollback=allow_rollback,
        progressive=False if now else None,
    )
    check_target(json_file)
    quiet = json_file == "-"
    try:
        if dry_run:
            from cachewarm_pipeline.cli.dry_run import run_dry

            report, stopped = run_dry(settings, parse_day(as_of), quiet=quiet, started=started)
            unchanged = False
        else:
            report, stopped, unchanged = run_warm(settings, parse_day(as_of), quiet=quiet, started=started)
    except CachewarmError as error:
        if json_file:  # a scheduler must not read the report of an earlier, successful run
            emit(_nothing_done(as_of or "", settings.budget, str(error), time.monotonic() - started), json_file)
        raise
    if json_file:
        emit(report, json_file)
    if not quiet:
        print_report(report, unchanged)
    if stopped:
        err.print(f"{'a run would be stopped' if dry_run else 'stopped'}: {stopped}", style="bold red")
        raise typer.Exit(EXIT_STOPPED)


def _nothing_done(as_of: str, budget: int, reason: str, seconds: float) -> Report:
    """The report of a run that stopped before it read anything."""
    return build_report(
        as_of=as_of,
        generation=None,
        published=False,
        blocked_by=[],
        reason=reason,
        budget=budget,
        metadata={},
        excluded={},
        match_rules=[],
        curve=[],
        timings={},
        seconds=seconds,
    )


def run_warm(settings: Settings, asked: date | None, *, quiet: bool, started: float) -> tuple[Report, str | None, bool]:
    """The work of `warm`. Returns the report, what is wrong (None: nothing), and whether the plan was live already."""
    from cachewarm_pipeline.cli.dagster_runs import prepare_dagster_home

    settings.check_to_warm()
    prepare_dagster_home(settings)
    from dagster import DagsterInstance

    from cachewarm_pipeline.candidates.variant_service import configured_bases
    from cachewarm_pipeline.cli.dagster_runs import RunOutcome, end_dead_runs, run_job, warm_lock
    from cachewarm_pipeline.models.usage_ledger import read_run
    from cachewarm_pipeline.query_log.mined_days import DAILY
    from cachewarm_pipeline.workspace.workspace import Workspace

    workspace = Workspace(settings)
    workspace.check_prices()
    if settings.base_queries:
        configured_bases(workspace, set())  # an unusable file is reported before anything is mined
    info = workspace.source.describe(workspace.today)
    day = choose_day(asked, info, workspace.today)
    window = days_to_mine(day, settings, info)
    live_before = workspace.cache.live()
    where = workspace.where()
    if not quiet:
        err.print(f"Warming '{where['name']}' as known at the end of {day} (UTC)")
        err.print(f"  source {where['source']}: {source_sizes(info)}")
        err.print(f"  redis {where['redis']}, embedder {settings.embedder}")
    fingerprint = workspace.counts_fingerprint
    known = [d for d in window if workspace.datasets.fingerprint(DAILY, d) == fingerprint(d)]
    tags = {"cachewarm/started_by": "cachewarm warm"}
    with warm_lock(settings.home), DagsterInstance.get() as instance:
        end_dead_runs(instance, tags)
        outcome, excluded = RunOutcome(success=True), Counter(as_metadata(info.excluded))
        timings: Counter[str] = Counter()
        if live_before and not may_replace(live_before.as_of, day, settings.allow_rollback, live_before.partial):
            newer = f"the live generation {live_before.id} is newer than {day}; --allow-rollback replaces it anyway"
            outcome = RunOutcome(success=False, error=CachewarmError(newer))
        for first, last in day_ranges(set(window[:-1]) - set(known)) if outcome.success else ():
            outcome = run_job("mine_log", instance, first, last, tags=tags, quiet=quiet)
            excluded, timings = excluded + outcome.excluded, timings + Counter(outcome.timings)
            if not outcome.success:
                break
        if outcome.success:
            outcome = run_job("warm_cache", instance, day, day, tags=tags, quiet=quiet)
            excluded, timings = excluded + outcome.excluded, timings + Counter(outcome.timings)
    live = workspace.cache.live()
    recorded = outcome.metadata.get("cache_entries", {})
    published = recorded.get("published") is True
    stopped = None
    if outcome.failed_checks:
        stopped = "; ".join(f"{check}: {sentence}" for check, sentence in outcome.failed_checks.items())
    elif not outcome.success:
        stopped = str(outcome.error or CachewarmError("the run failed; `cachewarm dev` shows its log"))
    elif not published and ("loaded" not in recorded or recorded.get("pinned")):
        stopped = str(recorded.get("why_not", "nothing was published"))
    if stopped and published:
        stopped = f"published, but {stopped}"
    elif stopped:
        unchanged = f"the live generation {live.id} is untouched" if live else "nothing is live"
        if live and live_before and live.id != live_before.id:
            unchanged = f"the live generation is now {live.id}, from another run"
        stopped = f"{stopped} ({unchanged})"
    elif outcome.failed_after:
        found = "; ".join(f"{check}: {sentence}" for check, sentence in outcome.failed_after.items())
        stopped = f"published, but {found} `cachewarm rollback` restores the previous generation"
    if not quiet and info.log and outcome.metadata.get(DAILY, {}).get("dagster/row_count") == 0:
        err.print(f"note: the log has no usable rows on {day}; the plan uses the days before it")
    report = build_report(
        as_of=day.isoformat(),
        generation=live.id if live else None,
        published=published,
        blocked_by=list(outcome.failed_checks),
        reason=stopped or recorded.get("why_not"),
        budget=settings.budget,
        metadata=outcome.metadata,
        excluded=excluded,
        match_rules=live.match_rules.describe() if live and published else [],
        curve=workspace.datasets.read("plan_curve", day).to_pylist() if "warming_plan" in timings else [],
        timings=timings,
        seconds=time.monotonic() - started,
        usage=read_run(workspace.usage_folder, outcome.run_id).to_pylist() if outcome.run_id else (),
        prices_as_of=settings.prices_as_of.isoformat(),
    )
    return report, stopped, bool(recorded.get("unchanged"))
