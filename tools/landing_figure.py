"""Draw the figure of the landing page, book/_static/desk_at_six.svg, from the data.

And once more as desk_at_six.png, 1200 by 630 pixels, for those who get a link to the book: what shows links
does not show SVG.

python tools/landing_figure.py
"""

from pathlib import Path

import pandas as pd

from mlsys_lib import World, plots
from mlsys_lib.world import HOME

FILE = Path(__file__).resolve().parent.parent / "book" / "_static" / "desk_at_six.svg"
CLOCK = [hour / 2 for hour in range(28, 55)]  # 14:00 to 3:00 on the next day


def afternoon() -> pd.DataFrame:
    """Flights of 2013 scheduled between 12:00 and 18:00: were they late, and when could one know?"""
    world = World("2014-01-31")
    labels, left = world.labels(), world.flights().sched_dep.dt.tz_convert(HOME)
    midnight = left.dt.normalize()
    known = labels.available_at.dt.tz_convert(HOME) - midnight
    table = pd.DataFrame({"late": labels.late, "known_at": known / pd.Timedelta("1h")})
    return table[(left.dt.hour >= 12) & (left.dt.hour < 18)].dropna()


def chart() -> plots.Chart:
    """What the landed flights say at each hour, against what the afternoon was."""
    flights = afternoon()
    seen = [100 * flights.late[flights.known_at <= hour].mean() for hour in CLOCK]
    was = 100 * flights.late.mean()
    drawn = plots.lines(
        CLOCK,
        {"": seen},  # labelled where it is read, not at its end
        "At six in the evening,\nthe day looks a third better than it was",
        "clock in New York",
        "late, of the afternoon's flights (%)",
        ylim=(0, 33),
        xlim=(14, 27),
        xticks=range(15, 28, 3),
        xticklabels=["15:00", "18:00", "21:00", "24:00", "3:00"],
    )
    drawn.figure.set_size_inches(4.5, 3.3)  # on a phone its text stays readable
    axes, six = drawn.figure.axes[0], seen[CLOCK.index(18)]
    axes.axvline(18, color=plots.QUIET, linewidth=0.8)
    axes.axhline(was, color=plots.COLOURS[1], linewidth=2)
    axes.plot([18, 18], [six, was], "o", color=plots.INK, markersize=5)
    for text, height, offset, colour in (
        (f"{was:.0f} % were late", was, 12, plots.COLOURS[1]),
        (f"{six:.0f} % of those that have landed", six, -12, plots.COLOURS[0]),
    ):
        axes.annotate(
            text,
            (18, height),
            xytext=(8, offset),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    return drawn


def save_picture(drawn: plots.Chart, file: Path) -> None:
    drawn.figure.set_size_inches(6.4, 3.36)
    drawn.figure.savefig(file, dpi=187.5, metadata={"Software": None})


if __name__ == "__main__":
    drawn = chart()
    drawn.save(FILE)
    save_picture(drawn, FILE.with_suffix(".png"))
    print(f"Wrote {FILE.name} and its picture for shared links")
