"""Settings for all tests: no window, no reader's progress, no clock in Hypothesis; a log of decisions."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "agg"
os.environ.pop("MLSYS_PROGRESS", None)  # a test must not touch the reader's progress

# A loaded machine is no failure, and CI must find the same examples every time.
settings.register_profile("course", deadline=None, derandomize=bool(os.getenv("CI")))
settings.load_profile("course")


@pytest.fixture(scope="session")
def served():
    """What a desk decided from May to September, every fourth flight, by a model of spring."""
    from mlsys_lib import World
    from mlsys_lib.models import boosted, fit
    from mlsys_lib.store import history

    rows = history(World("2013-10-03"), since="2013-03-15 04:00")
    rows = rows[rows.decided_at < "2013-10-01 04:00"].iloc[::4]
    spring = rows.decided_at < "2013-05-01 04:00"
    model = fit(lambda s: boosted(s, max_iter=40), rows[spring & rows.late.notna()])
    decided = rows[~spring].reset_index(drop=True)
    return decided.assign(probability=model.predict(decided))


@pytest.fixture(scope="session")
def quiet(served):
    """The days without a recorded event, in two halves of alternating weeks."""
    from mlsys_lib.faults import REAL
    from mlsys_lib.world import local_day

    disturbed = pd.Series(False, served.index)
    for event in REAL:
        disturbed |= served.decided_at.between(event.start, event.end, "left")
    even = local_day(served.decided_at).dt.isocalendar().week % 2 == 0
    return served[even & ~disturbed], served[~even & ~disturbed]


@pytest.fixture(scope="session")
def graded():
    """Simulated: 200 days of 100 flights; a whole day is good or bad, and the score knows a little of both."""
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(200), 100)
    mood = rng.normal(size=200)[day]
    late = (rng.random(len(day)) < 1 / (1 + np.exp(1.2 - mood))).astype(float)
    score = 1 / (1 + np.exp(1.2 - 0.5 * mood - 0.5 * late + rng.normal(size=len(day)) * 0.5))
    return day, late, score


@pytest.fixture(scope="session")
def winter():
    """Every third flight of January and February 2013 that landed, with its features."""
    from mlsys_lib import World
    from mlsys_lib.features import batch

    world = World("2013-03-10")
    asked = world.decisions(since="2013-01-01 05:00")
    asked = asked[asked.decided_at < "2013-03-01 05:00"]
    rows = batch(world, asked.iloc[::3])
    return rows[rows.late.notna()].reset_index(drop=True)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The files of a model that sees everything and of one that needs no feed, small and quickly trained."""
    from mlsys_lib import World
    from mlsys_lib.features import FEATURES, SCHEDULE, batch
    from mlsys_lib.models import boosted, fit
    from mlsys_lib.package import save

    world = World("2013-02-01")
    rows = batch(world, world.decisions(since="2013-01-20"))
    rows = rows[rows.label_status == "matured"]
    folder = tmp_path_factory.mktemp("models")
    return tuple(
        save(fit(lambda s: boosted(s, max_iter=30), rows, columns=columns), folder, rows.tail(500))
        for columns in (FEATURES, SCHEDULE)
    )


@pytest.fixture(scope="session")
def models(packages):
    from mlsys_lib.desk import Models
    from mlsys_lib.package import load

    return Models(*(load(path) for path in packages), 0.2)
