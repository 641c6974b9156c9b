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


def test_a_timeline_tells_how_old_the_first_step_is_when_the_question_comes():
    rows = {"nightly": (4.0, 4.0), "online": (4.0, 16.5), "fresh": (16.5, 16.5)}
    chart = plots.timeline(rows, ("features", "model"), "t", "x", mark=16.5, note="{:.1f} h")
    axes = chart.figure.axes[0]
    assert [text.get_text().strip() for text in axes.texts] == [
        "12.5 h",
        "12.5 h",
        "0.0 h",
        "asked",
    ]
    assert [group.get_label() for group in axes.collections[1:]] == ["features", "model"]


def test_a_chain_has_a_box_for_each_step_and_an_arrow_between_them():
    axes = plots.chain({"a": "one", "b": "two", "c": "three"}, "t").figure.axes[0]
    boxes = [box.get_x() for box in axes.patches]
    assert len(boxes) == 3 and boxes == sorted(boxes)
    assert len(axes.texts) == 3 * 2 + 2
