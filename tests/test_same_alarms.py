"""Monitors on what the service wrote down give the alarms that they give on the batch's tables.

The days are those before and in the chaos at LaGuardia, 18 to 23 April 2013; the outages are simulated. The
service is a desk that is fed minute by minute and asked about each flight at the moment of its decision.
"""

from collections import deque

import pandas as pd
import pytest

from mlsys_lib import World
from mlsys_lib.alerts import alerts, performance
from mlsys_lib.desk import Desk, answered, keep_answers
from mlsys_lib.drift import Binned, Labels, Quality, Univariate
from mlsys_lib.events import CLOCK, Log, replay
from mlsys_lib.faults import feed_outage
from mlsys_lib.features import FEATURES, published
from mlsys_lib.store import history
from mlsys_lib.stream import Stream
from mlsys_lib.thresholds import calibrate, ratios

FIRST, CALM, LAST = "2013-04-18 04:00", "2013-04-21 04:00", "2013-04-24 04:00"
# It ends as an observation comes in: the stream has nothing new before one, the table's injector would.
OUTAGE = ("2013-04-18 16:00", "2013-04-20 10:01")


@pytest.fixture(scope="module")
def world():
    return World("2013-04-25")


@pytest.fixture(scope="module")
def events(world):
    return [
        *replay(World(FIRST), "2013-04-10", every="1h"),
        *replay(World(LAST), FIRST),
    ]


@pytest.fixture(scope="module")
def table(world):
    """Three weeks of decisions, as the batch makes them."""
    rows = history(world, since="2013-04-01 04:00").drop(columns="day")
    return rows[rows.decided_at < LAST].reset_index(drop=True)


@pytest.fixture(scope="module")
def detectors(world, table, models):
    """Each with its thresholds, calibrated on the two weeks before."""
    reference = labelled(world, table[table.decided_at < FIRST], models)
    made = {}
    for name, detector in (
        ("data checks", Quality()),
        ("KS and chi-squared", Univariate()),
        ("PSI", Binned()),
        ("KS of the scores", Univariate(columns=["probability"])),
        ("labels that lack", Labels()),
    ):
        made[name] = detector, calibrate(detector, reference, rate=0.1)
    return made


def labelled(world, rows, models):
    """What the monitors read: scores, and labels joined to them later."""
    if "probability" not in rows:
        rows = rows.assign(probability=models.full.predict(rows))
    moments = rows.decided_at.dt.as_unit("us")
    known = world.labels().set_index("flight_id")
    joined = rows.assign(
        late=rows.flight_id.map(known.late),
        labelled_at=rows.flight_id.map(known.available_at),
        decided_at=moments,
    )
    return joined.sort_values(["decided_at", "flight_id"], ignore_index=True)


def written(world, events, decisions, models, path):
    """What the desk answered, read back from the file in which it was kept."""
    due = decisions.groupby("decided_at").flight_id.agg(list).to_dict()
    record = deque()
    desk = Desk(published(world), models, record=record)
    with Log(path) as log:
        for event in events:
            desk.feed(event)
            if event.topic == CLOCK:
                for flight_id in due.pop(event.available_at, []):
                    desk.answer(flight_id)
                keep_answers(log, record)
        assert not due and not record
        return answered(log)


def without(topic, events):
    """The events until the chaos, less those of a feed that is silent during the outage."""
    start, end, last = (World(moment).now for moment in (*OUTAGE, CALM))
    silent = (e for e in events if e.topic != topic or not start <= e.available_at < end)
    return [e for e in silent if e.available_at <= last]


def watched(rows, until):
    decided = (rows.decided_at > FIRST) & (rows.decided_at < until)
    return rows[decided].reset_index(drop=True)


def asked_of(table, until):
    return watched(table, until)[["flight_id", "decided_at"]]


def same_alarms(detectors, of_service, of_batch):
    """The figures bit for bit, and so the alerts, of which there are some."""
    sent = {}
    for name, (detector, thresholds) in detectors.items():
        found, expected = (ratios(detector, thresholds, rows) for rows in (of_service, of_batch))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        sent[name] = alerts(found)
        pd.testing.assert_frame_equal(sent[name], alerts(expected), check_exact=True)
    now = "2013-04-24 12:00"
    pd.testing.assert_frame_equal(
        performance(of_service, now), performance(of_batch, now), check_exact=True
    )
    return sent


def same_rows(of_service, of_batch):
    columns = ["flight_id", "decided_at", *FEATURES, "probability", "late", "labelled_at"]
    pd.testing.assert_frame_equal(
        of_service[columns], of_batch[columns], check_exact=True, check_dtype=False
    )


@pytest.mark.slow
def test_in_the_chaos_of_april(world, events, table, detectors, models, tmp_path):
    asked = asked_of(table, LAST)
    log = written(world, events, asked, models, tmp_path / "answers.db")
    assert len(log) == len(asked) > 5000 and set(log.rung) == {"fresh"}
    of_service = labelled(world, log, models)
    of_batch = labelled(world, watched(table, LAST), models)
    same_rows(of_service, of_batch)
    sent = same_alarms(detectors, of_service, of_batch)
    assert len(sent["data checks"]) >= 1


@pytest.mark.slow
def test_when_the_weather_stops(world, events, table, detectors, models, tmp_path):
    left = without("weather", events)
    log = written(world, left, asked_of(table, CALM), models, tmp_path / "answers.db")
    of_service = labelled(world, log, models)
    broken, fault = feed_outage(table, *OUTAGE)
    of_batch = labelled(world, watched(broken, CALM), models)
    same_rows(of_service, of_batch)
    sent = same_alarms(detectors, of_service, of_batch)["data checks"]
    stuck = sent[["stuck" in " ".join(columns) for columns in sent["columns"]]]
    assert fault.start < stuck["start"].iloc[0] <= fault.end


@pytest.mark.slow
def test_when_arrivals_stop(world, events, table, detectors, models, tmp_path):
    """The injector on tables only approximates this one, so the batch replays the same stream."""
    left = without("arrivals", events)
    asked = asked_of(table, CALM)
    of_service = labelled(
        world, written(world, left, asked, models, tmp_path / "answers.db"), models
    )
    heard = (event for event in left if event.topic != CLOCK)
    of_batch = labelled(world, Stream(published(world)).play(heard, asked), models)
    same_rows(of_service, of_batch)
    sent = same_alarms(detectors, of_service, of_batch)
    # What the injector makes of it differs in the windows, and is found on the same day.
    broken, fault = feed_outage(table, *OUTAGE, topic="arrivals")
    close = labelled(world, watched(broken, CALM), models)
    assert not close[FEATURES].equals(of_batch[FEATURES])
    for name in ("data checks", "KS and chi-squared"):
        detector, thresholds = detectors[name]
        again = alerts(ratios(detector, thresholds, close))
        first = [s["start"][s["start"] > fault.start].min() for s in (sent[name], again)]
        assert first[0] == first[1] <= fault.end
