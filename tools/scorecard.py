"""Score ten monitors against the truth log of 2013, for the book: writes book/_static/scorecard.csv.

    python tools/scorecard.py [--seeds 3]

The log is what a desk served from February to December 2013, its model trained again each month on what was
known. Into a copy of it `mlsys_lib.faults.scenario` injects simulated faults, once a seed; the real events
are in it anyway. Each week is judged by monitors that were calibrated on the other weeks, odd on even and
even on odd, and on days without a recorded event and without an injection.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.stats import binom

from mlsys_lib import World
from mlsys_lib.alerts import alerts, losses, scorecard, standard_detectors, standard_monitors
from mlsys_lib.faults import REAL, scenario
from mlsys_lib.models import boosted, fit
from mlsys_lib.store import history
from mlsys_lib.world import local_day

TARGET = Path(__file__).parents[1] / "book" / "_static" / "scorecard.csv"
RATE = 1 / 30
EVENTS = [event for event in REAL if event.start.year == 2013]


def week_is_odd(days):
    """Whether a local day is in the odd or the even half of the year's weeks."""
    return pd.DatetimeIndex(days).isocalendar().week.to_numpy() % 2 == 1


def undisturbed(days):
    """Whether nothing is recorded for a local day."""
    noon = pd.DatetimeIndex(days).tz_localize("America/New_York") + pd.Timedelta("12h")
    return ~np.any([(noon >= event.start) & (noon < event.end) for event in EVENTS], axis=0)


def judged(table, detector):
    """The local day that each check of a monitor is about."""
    return local_day(pd.Series(table.index - detector.wait - pd.Timedelta("12h"))).to_numpy()


def monitored(clean, rows, detectors=None):
    """The ratios of each monitor, every week by thresholds from the weeks of the other kind."""
    days, watched = local_day(clean.decided_at), local_day(rows.decided_at).unique()
    quiet, odd = undisturbed(days), week_is_odd(days)
    made = {}
    for half in (False, True):
        own = detectors or standard_detectors()
        others = clean[quiet & (odd != half)]
        tables = standard_monitors(others, rows, rate=RATE, days=watched, detectors=own)
        for name, table in tables.items():
            weeks = week_is_odd(judged(table, own[name])) == half
            made.setdefault(name, []).append(table[weeks])
    return {name: pd.concat(parts).sort_index() for name, parts in made.items()}


def false_alarms(monitors):
    """On a log without a fault: how many days with an alarm, of how many, and the promise's bounds."""
    table = {}
    for name, ratios in monitors.items():
        low, high = binom.ppf([0.025, 0.975], len(ratios), RATE)
        table[name] = {
            "alarms": int((ratios.max(axis=1) >= 1).sum()),
            "days": len(ratios),
            "low": int(low),
            "high": int(high),
        }
    return pd.DataFrame(table).T


def served():
    """The log of the year, and how to score it again after something was changed in it."""
    world = World("2013-12-31").hindsight()
    rows = history(world)
    month = local_day(rows.decided_at).dt.month
    models = {}
    for number in range(2, 13):
        known = rows[
            (rows.labelled_at <= rows.decided_at[month == number].min()) & rows.late.notna()
        ]
        models[number] = fit(boosted, known)

    def score(changed):
        month = local_day(changed.decided_at).dt.month
        parts = [
            part.assign(probability=models[number].predict(part))
            for number, part in changed.groupby(month)
        ]
        return pd.concat(parts).sort_values(["decided_at", "flight_id"], ignore_index=True)

    return score(rows[month > 1]), score


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    clean, score = served()
    calm = false_alarms(monitored(clean, clean[undisturbed(local_day(clean.decided_at))]))
    cards = []
    for seed in range(seeds):
        broken, truth = scenario(clean.drop(columns="probability"), seed=seed)
        broken = score(broken)
        sent = {name: alerts(table) for name, table in monitored(clean, broken).items()}
        cards.append(scorecard(sent, [*truth, *EVENTS], losses(clean, broken)))
        print(cards[-1].to_string(), flush=True)
    figures = pd.concat(cards).drop(columns="missed").astype(float)
    mean = figures.groupby(level=0, sort=False).mean()
    least, most = (getattr(figures.caught.groupby(level=0), f)() for f in ("min", "max"))
    injected = sum(fault.harm != "none" for fault in truth)
    table = pd.DataFrame(
        {
            f"injected faults caught, of {injected}": [
                f"{mean.caught[n]:.1f} ({least[n]:.0f} to {most[n]:.0f})" for n in mean.index
            ],
            "by chance": mean.by_chance.map("{:.1f}".format),
            f"real events caught, of {len(EVENTS)}": mean.caught_real.map("{:.1f}".format),
            "days to the alert, median": mean.delay.map("{:.1f}".format),
            "false alerts a month": mean.false_month.map("{:.1f}".format),
            "lost before detection, thousand dollars": (mean.lost / 1000).map("{:,.0f}".format),
            "alarms on undisturbed days": [f"{r.alarms} of {r.days}" for r in calm.itertuples()],
            "promised (95 %)": [f"{r.low} to {r.high}" for r in calm.itertuples()],
        },
        mean.index.rename("monitor"),
    )
    table.to_csv(TARGET, lineterminator="\n")
    print(table.to_string())


if __name__ == "__main__":
    main()
