"""The scorecard in the book: its cheap part is computed again, and the rest adds up."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

from mlsys_lib import World
from mlsys_lib.drift import Labels, Univariate
from mlsys_lib.faults import REAL
from mlsys_lib.store import history
from mlsys_lib.world import local_day

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(ROOT / "tools" / "scorecard.py"))


@pytest.fixture(scope="module")
def card(tool):
    return pd.read_csv(tool["TARGET"], index_col="monitor")


def test_the_card_holds_ten_monitors_and_real_numbers(card):
    assert len(card) == 10 and card.index.is_unique and card.notna().all(axis=None)
    caught, real = (card.filter(like=name).iloc[:, 0] for name in ("injected", "real events"))
    among = [int(c.name.split()[-1]) for c in (caught, real)]
    assert among == [13, sum(event.start.year == 2013 for event in REAL)]
    bounds = caught.str.extract(r"(?P<mean>[\d.]+) \((?P<low>\d+) to (?P<high>\d+)\)").astype(float)
    assert ((bounds.low <= bounds["mean"]) & (bounds["mean"] <= bounds.high)).all()
    assert (bounds.high <= 13).all() and (real.astype(float) <= 12).all()


def test_each_monitor_keeps_its_promise_or_stays_below(card):
    alarms = card["alarms on undisturbed days"].str.split(" of ", expand=True)[0].astype(int)
    most = card["promised (95 %)"].str.split(" to ", expand=True)[1].astype(int)
    assert (alarms <= most).all()


def test_labels_that_lack_are_counted_again(card, tool):
    """The one monitor that needs no feature and no model."""
    world = World("2013-12-31").hindsight()
    rows = history(world, since="2013-02-01 05:00")
    rows = rows.assign(probability=0.2)  # which the table of days wants, whatever it is
    days = local_day(rows.decided_at)
    rows = rows[tool["undisturbed"](days) & (days >= "2013-02-01")]

    detectors = {"labels that lack": Labels()}
    found = tool["false_alarms"](tool["monitored"](rows, rows, detectors)).loc["labels that lack"]
    written = card.loc["labels that lack"]
    assert written["alarms on undisturbed days"] == f"{found.alarms} of {found.days}"
    assert written["promised (95 %)"] == f"{found.low} to {found.high}"


def test_no_week_is_judged_by_itself(tool, monkeypatch):
    """Whatever calibration gets, the days that it then judges are not among them."""
    at = pd.date_range("2013-05-06 16:00", "2013-06-30 16:00", freq="D", tz="UTC")
    rows = pd.DataFrame({"decided_at": at})
    seen = []

    def made(reference, watched, *, rate, days, detectors):
        table = pd.DataFrame({"n": float(len(seen))}, watched.decided_at + pd.Timedelta("12h"))
        seen.append(set(local_day(reference.decided_at)))
        return {"one": table}

    monkeypatch.setitem(tool["monitored"].__globals__, "standard_monitors", made)
    table = tool["monitored"](rows, rows, {"one": Univariate(columns=["visib"])})["one"]
    assert len(table) == len(rows)
    for day, half in zip(
        tool["judged"](table, Univariate(columns=["visib"])), table.n, strict=True
    ):
        assert pd.Timestamp(day) not in seen[int(half)]
