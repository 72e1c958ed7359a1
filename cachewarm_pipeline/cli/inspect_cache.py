"""The commands that look at the live cache: `lookup`, `stats`, `generations`."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from cachewarm_client.counters import HOLDOUT_ARM
from cachewarm_client.urls import redact_url

from cachewarm_pipeline.cli.console import Json, Name, RedisUrl, emit, out, settings_with
from cachewarm_pipeline.errors import CacheError, ConfigurationError
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.settings import Settings


def live_redis_url(settings: Settings) -> str:
    """URL of the configured server, else of the embedded one, which is started again if it holds data.

    Raises CacheError if there is neither.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    from cachewarm_pipeline.embedded.redis_server import ensure_redis

    if not (settings.home / "redis").is_dir():
        raise CacheError(
            f"no cache under {settings.home}: run `cachewarm warm` first, or set CACHEWARM_REDIS_URL or CACHEWARM_HOME"
        )
    return ensure_redis(settings.home)


def opened(name: str | None, redis_url: str | None) -> tuple[Settings, Any]:
    """The settings, overridden by a command's options, and the cache's store. Raises CacheError if there is no
    cache."""
    settings = settings_with(name=name, redis_url=redis_url)
    from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
    from cachewarm_pipeline.publishing.redis.connect import connect

    return settings, CacheStore(connect(live_redis_url(settings)), settings.name)


def lookup(
    text: Annotated[str, typer.Argument(help="The prompt to look up.")],
    agent_type: Annotated[str, typer.Option("--agent-type", "-a", help="Only entries of this agent_type match.")],
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain the decision: rule, confidence, neighbours.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Ask the cache as an application would. A hit and a miss both exit with 0."""
    if not text.strip():
        raise ConfigurationError("TEXT is empty: there is nothing to look up")
    settings = settings_with(name=name, redis_url=redis_url)
    from cachewarm_client.cache import WarmedSemanticCache

    with WarmedSemanticCache(name=settings.name, redis_url=live_redis_url(settings)) as cache:
        hits = cache.check(prompt=text, agent_type=agent_type)
        why = cache.explain(text, agent_type=agent_type) if explain else None
    if json:
        emit({"hit": bool(hits), "hits": hits, **({"explanation": why} if why else {})})
    elif not hits:
        out.print(f"miss: no entry of {agent_type!r} may answer this")
    for hit in [] if json else hits:
        out.print(
            f"hit   distance {hit['vector_distance']:.4f}, {hit.get('source', 'app')}: {hit['prompt']}", markup=False
        )
        out.print(hit["response"])
    if why and not json:
        for line in explained(why):
            out.print(line)


def explained(why: dict[str, Any]) -> list[str]:
    """The lines of an explanation."""
    lines = [f"why   {why['match']}; rule {why['rule']}: {why['rule_rests_on'] or 'no certificate'}"]
    if why["confidence"] is not None:
        least = 1 / (1 + math.exp(-why["threshold"]))
        lines.append(f"  confidence {why['confidence']:.2%} that the picked entry is right; served from {least:.2%}")
        lines += [
            f"    {part['feature']:<20} {part['value']:>8.3f}   {part['effect']:+.2f}" for part in why["parts"][:_PARTS]
        ]
        rest = sum(part["effect"] for part in why["parts"][_PARTS:])
        lines.append(f"    {'other features':<20} {'':>8}   {rest:+.2f}")
        lines.append(f"    {'base':<20} {'':>8}   {why['base']:+.2f}   sum {why['score']:+.2f} log-odds")
        if why["words"]:
            differing = (f"{word['word']} {word['weight']:+.2f}" for word in why["words"][:_PARTS])
            lines.append(f"    words that differ: {', '.join(differing)}")
    for near in why["neighbours"]:
        mark = "*" if near["id"] == why["picked"] else " "
        lines.append(
            f"  {mark} {near['distance']:.4f}  {near['answer_group'] or 'app entry':<16}  {near['prompt'][:90]}"
        )
    return lines


_PARTS = 8
"""Features shown, largest effect first."""


def stats(
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 90, help="Hours to add up, including the present one.")] = 24,
    json: Annotated[bool, Json] = False,
) -> None:
    """Hits, misses and mean times by agent_type, by arm if there is a holdout, and what is live."""
    settings, store = opened(name, redis_url)
    url = live_redis_url(settings)
    found = store.stats(hours=hours, now=datetime.now(UTC)).as_dict()
    if json:
        emit({"name": settings.name, "redis_url": redact_url(url), "hours": hours, **found})
        return
    out.print(f"'{settings.name}' on {redact_url(url)}, last {hours} h")
    live = (
        f"{found['generation']}; {found['total_entries']:,} entries answer, app entries included"
        if found["generation"]
        else "nothing"
    )
    out.print(f"  live       {live}")
    out.print(_rates("all", found))
    if found["arms"][HOLDOUT_ARM]["lookups"]:
        for arm, counted in found["arms"].items():
            out.print(_rates(f"{arm} arm", counted))
    for agent_type, counted in found["agent_types"].items():
        out.print(_rates(agent_type, counted), markup=False)


def _rates(label: str, counted: dict[str, Any]) -> str:
    lookups = counted["hits"] + counted["misses"]
    hits, misses = plural(counted["hits"], "hit"), plural(counted["misses"], "miss", "misses")
    rate = f"{counted['hits'] / lookups:.1%}" if lookups else "no lookups"
    times = [f"{what} {counted[name]:.1f} ms" for what, name in _TIMES if counted[name] is not None]
    took = f"; mean {', '.join(times)}" if times else ""
    would = f"; a cold cache would have hit {counted['would_hits']:,} more" if counted["would_hits"] else ""
    raised = f"; {counted['errors']:,} raised" if counted["errors"] else ""
    return f"  {label:<28} {hits}, {misses}: {rate}{took}{would}{raised}"


_TIMES = (("hit", "hit_ms"), ("miss", "miss_ms"))


def shown(record: Any) -> dict[str, Any]:
    """A generation's record with its match rules as in reports, without the weights that only readers need."""
    return {**record.as_dict(), "match_rules": record.match_rules.describe()}


def generations(
    name: Annotated[str | None, Name] = None,
    redis_url: Annotated[str | None, RedisUrl] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """The generations in Redis, newest first."""
    settings, store = opened(name, redis_url)
    pin = store.pinned()
    found = [{**shown(record), "pinned": bool(pin and pin.generation == record.id)} for record in store.generations()]
    if json:
        emit(found)
        return
    if not found:
        out.print(f"no generation under '{settings.name}': run `cachewarm warm`")
    for record in found:
        live_since = f"{record['published_at']:.16}" if record["published_at"] else "never"
        published = f"made {record['created_at']:.16}, last live {live_since}"
        if record["state"] == "filling":
            published = f"{record['loaded']:,} loaded so far"
        out.print(
            f"  {record['id']:<26} {record['state']:<9} {record['entries']:>8,} entries  as of {record['as_of']}  "
            f"{published}{'  pinned' if record['pinned'] else ''}",
            markup=False,
        )
    if pin:
        why = f": {pin.why}" if pin.why else ""
        out.print(f"  pinned since {pin.since:%Y-%m-%d %H:%M} UTC{why}; `cachewarm release` lets new ones be published")
