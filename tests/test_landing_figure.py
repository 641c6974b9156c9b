"""The landing page's figure is what the data says, to the byte."""

import pytest

from tools import landing_figure as tool


@pytest.fixture(scope="module")
def flights():
    return tool.afternoon()


def test_the_stored_figure_is_what_the_data_draws():
    fresh = tool.chart()._repr_svg_()
    assert tool.FILE.read_text(encoding="utf-8") == fresh, "run python tools/landing_figure.py"


def test_its_title_is_true(flights):
    """Of what has landed by six, at most two thirds as many are late as of the whole afternoon."""
    seen = flights.late[flights.known_at <= 18].mean()
    assert 0.6 < seen / flights.late.mean() < 2 / 3


def test_by_three_in_the_morning_hardly_a_flight_is_missing(flights):
    assert (flights.known_at <= 27).mean() > 0.998
