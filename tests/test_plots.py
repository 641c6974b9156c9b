"""Figures: the same bytes each time, colours by meaning."""

from mlsys_lib import plots

X = [0.1, 0.2, 0.4]


def test_the_same_data_gives_the_same_bytes():
    first, second = (
        plots.lines(X, {"a": X}, "It rises", "day", "flights")._repr_svg_() for _ in range(2)
    )
    assert first == second


def test_a_colour_that_has_a_meaning_is_taken():
    chart = plots.lines(
        X, {"late": X, "said": X}, "t", "x", "y", colours={"late": plots.TRUE, "said": plots.KNOWN}
    )
    assert [line.get_color() for line in chart.figure.axes[0].get_lines()] == [
        plots.TRUE,
        plots.KNOWN,
    ]


def test_a_chain_has_a_box_for_each_step_and_an_arrow_between_them():
    axes = plots.chain({"a": "one", "b": "two", "c": "three"}, "t").figure.axes[0]
    boxes = [box.get_x() for box in axes.patches]
    assert len(boxes) == 3 and boxes == sorted(boxes)
    assert len(axes.texts) == 3 * 2 + 2
