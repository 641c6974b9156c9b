"""A chart with a slider: what it tells, where, and that it is one piece."""

import html
import json
import re

import pytest

from mlsys_lib import plots
from mlsys_lib.explore import explore
from mlsys_lib.metrics import Estimate

X = [0.1, 0.2, 0.4]


@pytest.fixture
def explorer():
    curves = {"the model": [40, 36.4, 45], "flag every flight": [45.5] * 3}
    chart = plots.lines(X, curves, 'It "dips"', "threshold", "cost")
    told = {"flagged": ["60%", "40%", "9%"]}
    return explore(chart, start=0.17, name="threshold", tell=told)


def rows(explorer):
    (found,) = re.findall(r'data-rows="([^"]*)"', explorer._repr_html_())
    return json.loads(html.unescape(found))


def test_an_explorer_tells_each_curve_and_what_else_it_was_given(explorer):
    assert [row["at"] for row in rows(explorer)] == ["0.1", "0.2", "0.4"]
    assert rows(explorer)[1]["says"] == [
        "the model: 36.4",
        "flag every flight: 45.5",
        "flagged: 40%",
    ]


def test_its_line_stands_where_the_axis_has_the_position(explorer):
    left, middle, right = (row["x"] for row in rows(explorer))
    assert right - middle == pytest.approx(2 * (middle - left), abs=0.02)
    assert 0 < left < right < 100


def test_it_starts_at_the_nearest_position_and_shows_the_same_twice(explorer):
    assert 'max="2" value="1"' in explorer._repr_html_()
    assert explorer._repr_html_() == explorer._repr_html_()


def test_it_asks_nobody_for_anything_and_escapes_what_it_is_given(explorer):
    text = explorer._repr_html_()
    assert 'alt="It &quot;dips&quot;"' in text
    assert not re.search(r"https?:", text.split("base64,")[0] + text.split("<div hidden>")[1])
    script = text.split("<script>")[1]
    assert len(script) < 3000


def test_without_a_script_only_the_chart_is_seen(explorer):
    parts = explorer._repr_html_().split("<script>")[0]
    assert parts.count("<div hidden") == 2
    assert "<input" in parts.split("<div hidden>")[1]


def test_bands_are_explored_by_their_middle():
    curve = [Estimate(0.6, 0.5, 0.7), Estimate(0.7, 0.6, 0.8)]
    chart = plots.bands([1, 2], {"AUC": curve}, "It rises", "day", "AUC")
    found = rows(explore(chart, start=2, name="days"))
    assert [row["says"] for row in found] == [["AUC: 0.6"], ["AUC: 0.7"]]


def test_what_cannot_be_explored_is_refused(explorer):
    bars = plots.bars({"a": 1.0}, "A bar", "cost")
    with pytest.raises(ValueError, match="make it with lines or bands"):
        explore(bars, start=0, name="x")
    with pytest.raises(ValueError, match="positions, flagged must have one length"):
        explore(explorer.chart, start=0, name="x", tell={"flagged": ["1%"]})
