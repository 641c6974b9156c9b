"""Behavioural tests: what must hold is held against models that keep and that break it."""

from dataclasses import replace

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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[1:], "turns 6000 rows into 5999"),
        (lambda r: pd.concat([r, r]), "turns 6000 rows into 12000"),
        (lambda r: r[::-1], "'odd' turns 6000 rows into 6000, or changes their index"),
        (lambda r: r.sort_values("visib"), "or changes their index"),
        (lambda r: r.set_axis(r.index + 1, axis=0), "or changes their index"),
        (lambda r: r.drop(columns="visib"), r"lacks \['visib'\]; 'odd' must keep every column"),
        (lambda r: r.rename(columns=str.upper), "'odd' must keep every column"),
        (lambda r: pd.concat([r, r[["visib"]]], axis=1), r"\['visib'\] more than once"),
        (lambda r: None, "a table is wanted, not NoneType; 'odd' must keep every column"),
        (lambda r: r.visib, "a table is wanted, not Series"),
    ],
)
@pytest.mark.parametrize("kind", [invariance, perturbation, directional])
def test_a_change_that_is_no_change_of_values_is_an_error_not_a_pass(rows, kind, change, message):
    with pytest.raises(ValueError, match=message):
        suite(Shown(rows, lambda r: np.zeros(len(r))), rows, [kind("odd", change)])


def test_a_minimum_about_no_flight_is_an_error_not_a_pass(rows):
    never = minimum("never", lambda r: r[r.dep_minute < 0])
    with pytest.raises(ValueError, match="'never' turns 6000 rows into 0"):
        suite(Shown(rows, lambda r: np.zeros(len(r))), rows, [never])


def test_a_change_in_place_is_seen_and_spoils_nothing(rows):
    def blind(table):
        table["visib"] = 0.5
        return table

    before = rows.copy()
    found = suite(
        Shown(rows, lambda r: (r.visib / 20).to_numpy()), rows, [directional("fog", blind)]
    )
    assert found.sees.item() == 1 and found.violated.item() == (rows.visib > 0.75).mean()
    pd.testing.assert_frame_equal(rows, before)


@pytest.mark.parametrize("test", [NUMBER, SIGHT, NOISE, DAWN])
def test_a_prediction_that_is_missing_is_an_error_not_a_pass(rows, test):
    def silent(table):
        return np.where(table.visib.to_numpy() == gone, np.nan, 0.1)

    gone = 10.0  # before and after
    with pytest.raises(ValueError, match=r"prediction.* missing or infinite"):
        suite(Shown(rows, silent), rows, [test])


def test_a_prediction_that_is_missing_after_the_change_is_named(rows):
    shown = Shown(rows, lambda r: np.where(r.visib.to_numpy() == 1.0, np.nan, 0.1))
    with pytest.raises(ValueError, match="the prediction of 'less sight' holds"):
        suite(shown, rows, [SIGHT])


def test_behaviours_bear_names_of_their_own(rows):
    shown = Shown(rows, lambda r: np.zeros(len(r)))
    for tests in ([NUMBER, SIGHT, NUMBER], []):
        with pytest.raises(ValueError, match="behaviours must have names of their own"):
            suite(shown, rows, tests)
    assert list(suite(shown, rows, iter([SIGHT, NUMBER])).index) == ["less sight", "flight number"]


def test_rows_with_an_index_that_repeats_itself_go_by_position(rows):
    odd = rows.set_axis([0] * len(rows), axis=0)
    shown = Shown(rows, lambda r: (1 - r.visib / 20).to_numpy())
    plain, again = (suite(shown, table, [NUMBER, SIGHT, DAWN]) for table in (rows, odd))
    pd.testing.assert_frame_equal(plain, again)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (invariance, {"tolerance": -1e-6}),
        (invariance, {"tolerance": np.nan}),
        (perturbation, {"tolerance": 10}),
        (directional, {"tolerance": -0.01}),
        (directional, {"sign": 0}),
        (directional, {"sign": "up"}),
        (minimum, {"low": -0.1}),
        (minimum, {"high": 30}),
        (minimum, {"low": 0.6, "high": 0.4}),
    ],
)
def test_a_limit_that_cannot_be_is_refused(kind, options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name}=.* must"):
        kind("odd", lambda r: r, **options)


@pytest.mark.parametrize("allowed", [5, -0.05, np.nan, 2])
@pytest.mark.parametrize("test", [NUMBER, SIGHT, NOISE, DAWN])
def test_a_share_that_cannot_be_allowed_is_refused(test, allowed):
    with pytest.raises(ValueError, match=r"allowed=.* must"):
        replace(test, allowed=allowed)


@pytest.mark.parametrize(("sign", "violated"), [(1, 1.0), (-1, 0.0)])
def test_the_sign_says_which_way_counts(rows, sign, violated):
    less = directional("nearer", lambda r: r.assign(visib=r.visib - 0.5), sign=sign)
    found = suite(Shown(rows, lambda r: (r.visib / 20).to_numpy()), rows, [less])
    assert found.violated.item() == violated


def test_a_move_of_the_tolerance_is_none_and_a_share_of_the_allowed_holds(rows):
    far = rows.assign(flight=np.arange(6000) % 20)
    shown = Shown(far, lambda r: (r.visib / 16).to_numpy())
    moved = lambda r: r.assign(visib=r.visib + (r.flight == 0))  # noqa: E731
    for tolerance, violated in ((1 / 16, 0.0), (0.06, 0.05)):
        tests = [
            replace(invariance("still", moved, tolerance=tolerance), allowed=0.05),
            perturbation("noise", moved, tolerance=tolerance),
            directional("down", moved, sign=-1, tolerance=tolerance),
        ]
        found = suite(shown, far, tests)
        assert found.violated.tolist() == [violated] * 3 and found.holds.all()
        assert found.largest.tolist() == [1 / 16] * 3
    assert not suite(shown, far, [invariance("still", moved, tolerance=0.06)]).holds.item()
