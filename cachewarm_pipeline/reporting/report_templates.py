"""Renders the templates of the report, with filters that format its figures.

Text templates hold sentences as a list: each begins with ``* `` at the start of a line. Line breaks inside a sentence
count as spaces, so that a template can be laid out for reading.
"""

import re
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachewarm_pipeline.number_format import duration, plural, span, usd

if TYPE_CHECKING:
    from jinja2 import Environment

NOT_KNOWN = "-"

_CELL = 110
"""Characters of a prompt in a table of the page."""


def page(template: str, **values: Any) -> str:
    """The rendered HTML template; all values are escaped, because prompts are written by users."""
    return _environment().get_template(template).render(**values)


def sentences_of(template: str, **values: Any) -> list[str]:
    """The sentences of the rendered text template, each on one line."""
    text = _environment().get_template(template).render(**values)
    return [" ".join(sentence.split()) for sentence in re.split(r"(?m)^\* ", text)[1:]]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
    environment.filters.update(
        num=number,
        pct=percent,
        pct0=partial(percent, digits=0),
        pct2=partial(percent, digits=2),
        points=points,
        count=plural,
        usd=usd,
        duration=duration,
        cut=_cut,
    )
    environment.globals.update(interval=interval, span=span)
    return environment


def number(value: float | None) -> str:
    """A count as it is; a computed number with one decimal if it is small."""
    if value is None:
        return NOT_KNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Without trailing zeros: 5%, not 5.0%."""
    if share is None:
        return NOT_KNOWN
    return f"{100 * share:.{digits}f}".rstrip("0").rstrip(".") + "%" if digits else f"{100 * share:.0f}%"


def points(share: float | None) -> str:
    """A difference of two rates in percentage points, with its sign."""
    return NOT_KNOWN if share is None else f"{100 * share:+.1f} points"


def interval(low: float | None, high: float | None) -> str:
    """The interval of a difference of rates, in brackets; empty if an end is not known."""
    return "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
