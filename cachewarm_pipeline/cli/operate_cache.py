"""The commands that change the live cache: `rollback`, `release`, `withdraw`, `withdrawn`, `reinstate`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from cachewarm_client.text import entry_id

from cachewarm_pipeline.cli.console import Json, Name, RedisUrl, emit, err, out
from cachewarm_pipeline.cli.inspect_cache import opened, shown
from cachewarm_pipeline.errors import CacheError

Why = typer.Option("--why", help="The reason; it is kept with the change.")
AgentType = typer.Option("--agent-type", "-a", help="agent_type of the entry.")


def rollback(
    why: Annotated[str, Why] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Roll back although a rollback has pinned a generation already.")
    ] = False,
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Make the previous generation live again, and pin it: nothing is published until `cachewarm release`."""
    _, store = opened(name, redis_url)
    record = store.rollback(datetime.now(UTC), why, again=again)
    if json:
        emit(shown(record))
    else:
        err.print(
            f"live again: {record.id} with {record.entries:,} entries, as of {record.as_of}; it is pinned, so nothing "
            "is published until `cachewarm release`"
        )


def release(
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """End the pin of a rollback, so that the next run publishes."""
    _, store = opened(name, redis_url)
    pin = store.release(datetime.now(UTC))
    if json:
        emit({"released": pin.generation if pin else None, "since": pin.since if pin else None})
    elif pin:
        err.print(f"released {pin.generation}, pinned since {pin.since:%Y-%m-%d %H:%M} UTC; the next run publishes")
    else:
        err.print("no generation was pinned")


def withdraw(
    prompt: Annotated[str, typer.Argument(help="The entry's prompt, as `lookup` shows it.")],
    agent_type: Annotated[str, AgentType],
    why: Annotated[str, Why] = "",
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Take an entry out of service now, and keep its answer out of later plans."""
    settings, store = opened(name, redis_url)
    from cachewarm_pipeline.publishing.withdrawal_service import withdraw_answers
    from cachewarm_pipeline.workspace.workspace import Workspace

    key = entry_id(prompt, agent_type)
    answers = store.answers([key])
    if not answers and any(one.entry_id == key for one in store.withdrawn()):
        raise CacheError("this entry is withdrawn already; `cachewarm reinstate` allows it to be warmed again")
    if not answers:
        raise CacheError(
            f"no entry of {agent_type!r} has this prompt; nothing was changed (`cachewarm lookup` shows the entry "
            "that answers)"
        )
    withdraw_answers(Workspace(settings), store, answers, by="person", why=why)
    if json:
        emit({"withdrawn": key})
    else:
        err.print(
            f"out of service in every generation: {answers[0].prompt[:80]}; `cachewarm reinstate` with the same prompt "
            "allows the next run to warm it again"
        )


def withdrawn(
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """The withdrawn entries, and the reported ones that are still served."""
    settings, store = opened(name, redis_url)
    from cachewarm_pipeline.freshness.service import withdrawn_entries
    from cachewarm_pipeline.freshness.withdrawn_entries import active_rows
    from cachewarm_pipeline.workspace.workspace import Workspace

    gone = active_rows(withdrawn_entries(Workspace(settings).datasets))
    reports = store.wrong_hit_reports()
    served = {one.entry_id: one.prompt for one in store.answers([report.entry_id for report in reports])}
    reported = [
        {
            "prompt": served[report.entry_id],
            "agent_type": report.agent_type,
            "reporters": len(report.reporters),
            "last_at": report.last_at,
            "why": report.why,
        }
        for report in reports
        if report.entry_id in served
    ]
    if json:
        emit({"withdrawn": gone, "reported": reported})
        return
    out.print(f"withdrawn answers: {len(gone)}; reported and still served: {len(reported)}")
    for row in gone:
        out.print(
            f"  withdrawn {row['withdrawn_at']:%Y-%m-%d %H:%M} by {row['by']} ({row['reports']})  {row['agent_type']}: "
            f"{row['prompt'][:80]}  {row['why']}"
        )
    for one in reported:
        out.print(
            f"  reported by {one['reporters']}, last {one['last_at']:%Y-%m-%d %H:%M}  {one['agent_type']}: "
            f"{one['prompt'][:80]}  {one['why']}"
        )


def reinstate(
    prompt: Annotated[str, typer.Argument(help="The prompt of an entry that was withdrawn.")],
    agent_type: Annotated[str, AgentType],
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Allow the next run to warm a withdrawn entry again."""
    settings, store = opened(name, redis_url)
    from cachewarm_pipeline.publishing.withdrawal_service import reinstate_entry
    from cachewarm_pipeline.workspace.workspace import Workspace

    key = entry_id(prompt, agent_type)
    if not reinstate_entry(Workspace(settings), store, key):
        raise CacheError(f"no withdrawn entry of {agent_type!r} has this prompt; nothing was changed")
    if json:
        emit({"reinstated": key})
    else:
        err.print("reinstated: the next run may warm it again")
