"""Line plots for Dagster's pages: PNG pictures as data URIs, drawn by matplotlib without a screen."""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


Point = tuple[float, float]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9")
"""The palette of Okabe and Ito, which colour-blind people can distinguish; yellow is darkened for a white page."""
_DASHES = ("-", "--", "-.", ":")
_INCHES = (7.0, 4.0)
_DPI = 100  # 700 x 400 pixels: a page shows the picture without scaling
_PALETTE = 128
"""Colours of a picture: enough for all lines with their smoothed edges."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Independent of the locale, so that the same input gives the same bytes."""
_INK = "#333333"
_PALE = "#707070"
_TEXT_LINE = 0.056  # height of a line of text, as a share of the plot's height
_LABELS_HEIGHT = 1.05
"""Height of all names beside the plot together, as a share of the plot's height: as many lines are named as fit."""
_NAME_CHARS = 26
_LEADER = {"arrowstyle": "-", "linewidth": 0.7, "alpha": 0.6, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2}
"""The thin line from a line's end to its name."""


def line_plot(
    lines: "Mapping[str, tuple[ArrayLike, ArrayLike]]",
    *,
    title: str,
    x_label: str,
    y_label: str,
    percent: str = "",
    limit: tuple[float, str] | None = None,
    marks: Mapping[str, Point] | None = None,
    notes: Mapping[str, str] | None = None,
    y_range: tuple[float, float] | None = None,
    days: bool = False,
    bands: "Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]] | None" = None,
) -> str:
    """Data URI of a PNG of 700 x 400 pixels, with each line's name beside its end.

    ``lines``: name to (x, y) of equal length, the most important first. Lines whose names do not fit beside the plot
    are drawn pale and without a name. Points that are not finite are omitted; without any point, the plot says so.
    ``percent``: the axes ("x", "y" or "xy") whose values are shares. ``limit``: (y, name) of a dashed line.
    ``marks``: line name to a point to ring. ``notes``: line name to a text below the name. ``y_range``: limits of the y
    axis; by default they follow the values, and start at 0 if no value is negative. ``days``: x are days, as
    ``date.toordinal()``. ``bands``: line name to (x, low, high) to shade. The same input gives the same bytes, in
    practice fewer than 60 KB.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context("default", after_reset=True):  # ignore any matplotlibrc
        figure = Figure(figsize=_INCHES, dpi=_DPI)
        axes = figure.add_axes((0.08, 0.13, 0.63, 0.71))
        figure.text(0.02, 0.94, title, fontsize=11, color=_INK, parse_math=False)
        figure.text(0.02, 0.875, y_label, fontsize=9, color=_PALE, parse_math=False)
        axes.set_xlabel(x_label, fontsize=9, color=_PALE, parse_math=False)
        axes.tick_params(colors=_INK, labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            if letter in percent:
                axis.set_major_formatter(lambda value, _: percent_label(value))
        if days:
            axes.xaxis.set_major_formatter(lambda value, _: _day(value))
        room = _LABELS_HEIGHT - (_height(limit[1]) if limit else 0)
        labels = _draw(axes, lines, marks or {}, notes or {}, room)
        _shade(axes, list(lines), bands or {})
        if not axes.lines:
            axes.text(0.5, 0.3, "nothing to plot yet", transform=axes.transAxes, ha="center", color=_PALE)
        axes.margins(x=0.02)
        if days:
            _whole_days(axes)
        if "x" in percent:
            axes.set_xlim(left=0)
        if y_range or axes.dataLim.y0 >= 0:
            axes.set_ylim(*(y_range or (0, None)))
        if limit:
            axes.axhline(limit[0], color=_PALE, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1.5)
            labels.append(((axes.get_xlim()[1], limit[0]), _short(limit[1]), _PALE))
        _write(axes, labels)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        return _data_uri(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def markdown_image(uri: str, alt: str) -> str:
    """Markdown that shows a picture. ``alt``: the alternative text."""
    plain = " ".join(alt.split()).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return f"![{plain}]({uri})"


Label = tuple[Point, str, str]
"""Where a line ends, the text beside it, and its colour."""


def _draw(
    axes: "Axes",
    lines: "Mapping[str, tuple[ArrayLike, ArrayLike]]",
    marks: Mapping[str, Point],
    notes: Mapping[str, str],
    room: float,
) -> list[Label]:
    import numpy as np

    labels: list[Label] = []
    full = False
    for number, (name, given) in enumerate(lines.items()):
        x, y = (np.asarray(values, np.float64) for values in given)
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
        if not len(x):
            continue
        text = "\n".join([_short(name), *([notes[name]] if name in notes else [])])
        room -= _height(text)
        full = full or room < 0
        colour = "#CCCCCC" if full else _COLOURS[number % len(_COLOURS)]
        style: dict[str, Any] = {"linestyle": "-" if full else _DASHES[number // len(_COLOURS) % len(_DASHES)]}
        if len(x) == 1:
            style = {"marker": "s", "markersize": 5}
        axes.plot(x, y, color=colour, linewidth=1 if full else 2, zorder=2 if full else 3, **style)
        if not full:
            labels.append(((float(x[-1]), float(y[-1])), text, colour))
            if name in marks:
                across, up = marks[name]
                axes.plot([across], [up], "o", color="white", mec=colour, mew=2.2, markersize=9, zorder=4)
    return labels


def _shade(axes: "Axes", names: Sequence[str], bands: "Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]") -> None:
    """Shades bands in their lines' colours. A band of a single point becomes a bar."""
    import numpy as np

    for name, given in bands.items():
        x, low, high = (np.asarray(values, np.float64) for values in given)
        colour = _COLOURS[names.index(name) % len(_COLOURS)]
        if len(x) == 1:
            axes.vlines(x, low, high, color=colour, linewidth=6, alpha=0.2, zorder=1)
        elif len(x):
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)


def _write(axes: "Axes", labels: Sequence[Label]) -> None:
    """Writes texts beside the plot at the height of their lines' ends, moved apart so that they do not overlap."""
    low, high = axes.get_ylim()
    ordered = sorted(labels, key=lambda label: (-label[0][1], label[1]))
    wanted = [min(1.0, max(0.0, (y - low) / (high - low))) for (_, y), _, _ in ordered]
    places = _apart(wanted, [_height(text) for _, text, _ in ordered])
    for ((x, y), text, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            text,
            (x, min(high, max(low, y))),
            xytext=(1.05, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=colour,
            parse_math=False,  # a "$" in an agent_type does not start a formula
            annotation_clip=False,
            arrowprops=dict(_LEADER, color=colour),
        )


def _apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Vertical centres of texts, highest first, each as near to its wanted position as the texts above it and the
    bottom allow."""
    places: list[float] = []
    edge = 1.1
    for middle, height in zip(wanted, heights, strict=True):
        places.append(min(middle, edge - height / 2))
        edge = places[-1] - height / 2
    edge = -0.05
    for number in reversed(range(len(places))):
        places[number] = max(places[number], edge + heights[number] / 2)
        edge = places[number] + heights[number] / 2
    return places


def _height(text: str) -> float:
    return _TEXT_LINE * (1 + text.count("\n")) + 0.012


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + "…"


def _whole_days(axes: "Axes") -> None:
    """Sets at most six ticks, each on a day. A single day is shown between its neighbours."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if axes.lines and axes.dataLim.width < 1:
        middle = axes.dataLim.x0  # matplotlib's limits around a single point grow with its distance from 0
        axes.set_xlim(middle - 1.5, middle + 1.5)


def _day(ordinal: float) -> str:
    day = date.fromordinal(int(ordinal)) if ordinal >= 1 and ordinal == int(ordinal) else None
    return f"{day.day} {_MONTHS[day.month - 1]}" if day else ""


def percent_label(share: float) -> str:
    """A share as a percentage with at most three decimals."""
    return f"{round(100 * share, 3):g}%"


def _data_uri(pixels: memoryview) -> str:
    """The picture reduced to a palette: a third of the bytes, and Dagster keeps them in its event log."""
    import numpy as np
    from PIL import Image  # matplotlib's own requirement

    png = io.BytesIO()
    whole = Image.fromarray(np.ascontiguousarray(np.asarray(pixels)[..., :3]))
    whole.quantize(_PALETTE, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")
