"""The book's figures: one message each, said in the title as a sentence.

Every function gives a `Chart`, which a notebook shows as SVG. The same data gives the same text to the
byte, so that CI compares figures like any other output.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from mlsys_lib.files import Place, write
from mlsys_lib.metrics import Estimate

# Okabe and Ito's colours, which colour-blind readers tell apart, without the yellow that white hides.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, QUIET = "#222222", "#6b6b6b"
# One palette by meaning, wherever a curve has one: what the desk knows or says, what was true, what harms.
KNOWN, TRUE, HARM = COLOURS[0], INK, COLOURS[1]
STYLE: Any = {
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text: smaller files, readable by machines
    "svg.hashsalt": "flight-tested",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
}


class Chart:
    """A figure that shows itself as SVG, the same bytes each time."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def __repr__(self) -> str:
        return "<Chart>"  # an address would differ in each run

    def _repr_svg_(self) -> str:
        return self.svg()

    def svg(self, *, box: Bbox | None = None) -> str:
        """The figure's text, cut to `box` (in inches), or to what is drawn."""
        with matplotlib.rc_context(STYLE):
            text = io.StringIO()
            self.figure.savefig(
                text,
                format="svg",
                bbox_inches=box or "tight",
                metadata={"Date": None, "Creator": None},
            )
        # A reader without DejaVu has Verdana, which it was drawn after, or something.
        return text.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")

    def save(self, path: Place) -> None:
        """Write the figure as an SVG file, replacing it in one step."""
        write(path, self._repr_svg_().encode())


def bars(
    values: Mapping[str, float],
    title: str,
    xlabel: str,
    *,
    highlight: Sequence[str] = (),
    note: str = "{:g}",
) -> Chart:
    """Horizontal bars, one a name, in the given order, each with its value beside it.

    Parameters
    ----------
    values : mapping of str to float
        Name and length of each bar, from the top down.
    title, xlabel : str
        The message, and the axis with its unit.
    highlight : sequence of str, optional
        The bars that the message is about.
    note : str, default "{:g}"
        How to print a value.

    Returns
    -------
    Chart

    Examples
    --------
    >>> bars({"CSV": 36.6, "Parquet": 5.9}, "Parquet takes a sixth", "size (MB)")
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, "", height=0.6 + 0.34 * len(values))
    names = list(values)
    colours = [COLOURS[1] if name in highlight else COLOURS[0] for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colours, height=0.62)
    axes.bar_label(drawn, [note.format(values[name]) for name in names], padding=4, color=INK)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    return chart


def lines(
    x: npt.ArrayLike,
    curves: Mapping[str, npt.ArrayLike],
    title: str,
    xlabel: str,
    ylabel: str,
    *,
    colours: Mapping[str, str] | None = None,
    **options: Any,
) -> Chart:
    """Curves over one axis, each labelled at its right end.

    Parameters
    ----------
    x : array of shape (n_points,)
        Common positions.
    curves : mapping of str to array of shape (n_points,)
        Label and values of each curve.
    title, xlabel, ylabel : str
        The message, and the axes with their units.
    colours : mapping of str to str, optional
        Of curves whose colour says what they are: `KNOWN`, `TRUE` or `HARM`.
    **options
        For `matplotlib.axes.Axes.set`, such as ``ylim=(0, 1)``.

    Returns
    -------
    Chart

    Examples
    --------
    >>> lines([1, 2], {"a": [1, 2]}, "It rises", "day", "flights")
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, ylabel)
    for label, values in curves.items():
        colour = (colours or {}).get(label)
        (line,) = axes.plot(x, values, linewidth=2, color=colour, label=label.strip() or "value")
        known = np.flatnonzero(np.isfinite(np.asarray(values, float)))
        if len(known):  # at its last point
            end = np.asarray(x)[known[-1]], np.asarray(values, float)[known[-1]]
            _label_end(axes, label, *end, str(line.get_color()))
    axes.set(**options)
    return chart


def loglog(
    x: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], title: str, xlabel: str, ylabel: str
) -> Chart:
    """As `lines`, with points, on logarithmic axes: for times and sizes that differ by orders of magnitude.

    Parameters
    ----------
    x : array of shape (n_points,), positive
        Common positions.
    curves : mapping of str to array of shape (n_points,), positive
        Label and values of each curve.
    title, xlabel, ylabel : str
        The message, and the axes with their units.

    Returns
    -------
    Chart

    Examples
    --------
    >>> loglog([1, 10], {"a": [1, 9]}, "It grows with the rows", "rows", "time (s)")
    <Chart>
    """
    chart = lines(x, curves, title, xlabel, ylabel, xscale="log", yscale="log")
    for line in chart.figure.axes[0].get_lines():
        line.set_marker("o")
    return chart


def dumbbells(
    pairs: Mapping[str, tuple[float, float]],
    ends: tuple[str, str],
    title: str,
    xlabel: str,
    mark: float,
) -> Chart:
    """Two points a name, joined by a line, from the top down: how far apart two figures of it lie.

    Parameters
    ----------
    pairs : mapping of str to tuple of two float
        Name, and where its two points lie.
    ends : tuple of two str
        What the first and the second point of each are.
    title, xlabel : str
        The message, and the axis with its unit.
    mark : float
        Where a thin line stands, to compare with.

    Returns
    -------
    Chart

    Examples
    --------
    >>> dumbbells({"a": (0.9, 0.6)}, ("then", "now"), "It fell", "AUC", mark=0.7)
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, "", height=1.1 + 0.32 * len(pairs))
    names = list(pairs)
    values = np.array([pairs[name] for name in names])
    axes.axvline(mark, color=QUIET, linewidth=1, linestyle=":")
    axes.hlines(names, values.min(axis=1), values.max(axis=1), color=QUIET, linewidth=1.5)
    for column, (end, colour) in enumerate(zip(ends, COLOURS, strict=False)):
        # The second stays visible around the first where both lie together.
        size = (38, 90)[column]
        axes.scatter(values[:, column], names, color=colour, s=size, zorder=4 - column, label=end)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    chart.figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return chart


def timeline(
    rows: Mapping[str, tuple[float, float]],
    ends: tuple[str, str],
    title: str,
    xlabel: str,
    *,
    mark: float,
    note: str = "{:g}",
) -> Chart:
    """What is done when, for one question: a row a design, from the top down, and a line where it is asked.

    Parameters
    ----------
    rows : mapping of str to tuple of two float
        Name, and when each of two steps of it is done, before the question.
    ends : tuple of two str
        What the first and the second step are.
    title, xlabel : str
        The message, and the axis with its unit.
    mark : float
        When the question comes.
    note : str, default "{:g}"
        How to print how old the first step is by then.

    Returns
    -------
    Chart

    Examples
    --------
    >>> timeline({"batch": (4, 4)}, ("features", "model"), "It waits", "hour of the day", mark=16)
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, "", height=1.2 + 0.36 * len(rows))
    names, steps = list(rows), np.array(list(rows.values()), float)
    axes.axvline(mark, color=QUIET, linewidth=1, linestyle=":")
    axes.hlines(names, steps[:, 0], mark, color=KNOWN, linewidth=3, alpha=0.35)
    axes.scatter(steps[:, 0], names, color=KNOWN, s=38, zorder=4, label=ends[0])
    looks: Any = {"facecolors": "none", "edgecolors": TRUE, "linewidths": 1.5}
    axes.scatter(steps[:, 1], names, s=130, zorder=5, label=ends[1], **looks)
    for name, made in zip(names, steps[:, 0], strict=True):
        said = note.format(mark - made)
        axes.annotate(said, (mark, name), (14, 0), textcoords="offset points", va="center")
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.annotate("asked", (mark, -0.8), ha="center", color=INK)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    chart.figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return chart


def bands(
    x: npt.ArrayLike,
    curves: Mapping[str, Sequence[Estimate]],
    title: str,
    xlabel: str,
    ylabel: str,
    *,
    colours: Mapping[str, str] | None = None,
    **options: Any,
) -> Chart:
    """As `lines`, each curve with its 95 % interval as a band around it.

    Parameters
    ----------
    x : array of shape (n_points,)
        Common positions.
    curves : mapping of str to sequence of Estimate
        Label and estimates of each curve.
    title, xlabel, ylabel : str
        The message, and the axes with their units.
    colours : mapping of str to str, optional
        Of curves whose colour says what they are: `KNOWN`, `TRUE` or `HARM`.
    **options
        For `matplotlib.axes.Axes.set`, such as ``ylim=(0, 1)``.

    Returns
    -------
    Chart

    Examples
    --------
    >>> curve = [Estimate(0.6, 0.5, 0.7), Estimate(0.7, 0.6, 0.8)]
    >>> bands([1, 2], {"a": curve}, "It rises", "day", "AUC")
    <Chart>
    """
    middles = {label: [point.value for point in points] for label, points in curves.items()}
    chart = lines(x, middles, title, xlabel, ylabel, colours=colours, **options)
    axes = chart.figure.axes[0]
    for line, points in zip(axes.get_lines(), curves.values(), strict=True):
        line.set_marker("o")
        low, high = [point.low for point in points], [point.high for point in points]
        axes.fill_between(
            np.asarray(x, float), low, high, color=line.get_color(), alpha=0.18, linewidth=0
        )
    return chart


def frontier(
    points: Mapping[str, tuple[float, Estimate]],
    title: str,
    xlabel: str,
    ylabel: str,
    **options: Any,
) -> Chart:
    """Points with their intervals, and a line through those that no other beats: smaller and higher.

    Parameters
    ----------
    points : mapping of str to tuple of float and Estimate
        Name, what it costs (smaller is better), what it is worth (larger is better).
    title, xlabel, ylabel : str
        The message, and the axes with their units.
    **options
        For `matplotlib.axes.Axes.set`, such as ``xscale="log"``.

    Returns
    -------
    Chart

    Examples
    --------
    >>> frontier({"a": (1, Estimate(0.7, 0.6, 0.8))}, "It is small", "size (kB)", "AUC")
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, ylabel)
    best: list[tuple[float, float]] = []
    for name, (x, y) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1].value)):
        colour = COLOURS[1]
        if not best or y.value > best[-1][1]:
            best.append((x, y.value))
            colour = COLOURS[0]
        axes.vlines(x, y.low, y.high, color=colour, linewidth=1.5, alpha=0.5)
        axes.scatter(x, y.value, color=colour, s=38, zorder=3)
        _label_end(axes, name, x, y.value, colour)
    axes.plot(*zip(*best, strict=True), color=QUIET, linewidth=1, linestyle=":", zorder=1)
    axes.set(**options)
    return chart


def scatter(
    groups: Mapping[str, Sequence[tuple[float, float]]],
    named: Mapping[str, tuple[float, float]],
    title: str,
    xlabel: str,
    ylabel: str,
    **options: Any,
) -> Chart:
    """Clouds of points, and some points that bear their name: how two figures go together.

    Parameters
    ----------
    groups : mapping of str to sequence of tuple of two float
        What the points of a cloud are, and where they lie.
    named : mapping of str to tuple of two float
        Name and place of each point beside the clouds.
    title, xlabel, ylabel : str
        The message, and the axes with their units.
    **options
        For `matplotlib.axes.Axes.set`, such as ``xscale="log"``.

    Returns
    -------
    Chart

    Examples
    --------
    >>> scatter({"weeks": [(0.1, 30), (0.2, 31)]}, {"a fault": (0.1, 60)}, "Not alike", "drift", "cost")
    <Chart>
    """
    chart, axes = _canvas(title, xlabel, ylabel)
    for (label, points), colour in zip(groups.items(), COLOURS, strict=False):
        x, y = np.array(points).T
        axes.scatter(x, y, color=colour, s=26, alpha=0.75, label=label)
    last = COLOURS[len(groups) % len(COLOURS)]
    for name, place in named.items():
        axes.scatter(*place, color=last, s=38, zorder=3)
        _label_end(axes, name, *place, last, up=13)  # over a cloud, not in it
    axes.set(**options)
    chart.figure.legend(loc="outside lower center", ncols=len(groups), frameon=False)
    return chart


def chain(steps: Mapping[str, str], title: str) -> Chart:
    """Boxes from left to right, joined by arrows: what leads to what.

    Parameters
    ----------
    steps : mapping of str to str
        The head of each box, and what stands below it; lines end where the text says so.
    title : str
        The message.

    Returns
    -------
    Chart

    Examples
    --------
    >>> chain({"alarm": "visibility is new", "cause": "kilometres"}, "From an alarm to its cause")
    <Chart>
    """
    chart, axes = _canvas(title, "", "", height=1.5)
    axes.set(xlim=(0, len(steps)), ylim=(0, 1))
    axes.set_axis_off()
    for place, (head, text) in enumerate(steps.items()):
        words: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
        axes.text(place + 0.46, 0.72, head, fontweight="bold", **words)
        axes.text(place + 0.46, 0.36, text, fontsize=8, **words)
        box = Rectangle((place + 0.01, 0.08), 0.9, 0.84, fill=False, edgecolor=KNOWN, linewidth=1.5)
        axes.add_patch(box)
        if place:
            arrow = {"arrowstyle": "->", "color": QUIET, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (place + 0.01, 0.5), (place - 0.09, 0.5), arrowprops=arrow)
    return chart


def _canvas(title: str, xlabel: str, ylabel: str, *, height: float = 3.2) -> tuple[Chart, Axes]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.8, height), layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, fontweight="bold")
        axes.set_xlabel(xlabel)
        axes.set_title(ylabel, loc="left", fontsize=10)  # read without turning the head
    return Chart(figure), axes


def _label_end(axes: Axes, label: str, x: float, y: float, colour: str, *, up: float = 0) -> None:
    axes.annotate(
        label,
        (x, y),
        xytext=(7, up),
        textcoords="offset points",
        va="center",
        color=colour,
        annotation_clip=False,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
