"""Plots: real PNG pictures in Dagster's pages, small, the same bytes each time, whatever the data."""

import base64
import io
import math
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cachewarm_pipeline.plots.drawing import _apart, _day, _whole_days, line_plot, markdown_image
from cachewarm_pipeline.proof.precision_curve import PrecisionCurve, precision_curve, precision_plot


def picture(uri: str) -> np.ndarray:
    """Pixels (400, 700, 3) of a data URI; fails for anything but a PNG of that size."""
    kind, _, data = uri.partition(",")
    assert kind == "data:image/png;base64"
    raw = base64.b64decode(data, validate=True)
    assert len(raw) < 60_000
    image = Image.open(io.BytesIO(raw))
    assert (image.format, image.size) == ("PNG", (700, 400))
    return np.asarray(image.convert("RGB")).astype(int)


def inked(pixels: np.ndarray, colour: str) -> np.ndarray:
    """(rows, columns) of the pixels of this colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return np.argwhere(np.abs(pixels - wanted).max(2) < 12)


def drawn_curve(queries: int, seed: int) -> PrecisionCurve:
    rng = np.random.default_rng(seed)
    place = rng.random(queries)
    right = (rng.random(queries) >= np.interp(place, (0, 0.4, 0.7, 1), (0.01, 0.03, 0.12, 0.9))).astype(float)
    return precision_curve(1 - place, right, 1 - right, queries)


BLUE, VERMILLION = "#0072B2", "#D55E00"


def test_each_curve_is_drawn_in_its_colour_and_the_better_one_higher() -> None:
    better = PrecisionCurve(np.array([2.0, 1.0]), np.array([0.1, 0.8]), np.array([0.99, 0.95]))
    worse = PrecisionCurve(np.array([2.0, 1.0]), np.array([0.1, 0.8]), np.array([0.92, 0.80]))
    pixels = picture(precision_plot({"learned": better, "distance": worse}, 0.05))
    high, low = inked(pixels, BLUE), inked(pixels, VERMILLION)
    assert len(high) > 300
    assert len(low) > 300
    assert high[:, 0].mean() < low[:, 0].mean()


def test_the_operating_point_is_ringed_on_its_line() -> None:
    lines = {"learned": drawn_curve(900, 1)}
    plain, ringed = (picture(precision_plot(lines, 0.05, at)) for at in (None, {"learned": (0.5, 0.97)}))
    changed = np.argwhere(np.abs(plain - ringed).max(2) > 60)
    inside = changed[changed[:, 1] < 497]  # the note under the name stands to the right of the plot
    assert len(inside) > 50
    assert np.ptp(inside[:, 1]) < 20
    assert len(changed) > len(inside)


def test_the_same_input_gives_the_same_bytes_whatever_matplotlibrc_says(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: black\nsavefig.dpi: 10\n")
    code = (
        "from cachewarm_pipeline.plots.drawing import line_plot;"
        "print(line_plot({'a': ([0, 1, 2], [0.1, 0.4, 0.2])}, title='t', x_label='x', y_label='y'))"
    )
    env = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    here = line_plot({"a": ([0, 1, 2], [0.1, 0.4, 0.2])}, title="t", x_label="x", y_label="y")
    assert here == there.strip()


def test_a_plot_of_many_lines_stays_small_and_names_only_the_lines_that_fit() -> None:
    curves = {f"agent type {number}": drawn_curve(300, number) for number in range(40)}
    pixels = picture(precision_plot(curves, 0.02, dict.fromkeys(curves, (0.3, 0.98))))
    margins = np.concatenate([pixels[:8].reshape(-1, 3), pixels[-8:].reshape(-1, 3), pixels[:, -6:].reshape(-1, 3)])
    assert (margins > 200).all()  # no text runs over the edge


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {"empty": ([], [])},
        {"one point": ([0.3], [0.9])},
        {"holes": ([0, 1, math.nan, 3], [math.inf, 0.5, 0.5, 0.7])},
        {"flat": ([0, 0, 0], [0, 0, 0])},
        {"$\\frac{no}{formula": ([0, 1], [1, -2]), "a name\nof two lines " + "x" * 80: ([0, 1], [2, 3])},
    ],
    ids=str,
)
def test_odd_data_still_gives_a_picture(lines: dict[str, tuple[list[float], list[float]]]) -> None:
    picture(line_plot(lines, title="a $ title", x_label="x $", y_label="$ y", limit=(0.5, "limit")))
    curves = {name: PrecisionCurve(np.empty(0), np.empty(0), np.empty(0)) for name in lines}
    picture(precision_plot(curves, 0.05))


def test_names_never_cover_each_other() -> None:
    heights = [0.1, 0.1, 0.2, 0.1]
    for wanted in ([0.9, 0.5, 0.3, 0.1], [0.5] * 4, [0.0] * 4, [1.0] * 4):
        places = _apart(wanted, heights)
        for above, below in zip(range(3), range(1, 4), strict=True):
            assert places[above] - places[below] >= (heights[above] + heights[below]) / 2 - 1e-9
        assert places[0] <= 1.1
        assert places[-1] >= -0.05
    assert _apart([0.9, 0.5, 0.3, 0.1], heights) == [0.9, 0.5, 0.3, 0.1]


def test_markdown_keeps_the_alternative_text_on_one_line_and_in_its_brackets() -> None:
    assert markdown_image("data:x", "a [b]\n c\\") == "![a \\[b\\] c\\\\](data:x)"


def test_matplotlib_is_loaded_only_when_something_is_plotted() -> None:
    code = "import sys, cachewarm_pipeline.plots.drawing; print({'matplotlib', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_days_are_labelled_as_dates_and_a_single_day_is_visible() -> None:
    first = date(2026, 3, 20).toordinal()
    many = {"warmed": (np.arange(first, first + 90), np.full(90, 0.5))}
    one = {"warmed": (np.array([first]), np.array([0.5]))}
    pictures = [line_plot(x, title="t", x_label="day", y_label="rate", days=True) for x in (many, one)]
    assert all(len(inked(picture(uri), BLUE)) for uri in pictures)
    assert line_plot(one, title="t", x_label="day", y_label="rate") != pictures[1]


def test_the_axis_of_a_single_day_shows_that_day_and_its_neighbours() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.plot([739_000], [0.5])
    _whole_days(axes)
    assert axes.get_xlim() == (738_998.5, 739_001.5)


@pytest.mark.parametrize(("x", "text"), [(date(2026, 3, 1).toordinal(), "1 Mar"), (0.0, ""), (739_000.5, "")])
def test_a_tick_between_two_days_has_no_label(x: float, text: str) -> None:
    assert _day(x) == text


@pytest.mark.parametrize("days", [1, 5])
def test_a_band_is_shaded_in_its_lines_colour_also_for_a_single_day(days: int) -> None:
    x, y = list(range(days)), [0.3] * days
    band = {"lift": (x, [0.1] * days, [0.5] * days)}
    plain, shaded = (
        picture(line_plot({"lift": (x, y)}, title="t", x_label="x", y_label="y", y_range=(0, 1), bands=bands))
        for bands in (None, band)
    )
    changed = np.argwhere(np.abs(plain - shaded).max(2) > 10)
    assert np.ptp(changed[:, 0]) > 80  # from 10% to 50% of the height
    assert (shaded[changed[:, 0], changed[:, 1], 2] > shaded[changed[:, 0], changed[:, 1], 0]).mean() > 0.9  # bluish
