"""Settings for all tests: no window, no reader's progress, no clock in Hypothesis; a log of decisions."""

import os

import pandas as pd
import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "agg"
os.environ.pop("MLSYS_PROGRESS", None)  # a test must not touch the reader's progress

# A loaded machine is no failure, and CI must find the same examples every time.
settings.register_profile("course", deadline=None, derandomize=bool(os.getenv("CI")))
settings.load_profile("course")


@pytest.fixture(scope="session")
def log():
    """May to September, every fourth flight, with the probabilities of a model of spring."""
    from mlsys_lib import World
    from mlsys_lib.features import batch
    from mlsys_lib.models import boosted, fit

    world = World("2013-10-03")
    asked = world.decisions(since="2013-03-15 04:00")
    asked = asked[asked.decided_at < "2013-10-01 04:00"]
    rows = batch(world, asked.iloc[::4])
    spring = rows.decided_at < "2013-05-01 04:00"
    model = fit(lambda s: boosted(s, max_iter=40), rows[spring & rows.late.notna()])
    served = rows[~spring].reset_index(drop=True)
    return served.assign(probability=model.predict(served))


@pytest.fixture(scope="session")
def quiet(log):
    """The days without a recorded event, in two halves of alternating weeks."""
    from mlsys_lib.faults import REAL

    disturbed = pd.Series(False, log.index)
    for event in REAL:
        disturbed |= log.decided_at.between(event.start, event.end, "left")
    even = log.decided_at.dt.isocalendar().week % 2 == 0
    return log[even & ~disturbed], log[~even & ~disturbed]


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
