"""`cachewarm warm --dry-run`: the real selection over the stored data, and what a run would pay. It publishes nothing,
pays nothing and does not use Redis; its results are in a temporary folder that is removed at the end."""

import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachewarm_pipeline.automation.catch_up import day_ranges
from cachewarm_pipeline.cli.console import err
from cachewarm_pipeline.cli.days_to_warm import choose_day, days_to_mine, source_sizes
from cachewarm_pipeline.cli.dry_run_text import counts_line
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.exclusion_reasons import as_metadata
from cachewarm_pipeline.reporting.warm_report import Report, build_report
from cachewarm_pipeline.settings import Settings

if TYPE_CHECKING:
    from cachewarm_pipeline.cli.dagster_runs import RunOutcome
    from cachewarm_pipeline.ports import SourceInfo
    from cachewarm_pipeline.workspace.dry_run import DryWorkspace

PLANNED = (
    "golden_candidates",
    "daily_query_counts",
    "frequent_queries",
    "synthetic_variants",
    "labelled_queries",
    "embeddings",
    "entry_payback",
    "warming_plan",
    "match_rules",
    "replay",
    "net_return",
)
"""The assets of `warm_cache` that a dry run makes; the others use Redis or measure past days."""

REASON = "dry run: nothing was published"


def run_dry(settings: Settings, asked: date | None, *, quiet: bool, started: float) -> tuple[Report, str | None]:
    """The work of `warm --dry-run`. Returns the report and what would stop a run (None: nothing)."""
    from cachewarm_client.urls import redact_url

    from cachewarm_pipeline.measurement.entry_payback_service import counted_to
    from cachewarm_pipeline.workspace.dry_run import STAND_IN, DryWorkspace

    settings.check_to_warm()
    with tempfile.TemporaryDirectory(prefix="cachewarm-dry-run-") as folder:
        workspace = DryWorkspace(settings, Path(folder) / "stored")
        workspace.check_prices()
        info = workspace.source.describe(workspace.today)
        day = choose_day(asked, info, workspace.today)
        window = days_to_mine(day, settings, info)
        if not quiet:
            source = "sample (synthetic)" if settings.is_sample else redact_url(workspace.source_url)
            err.print(f"Dry run for '{settings.name}' as known at the end of {day} (UTC), without Redis")
            err.print(f"  source {source}: {source_sizes(info)}")
            err.print(f"  embedder {settings.embedder}")
        if not workspace.has_no_vectors():
            outcome, excluded, timings = _run(workspace, info, window, quiet=quiet)
        if workspace.needs_stand_in:
            if not quiet:
                err.print(
                    f"  some texts have no stored vector of {settings.embedding_model}, and a dry run pays for none: "
                    f"planning again with the local model {STAND_IN}"
                )
            workspace = DryWorkspace(settings, Path(folder) / "stand-in", after=workspace)
            outcome, excluded, timings = _run(workspace, info, window, quiet=quiet)
        uncounted = counts_line(settings.idle_days, counted_to(workspace.datasets, day), day)
        if uncounted and not quiet:
            err.print(uncounted)
        stopped = None
        if outcome.failed_checks:
            stopped = "; ".join(f"{check}: {sentence}" for check, sentence in outcome.failed_checks.items())
        elif not outcome.success:
            stopped = str(outcome.error or CachewarmError("a step failed; run `cachewarm warm` to see its log"))
        planned = "warming_plan" in timings
        rules = workspace.match_rules(day) if "match_rules" in timings else []
        cost = workspace.planned_cost()
        report = build_report(
            as_of=day.isoformat(),
            generation=None,
            published=False,
            blocked_by=list(outcome.failed_checks),
            reason=f"dry run: {stopped}" if stopped else REASON,
            budget=settings.budget,
            metadata=outcome.metadata,
            excluded=excluded,
            match_rules=rules,
            curve=workspace.datasets.read("plan_curve", day).to_pylist() if planned else [],
            timings=timings,
            seconds=time.monotonic() - started,
            prices_as_of=settings.prices_as_of.isoformat(),
            planned_cost=cost,
        )
        if cost["usd"] and workspace.datasets.exists("net_return", day) and _nothing_was_live(workspace):
            _pay_back(report, workspace.datasets.read("net_return", day).to_pylist(), cost["usd"])
    return report, stopped


def _nothing_was_live(workspace: "DryWorkspace") -> bool:
    """Whether no plan was live yet: costs before that are paid once, later ones are running costs."""
    from cachewarm_pipeline.measurement.impact_service import CountedDays

    return CountedDays(workspace.datasets, workspace.settings.impact_days).first_live().plan is None


def _pay_back(report: Report, rows: list[dict[str, Any]], usd: float) -> None:
    """Add the estimated cost of a run to the amount that warming has to pay back."""
    from cachewarm_pipeline.measurement.net_return.net_return_text import net_return_sentence

    row = next(row for row in rows if (row["basis"], row["agent_type"]) == ("expected", ""))
    row["warming_usd"] += usd
    ends = {
        "payback_days": "savings_usd",
        "payback_days_low": "savings_usd_high",
        "payback_days_high": "savings_usd_low",
    }
    for payback, savings in ends.items():
        row[payback] = row["warming_usd"] / row[savings] if (row[savings] or 0.0) > 0 else None
    if report["savings"] is not None:
        report["savings"].update({name: row[name] for name in ("warming_usd", *ends)})
    sentence = f"expected, with what this would cost: {net_return_sentence(row)}"
    report["savings_told"] = [sentence, *report["savings_told"][1:]]


def _run(
    workspace: "DryWorkspace", info: "SourceInfo", window: list[date], *, quiet: bool
) -> tuple["RunOutcome", Counter[str], Counter[str]]:
    """Mine the missing days, then make the plan and its forecast, on an ephemeral Dagster instance."""
    import dagster as dg

    from cachewarm_pipeline.candidates.variant_service import configured_bases
    from cachewarm_pipeline.cli.dagster_runs import RunOutcome, execute
    from cachewarm_pipeline.definitions import definitions
    from cachewarm_pipeline.query_log.mined_days import DAILY

    if workspace.settings.base_queries:
        configured_bases(workspace, set())  # an unusable file is reported before anything is mined
    defs = definitions(workspace.settings, dg.ResourceDefinition.hardcoded_resource(workspace))
    outcome, excluded, timings = RunOutcome(success=True), Counter(as_metadata(info.excluded)), Counter[str]()
    fingerprint, datasets, day = workspace.counts_fingerprint, workspace.datasets, window[-1]
    known = {d for d in window if datasets.fingerprint(DAILY, d) == fingerprint(d)}
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        mine, plan = defs.resolve_job_def("mine_log"), defs.resolve_implicit_global_asset_job_def()
        runs = [(mine, first, last, [DAILY]) for first, last in day_ranges({*window[:-1]} - known)]
        for job, first, last, assets in [*runs, (plan, day, day, list(PLANNED))]:
            outcome = execute(job, instance, first, last, tags={}, quiet=quiet, assets=assets)
            excluded, timings = excluded + outcome.excluded, timings + Counter(outcome.timings)
            if not outcome.success:
                break
    return outcome, excluded, timings
