"""`cachewarm report` as one HTML file that can be mailed: no script, no other file, plots as pictures inside it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cachewarm_pipeline import number_format as money
from cachewarm_pipeline.plots.charts import gain_curves_plot, impact_plot
from cachewarm_pipeline.reporting import run_report_text as told
from cachewarm_pipeline.reporting.run_report import SHOWN, RunReport

TEMPLATE = Path(__file__).with_suffix(".html")

_CELL = 110


def page(brief: RunReport, pictures: Mapping[str, str]) -> str:
    """The page as HTML. ``pictures``: data URIs by name (``pictures_of``); one that is not there is left out.

    All texts are escaped: prompts come from users.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, lstrip_blocks=True)
    environment.filters.update(
        num=told.number,
        pct=told.percent,
        pct2=partial(told.percent, digits=2),
        points=told.points,
        usd=money.usd,
        duration=money.duration,
        cut=_cut,
    )

    def picture(name: str, alt: str) -> Markup:
        return Markup('<img src="{}" alt="{}">').format(pictures[name], alt) if name in pictures else Markup("")

    def more(rows: Sequence[Any]) -> Markup:
        over = len(rows) - SHOWN
        return Markup('<p class="note">and {} more in the JSON</p>').format(over) if over > 0 else Markup("")

    def of(day: str) -> str:
        """Names the day that figures are of where it is not the report's."""
        return "" if day == brief["as_of"] else f"As of {day}. "

    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        b=brief,
        cards=told.cards(brief),
        basis=told.basis_of(brief["money"]),
        span=money.span,
        interval=told.interval,
        no_counts=told.no_counts(brief),
        steps=brief["next_steps"],
        next=told.next_sentence(brief["next_100"]),
        picture=picture,
        more=more,
        of=of,
        shown=SHOWN,
    )


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def pictures_of(brief: RunReport) -> dict[str, str]:
    """Data URIs of the plots that there is something for."""
    found: dict[str, str] = {}
    if curve := brief["warmed"]["curve"]:
        found["curve"] = _curve(curve, brief["warmed"]["entries"])
    measured = brief["measured"]
    if measured is not None and measured["by_day"]:
        found["came"] = impact_plot(measured["by_day"])
    return found


def _curve(curve: Sequence[Mapping[str, Any]], entries: int) -> str:
    def line(column: str) -> tuple[list[int], list[float]]:
        rows = [row for row in curve if row[column] is not None]
        return [0, *(row["entries"] for row in rows)], [0.0, *(row[column] for row in rows)]

    here = next((row["plan"] for row in curve if row["entries"] == entries), None)
    return gain_curves_plot(line("plan"), line("frequency"), line("random"), None if here is None else (entries, here))
