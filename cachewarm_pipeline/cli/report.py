"""`cachewarm report`: what was warmed, proven, measured and earned, as text, as a page, or as JSON."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cachewarm_pipeline.cli.console import Name, RedisUrl, check_target, emit, err, out, parse_day, settings_with, write
from cachewarm_pipeline.cli.inspect_cache import live_redis_url
from cachewarm_pipeline.errors import CacheError, ConfigurationError, DatasetError
from cachewarm_pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from cachewarm_pipeline.reporting.run_report_inputs import Stored
    from cachewarm_pipeline.reporting.run_report_sections import RunReport
    from cachewarm_pipeline.workspace.workspace import Workspace

_MEASURED = ("warming_impact", "net_return", "entry_payback")
"""Datasets that grow even if a day's run failed: the report takes the newest up to the day, and names it."""


def report(
    as_of: Annotated[str | None, typer.Option(help="Day, YYYY-MM-DD. Default: the newest planned day.")] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write one page to forward.")] = None,
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the same as JSON ('-': standard output).")
    ] = None,
) -> None:
    """What was warmed and why, how safe it is, what it brought and what it saves.

    From what runs have stored; Redis is only asked what is live.
    """
    settings = settings_with(name=name, redis_url=redis_url)
    check_target(json_file)
    check_target(html, "--html")
    found = made(settings, parse_day(as_of))
    if html:
        from cachewarm_pipeline.reporting.run_report_page import page, pictures_of

        write(page(found, pictures_of(found)), html)
    if json_file:
        emit(found, json_file)
    if json_file == "-":
        return
    sample = ", synthetic sample data" if found["sample"] else ""
    out.print(f"'{found['name']}' as known at the end of {found['as_of']}{sample}")
    for sentence in found["sentences"]:
        out.print(f"  - {sentence}")
    out.print(
        f"the page is in {html}"
        if html
        else "`cachewarm report --html FILE` writes it as a page, with tables and plots"
    )


def made(settings: Settings, asked: date | None) -> "RunReport":
    """The report of a day, by default of the newest that was planned. Raises DatasetError where none is."""
    from cachewarm_pipeline.reporting.run_report import run_report
    from cachewarm_pipeline.reporting.run_report_inputs import Terms
    from cachewarm_pipeline.workspace.workspace import Workspace

    workspace = Workspace(settings)
    days = workspace.datasets.days("warming_plan")
    if not days:
        raise DatasetError("there is no plan yet: run `cachewarm warm` first, or set CACHEWARM_HOME")
    if asked is not None and asked not in days:
        raise ConfigurationError(f"--as-of {asked}: no plan is stored for that day; the newest is {days[-1]}")
    day = asked or days[-1]
    stored = stored_of(workspace, day)
    terms = Terms(
        name=settings.name,
        target=settings.max_wrong_hit_rate,
        confidence=settings.confidence,
        wrong_hit_usd=settings.wrong_hit_usd,
        idle_days=settings.idle_days,
        sample=settings.is_sample,
    )
    return run_report(stored, terms, *_live(settings, workspace, day))


def stored_of(workspace: "Workspace", day: date) -> "Stored":
    """What runs have stored up to the day. Raises DatasetError for a damaged file."""
    from cachewarm_pipeline.answers.noise_floor import stored_noise
    from cachewarm_pipeline.models.usage_ledger import read_usage
    from cachewarm_pipeline.proof.service import stored_replay
    from cachewarm_pipeline.reporting.run_report_inputs import Stored
    from cachewarm_pipeline.storage.schemas import GATES

    datasets = workspace.datasets

    def table(dataset: str, of: date | None = day) -> "pa.Table | None":
        return datasets.read(dataset, of) if of and datasets.exists(dataset, of) else None

    def rows(dataset: str, of: date | None = day) -> list[Any]:
        found = table(dataset, of)
        return found.to_pylist() if found is not None else []

    of = {name: there for name in _MEASURED if (there := datasets.newest(name, day))}
    held_out, replayed = stored_replay(workspace, day)
    return Stored(
        day=day,
        plan=datasets.read("warming_plan", day),
        curve=table("plan_curve"),
        match_rules=rows("match_rules"),
        verdicts=[row for gate in GATES for row in rows(f"verdict_{gate}")],
        replay=replayed if held_out.num_rows else None,
        replay_days=len(held_out["date"].unique()),
        impact=rows("warming_impact", of.get("warming_impact")),
        returns=rows("net_return", of.get("net_return")),
        payback=rows("entry_payback", of.get("entry_payback")),
        of=of,
        noise=stored_noise(datasets, day),
        usage=read_usage(workspace.usage_folder, date.min, workspace.today),
    )


def _live(settings: Settings, workspace: "Workspace", day: date) -> tuple[str | None, bool, int | None]:
    """Which generation is live, whether it is exactly the day's plan, and how many lookups are counted today.

    If Redis does not answer, a note says so; the report is about stored data and goes on.
    """
    from cachewarm_pipeline.planning.warming_plan import plan_hash
    from cachewarm_pipeline.proof.gate_verdict_store import judged_plan
    from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
    from cachewarm_pipeline.publishing.redis.connect import connect

    try:
        store = CacheStore(connect(live_redis_url(settings)), settings.name)
        live, now = store.live(), workspace.now()
        counted = store.stats(now.hour + 1, now).lookups
    except CacheError as error:
        err.print(f"note: the live generation is unknown: {error}")
        return None, False, None
    if live is None:
        return None, False, counted
    try:
        plan, rules = judged_plan(workspace.datasets, day)
    except CacheError:  # no gate has judged it: then it was not published
        return live.id, False, counted
    return live.id, live.plan_hash == plan_hash(plan, rules.as_dict()), counted
