"""A figure that answers: a chart with a slider, and the values where the slider stands.

It is one piece of HTML without a request or a framework. Without a script, and in print, it is the chart.
"""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mlsys_lib.checks import same_length
from mlsys_lib.plots import Chart


class Explorer:
    """What `explore` gives: it shows itself as HTML."""

    def __init__(
        self, chart: Chart, rows: list[dict[str, Any]], start: float, name: str, unit: str
    ) -> None:
        self.chart, self.rows = chart, rows
        self.start, self.name, self.unit = start, name, unit

    def __repr__(self) -> str:
        return f"<Explorer of {len(self.rows)} positions>"

    def _repr_html_(self) -> str:
        return self._html

    @cached_property  # a figure that is drawn twice is laid out anew
    def _html(self) -> str:
        figure, axes = self.chart.figure, self.chart.figure.axes[0]
        figure.draw_without_rendering()  # lays it out
        whole = figure.get_tightbbox().padded(0.1)  # in inches, as the picture is cut

        def across(x: float) -> float:
            low = axes.get_ylim()[0]  # of a logarithmic axis, zero has no place
            inches = axes.transData.transform((x, low))[0] / figure.dpi
            return round(100 * float(inches - whole.x0) / whole.width, 2)

        box = axes.get_window_extent()
        above = 100 - 100 * (box.y1 / figure.dpi - whole.y0) / whole.height
        below = 100 * (box.y0 / figure.dpi - whole.y0) / whole.height
        rows = [
            {"x": across(row["at"]), "at": _short(row["at"]), "says": row["says"]}
            for row in self.rows
        ]
        words = {"alt": figure.get_suptitle(), "name": self.name, "unit": self.unit}
        return _EXPLORER.format(
            picture=base64.b64encode(self.chart.svg(box=whole).encode()).decode(),
            last=len(rows) - 1,
            at=min(range(len(rows)), key=lambda n: abs(self.rows[n]["at"] - self.start)),
            above=round(above, 2),
            below=round(below, 2),
            rows=html.escape(json.dumps(rows)),
            **{key: html.escape(word) for key, word in words.items()},
        )


def explore(
    chart: Chart,
    *,
    start: float,
    name: str,
    unit: str = "",
    tell: Mapping[str, Sequence[object]] | None = None,
) -> Explorer:
    """A chart of `lines` or `bands` that the reader moves through: a slider, and the values where it stands.

    Self-contained: no request, no framework. Without a script, and in print, it is the chart.

    Parameters
    ----------
    chart : Chart
        Of `lines` or `bands`, all curves over the same positions.
    start : float
        The position at which the slider stands first, on the x-axis.
    name : str
        What the reader moves, such as ``"threshold"``.
    unit : str, default ""
        Of the positions, such as ``"hours"``.
    tell : mapping of str to sequence of shape (n_points,), optional
        What else is told at each position.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        If the chart has no curves, or `tell` has another number of positions.

    Examples
    --------
    >>> from mlsys_lib.plots import lines
    >>> rises = lines([1, 2], {"late": [20, 30]}, "It rises", "hours", "late (%)")
    >>> explore(rises, start=1, name="wait", unit="hours")
    <Explorer of 2 positions>
    """
    curves = chart.figure.axes[0].get_lines() if chart.figure.axes else []
    if not curves:
        raise ValueError("the chart has no curves to explore; make it with lines or bands")
    places = [float(x) for x in np.asarray(curves[0].get_xdata(), float)]
    told = dict(tell or {})
    for what, values in told.items():
        same_length(positions=places, **{what.replace(" ", "_"): list(values)})
    rows = []
    for number, place in enumerate(places):
        heights = [float(np.asarray(curve.get_ydata(), float)[number]) for curve in curves]
        says = [
            f"{curve.get_label()}: {_short(y)}" for curve, y in zip(curves, heights, strict=True)
        ]
        says += [f"{what}: {values[number]}" for what, values in told.items()]
        rows.append({"at": place, "says": says})
    return Explorer(chart, rows, start, name, unit)


# Sizes in per cent of the picture, so that it may be shown at any width.
_EXPLORER = """<div class="explorer" data-unit="{unit}" data-rows="{rows}" style="max-width:36rem">
<div style="position:relative"><img class="course-figure" alt="{alt}" style="width:100%"
 src="data:image/svg+xml;base64,{picture}"><div hidden style="position:absolute;top:{above}%;\
bottom:{below}%;border-left:1px solid currentColor"></div></div>
<div hidden><label>{name} <input type="range" min="0" max="{last}" value="{at}" style="width:100%">\
</label><output></output></div></div>
<script>document.querySelectorAll(".explorer:not([data-on])").forEach(e => {{
  e.dataset.on = 1;
  const [line, below] = e.querySelectorAll("[hidden]"), rows = JSON.parse(e.dataset.rows);
  const input = e.querySelector("input"), said = e.querySelector("output");
  const show = () => {{
    const row = rows[input.value], all = [`${{row.at}} ${{e.dataset.unit}}`.trim(), ...row.says];
    line.style.left = row.x + "%";
    input.setAttribute("aria-valuetext", all.join("; "));
    said.replaceChildren(...all.map((text, n) => {{
      const part = document.createElement(n ? "span" : "strong");
      part.textContent = text;
      part.style.marginRight = "1.5em";
      return part;
    }}));
  }};
  line.hidden = below.hidden = false;
  input.addEventListener("input", show);
  show();
}});</script>"""


def _short(value: float) -> str:
    return f"{value:.3g}"
