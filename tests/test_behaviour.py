"""Behavioural tests: what must hold is held against models that keep and that break it."""

import numpy as np
import pandas as pd
import pytest

from mlsys_lib.behaviour import directional, invariance, minimum, perturbation, suite
from mlsys_lib.models import Signature, boosted, fit
from mlsys_lib.package import load, save

COLUMNS = ["dep_minute", "visib", "wind_speed"]


@pytest.fixture(scope="module")
def rows():
    """Simulated: later in the day and in less sight, later flights."""
    rng = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "dep_minute": rng.integers(300, 1400, 6000).astype(float),
            "visib": rng.choice([0.5, 2.0, 10.0], 6000),
            "wind_speed": rng.gamma(4, 3, 6000),
            "flight": rng.integers(1, 3000, 6000),
        }
    )
    rate = 0.05 + 0.4 * (made.dep_minute > 900) + 0.2 * (made.visib < 3)
    return made.assign(late=(rng.random(6000) < rate).astype(int))


class Shown:
    """A model that says what a function says."""

    def __init__(self, rows, says, columns=COLUMNS):
        self.signature, self.predict = Signature.of(rows, columns=columns), says


NUMBER = invariance("flight number", lambda r: r.assign(flight=r.flight + 1))
SIGHT = directional("less sight", lambda r: r.assign(visib=r.visib.clip(upper=1.0)))
NOISE = perturbation("wind", lambda r: r.assign(wind_speed=r.wind_speed + 1), tolerance=0.05)
DAWN = minimum("dawn", lambda r: r[(r.dep_minute < 420) & (r.visib > 3)], high=0.3)


def test_a_package_is_tested_from_its_file_alone_and_does_as_the_model_did(rows, tmp_path):
    model = fit(boosted, rows, columns=COLUMNS)
    package = load(save(model, tmp_path, rows))
    found = suite(package, rows, [NUMBER, SIGHT, NOISE, DAWN])
    assert found.kind.tolist() == ["invariance", "direction", "perturbation", "minimum"]
    assert found.flights.tolist() == [6000, 6000, 6000, len(DAWN.change(rows))]
    again = suite(model, rows, [NUMBER, SIGHT, NOISE, DAWN])
    pd.testing.assert_frame_equal(found, again, check_exact=False, atol=1e-5)


def test_a_change_that_the_model_cannot_see_says_so(rows):
    blind = Shown(rows, lambda r: r.dep_minute.to_numpy() / 1440)
    assert suite(blind, rows, [NUMBER]).sees.item() == 0
    seeing = Shown(rows, lambda r: r.flight.to_numpy() / 3001, [*COLUMNS, "flight"])
    assert suite(seeing, rows, [NUMBER])[["sees", "violated", "holds"]].values.tolist() == [
        [1, 1.0, False]
    ]


@pytest.mark.parametrize(
    ("says", "test", "violated"),
    [
        (lambda r: (r.visib / 20).to_numpy(), SIGHT, "visib > 1"),  # the wrong way round
        (lambda r: (1 - r.visib / 20).to_numpy(), SIGHT, "visib < 0"),
        (lambda r: (r.wind_speed % 2 / 2).to_numpy(), NOISE, "wind_speed > 0"),
        (lambda r: (r.visib < 3).to_numpy(float), DAWN, "visib < 0"),
    ],
)
def test_violations_are_counted_by_flight(rows, says, test, violated):
    found = suite(Shown(rows, says), rows, [test])
    assert found.violated.item() == pytest.approx(rows.eval(violated).mean())
    assert found.holds.item() == (found.violated.item() <= test.allowed)


def test_a_minimum_looks_only_at_the_flights_it_chooses(rows):
    found = suite(Shown(rows, lambda r: (r.dep_minute / 1440).to_numpy()), rows, [DAWN])
    assert found.flights.item() == ((rows.dep_minute < 420) & (rows.visib > 3)).sum()
    assert found.violated.item() == 0 and np.isnan(found.largest.item())


def test_a_behaviour_about_no_flight_is_an_error_not_a_pass(rows):
    none = minimum("never", lambda r: r[r.dep_minute < 0])
    fewer = directional("loses rows", lambda r: r[1:])
    for test in (none, fewer):
        with pytest.raises(ValueError, match=test.name):
            suite(Shown(rows, lambda r: r.visib.to_numpy()), rows, [test])
