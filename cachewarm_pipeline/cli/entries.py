"""`cachewarm entries`: what each entry earned, and what speaks against it. It reads stored counts only, not Redis."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from cachewarm_pipeline.cli.console import Json, emit, err, out, settings_with

WIDTH = 120
_LEAST_PROMPT = 24
_LIMIT = 20
_PAYBACK, _LEFT = 3, 3
"""Index of the payback column; number of columns at the end that are aligned left."""
_TABLE = "entry_payback"

Row = dict[str, Any]
Sort = Literal["payback", "hits", "dollars", "last-hit", "idle"]
Source = Literal["golden", "query_log", "synthetic"]
Verdict = Literal["reported", "withdrawn", "reinstated", "changed", "rejected", "idle", "any", "none"]


def entries(
    sort: Annotated[
        Sort, typer.Option(help="payback: dollars over cost; if nothing was paid, by dollars, then by hits.")
    ] = "payback",
    source: Annotated[Source | None, typer.Option(help="Only entries of this source.")] = None,
    agent_type: Annotated[
        str | None, typer.Option("--agent-type", "-a", help="Only entries of this agent_type.")
    ] = None,
    verdict: Annotated[
        Verdict | None, typer.Option(help="Only entries with this verdict, live or not. idle: excluded.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"Entries shown at most. Default: {_LIMIT}.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All entries of 90 days, including those that are no longer live.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """What each entry earned: hits, dollars, last hit, and what speaks against it."""
    settings = settings_with()
    from cachewarm_pipeline.storage.datasets import DatasetStore

    datasets = DatasetStore(settings.datasets)
    day = max(datasets.days(_TABLE), default=None)
    table = datasets.read(_TABLE, day).to_pylist() if day else []
    counted = datasets.fingerprint(_TABLE, day) if day else None
    to = date.fromisoformat(counted) if counted else None
    chosen = [row for row in table if _wanted(row, source, agent_type, verdict, everything)]
    chosen.sort(key=_order(sort))
    shown = chosen[: limit or (None if everything else _LIMIT)]
    if json:
        emit(_as_json(day, to, table, chosen, shown))
        return
    if not table:
        out.print(_nothing(day))
        return
    note = _behind(to, datetime.now(UTC).date())
    out.print(
        f"{len(shown):,} of {len(chosen):,} entries{_filters(source, agent_type, verdict, everything)}, by {sort}"
    )
    out.print(f"  {_totals(chosen)}; counts up to {to or 'no day'}{note}")
    for line in _lines(shown):
        out.print(line)
    if not chosen:
        known = sorted({row["agent_type"] for row in table if row["agent_type"]})
        hint = f"; agent types: {', '.join(known)}" if agent_type is not None and agent_type not in known else ""
        gone = " (--all includes those that are no longer live)" if _only_live(verdict, everything) else ""
        err.print(f"none of the {len(table):,} entries of 90 days matches{gone}{hint}")


def _wanted(row: Row, source: str | None, agent_type: str | None, verdict: str | None, everything: bool) -> bool:
    verdicts = row["verdicts"]
    return (
        (source is None or row["source"] == source)
        and (agent_type is None or row["agent_type"] == agent_type)
        and (
            verdict is None
            or verdict in verdicts
            or (verdict == "any" and bool(verdicts))
            or (verdict == "none" and not verdicts)
        )
        and (row["live"] or not _only_live(verdict, everything))
    )


def _only_live(verdict: str | None, everything: bool) -> bool:
    return not everything and verdict in (None, "none")


def _order(sort: Sort) -> Callable[[Row], tuple[Any, ...]]:
    def least(value: float | None) -> float:
        return -1.0 if value is None else value

    def key(row: Row) -> tuple[Any, ...]:
        dollars, hits = -least(row["recovered_usd"]), -row["hits"]
        last = -row["last_hit"].timestamp() if row["last_hit"] else 0.0
        by: dict[str, tuple[float, ...]] = {
            "payback": (-least(row["payback"]), dollars, hits),
            "hits": (hits, dollars),
            "dollars": (dollars, hits),
            "last-hit": (last, hits),
            "idle": (-row["idle_days"], hits),
        }
        return (*by[sort], row["entry_id"])

    return key


def _as_json(day: date | None, to: date | None, table: list[Row], chosen: list[Row], shown: list[Row]) -> Row:
    from cachewarm_client.personal_data import mask

    def plain(row: Row) -> Row:
        times = {name: row[name].isoformat() if row[name] else None for name in ("last_hit", "checked_at")}
        return {**row, **times, "prompt": mask(row["prompt"])}

    return {
        "day": day,
        "counts_up_to": to,
        "known": len(table),
        "matching": len(chosen),
        "hits": sum(row["hits"] for row in chosen),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in chosen),
        "unpriced_hits": sum(row["unpriced_hits"] for row in chosen),
        "entries": [plain(row) for row in shown],
    }


def _nothing(day: date | None) -> str:
    if day is None:
        return (
            "no hits are counted yet: open the cache with WarmedSemanticCache, then run `cachewarm warm` or the daily "
            "schedule (`cachewarm dev`)"
        )
    return (
        f"no lookup was counted up to {day}: open the cache with WarmedSemanticCache; stock readers are not counted. "
        "The daily run adds each day after its end"
    )


def _behind(to: date | None, today: date) -> str:
    """A note if yesterday is not counted yet. Today never is: it is not over."""
    return "" if to is not None and to >= today - timedelta(days=1) else " (the daily run adds the next day)"


def _filters(source: str | None, agent_type: str | None, verdict: str | None, everything: bool) -> str:
    parts = [f" from {source}" if source else "", f" of {agent_type!r}" if agent_type is not None else ""]
    if verdict:
        parts.append({"any": " with a verdict", "none": " without a verdict"}.get(verdict, f" that are {verdict}"))
    live = " that are live" if _only_live(verdict, everything) else ""
    return "".join([*parts, live])


def _totals(rows: list[Row]) -> str:
    hits, unpriced = sum(row["hits"] for row in rows), sum(row["unpriced_hits"] for row in rows)
    usd = sum(row["recovered_usd"] or 0.0 for row in rows)
    without = sum(not row["hits"] for row in rows)
    price = f" and {unpriced:,} hits of unknown cost" if unpriced else ""
    return f"{hits:,} hits in 90 days, ${usd:,.2f} recovered{price}, {without:,} without a hit"


def _lines(rows: list[Row]) -> list[str]:
    """Aligned columns, at most WIDTH characters wide; names and prompts are cut."""
    from cachewarm_client.personal_data import mask

    if not rows:
        return []
    head = ["hits", "7 days", "dollars", "payback", "last hit", "idle", "source", "agent type", "verdicts"]
    cells = [
        [
            f"{row['hits']:,}",
            f"{row['hits_7']:,}",
            "?" if row["recovered_usd"] is None else f"{row['recovered_usd']:,.2f}",
            "-" if row["payback"] is None else f"{row['payback']:,.1f}x",
            f"{row['last_hit']:%Y-%m-%d}" if row["last_hit"] else "never",
            f"{row['idle_days']:,}d",
            row["source"] or "?",
            _cut(row["agent_type"] or "?", 16),
            _cut(",".join(row["verdicts"]) or "-", 20),
        ]
        for row in rows
    ]
    if all(row["payback"] is None for row in rows):  # nothing was paid for
        for values in (head, *cells):
            del values[_PAYBACK]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = max(_LEAST_PROMPT, WIDTH - sum(widths) - 2 * len(widths) - 2)

    def line(values: list[str], prompt: str) -> str:
        padded = [
            value.ljust(width) if place >= len(widths) - _LEFT else value.rjust(width)
            for place, (value, width) in enumerate(zip(values, widths, strict=True))
        ]
        return ("  " + "  ".join(padded) + "  " + prompt).rstrip()

    prompts = [_cut(" ".join(mask(row["prompt"]).split()) or "(no longer known)", room) for row in rows]
    return [line(head, "prompt"), *(line(values, prompt) for values, prompt in zip(cells, prompts, strict=True))]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
