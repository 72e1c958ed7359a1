"""`cachewarm report` as one HTML file that can be mailed: no script, no other file; plots are pictures inside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cachewarm_pipeline.plots.charts import gain_curves_plot, impact_plot
from cachewarm_pipeline.reporting import report_templates
from cachewarm_pipeline.reporting.run_report import SHOWN
from cachewarm_pipeline.reporting.run_report_sections import CurvePoint, RunReport
from cachewarm_pipeline.reporting.run_report_text import basis_of, cards


def page(report: RunReport, pictures: Mapping[str, str]) -> str:
    """The page as HTML. ``pictures``: data URIs by name (``pictures_of``); a missing one is not shown."""
    from markupsafe import Markup

    def picture(name: str, alt: str) -> Markup:
        return Markup('<img src="{}" alt="{}">').format(pictures[name], alt) if name in pictures else Markup("")

    def more(rows: Sequence[Any]) -> Markup:
        over = len(rows) - SHOWN
        return Markup('<p class="note">and {} more in the JSON</p>').format(over) if over > 0 else Markup("")

    def as_of(day: str) -> str:
        """Names the day of figures if it is not the day of the report."""
        return "" if day == report["as_of"] else f"As of {day}. "

    return report_templates.page(
        "run_report_page.html",
        report=report,
        cards=cards(report),
        basis=basis_of(report["money"]),
        picture=picture,
        more=more,
        as_of=as_of,
        shown=SHOWN,
    )


def pictures_of(report: RunReport) -> dict[str, str]:
    """The plots as data URIs by name, for the figures that are known."""
    found: dict[str, str] = {}
    if curve := report["warmed"]["curve"]:
        found["curve"] = _curve_picture(curve, report["warmed"]["entries"])
    measured = report["measured"]
    if measured is not None and measured["by_day"]:
        found["by_day"] = impact_plot(measured["by_day"])
    return found


def _curve_picture(curve: Sequence[CurvePoint], entries: int) -> str:
    def line(column: str) -> tuple[list[int], list[float]]:
        rows: list[Any] = [row for row in curve if row[column] is not None]  # type: ignore[literal-required]
        return [0, *(row["entries"] for row in rows)], [0.0, *(row[column] for row in rows)]

    planned = next((row["plan"] for row in curve if row["entries"] == entries), None)
    marked = None if planned is None else (entries, planned)
    return gain_curves_plot(line("plan"), line("frequency"), line("random"), marked)
