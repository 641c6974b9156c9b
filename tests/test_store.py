"""The offline store: what is kept is what the batch gives, at every moment, and nothing else is served."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlsys_lib import AvailabilityError, World, data, store
from mlsys_lib.features import batch
from mlsys_lib.store import history
from mlsys_lib.world import HOME


def fresh(world, since):
    return batch(world, world.decisions(since=since))


def same(kept, made):
    pd.testing.assert_frame_equal(kept.drop(columns="day"), made, check_exact=True)
    local = kept.sched_dep.dt.tz_convert(HOME).dt
    assert (kept.day.dt.strftime("%Y-%m-%d") == local.strftime("%Y-%m-%d")).all()


@pytest.mark.parametrize(
    ("now", "since"),
    [
        ("2013-01-01 07:00", None),  # before the first decision
        ("2013-01-01 15:00", None),
        ("2013-02-09 12:00", "2013-02-08 05:00"),  # a blizzard: cancelled by the hundred
        ("2013-04-22 16:00", "2013-04-21 04:00"),
        ("2013-04-22 16:00", "2013-04-23 04:00"),  # nothing decided yet
        ("2014-01-31", "2013-12-30"),
        ("2023-01-01 06:00", "2013-12-31"),  # two years, the night between them
        ("2023-03-12 16:00", "2023-03-11 05:00"),  # clocks go forward
    ],
)
def test_what_is_kept_is_what_the_batch_gives(now, since):
    world = World(now)
    kept = history(world, since=since)
    same(kept, fresh(world, since))


@pytest.mark.slow
def test_a_year_that_is_kept_is_what_the_batch_gives():
    world = World("2013-11-28 12:00")
    kept = history(world)
    assert set(kept.label_status) == {"matured", "pending", "censored"}
    same(kept, fresh(world, None))


@pytest.mark.slow
def test_so_it_is_with_another_lag(tmp_path, monkeypatch):
    monkeypatch.setenv("MLSYS_CACHE", str(tmp_path))
    for now, since in (("2013-07-09 03:00", "2013-07-08 04:00"), ("2014-02-15", "2013-12-30")):
        world = World(now, lag="36h")
        same(history(world, since=since), fresh(world, since))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.weekly
@pytest.mark.parametrize("year", data.YEARS)
@pytest.mark.parametrize("lag", ["0min", "50D", "90s"])
def test_so_it_is_at_other_moments(year, lag, tmp_path, monkeypatch):
    monkeypatch.setenv("MLSYS_CACHE", str(tmp_path))
    for day in ("01-02", "03-10", "06-30", "11-03", "12-31"):
        world = World(f"{year}-{day} 17:31", lag=lag)
        since = world.now - pd.Timedelta("3D")
        same(history(world, since=since), fresh(world, since))


@pytest.mark.weekly
def test_what_was_reported_years_later_is_known_then(tmp_path, monkeypatch):
    """Two months after a year no world can stand; the next one remembers what came in meanwhile."""
    monkeypatch.setenv("MLSYS_CACHE", str(tmp_path))
    world = World("2023-01-02 17:31", lag="100D")
    kept = history(world, since="2013-12-30")
    same(kept, fresh(world, "2013-12-30"))
    old = kept[kept.sched_dep < "2014-02-01"]
    assert len(old) > 900 and set(old.label_status) == {"matured", "censored"}
    assert (
        history(World("2014-02-15", lag="100D"), since="2013-12-30").label_status == "pending"
    ).all()


def test_a_split_says_of_which_decisions_a_model_could_have_learned():
    world, split = World("2013-04-25"), pd.Timestamp("2013-04-22 16:00", tz="UTC")
    rows = history(world, since="2013-04-21 04:00", split="2013-04-22 16:00")
    then = history(World(split), since="2013-04-21 04:00")
    assert (rows.split == "test").equals(rows.decided_at >= split)
    learned = rows[rows.split == "train"].flight_id
    assert (
        learned.tolist() == then[then.late.notna() & (then.decided_at < split)].flight_id.tolist()
    )
    gap = rows[rows.split == "gap"]
    assert {"matured", "censored"} <= set(gap.label_status)
    assert (gap.decided_at < split).all()
    assert history(World(split), split=split).split.isin(["train", "gap", "test"]).all()


def test_what_cannot_be_answered_is_refused():
    world = World("2013-04-22 16:00")
    with pytest.raises(AvailabilityError, match="is after the clock, 2013-04-22 16:00Z"):
        history(world, split="2013-04-22 16:01")
    for wrong in ({"since": "soon"}, {"split": "EST"}):
        with pytest.raises(ValueError, match="is no"):
            history(world, **wrong)
    with pytest.raises(ValueError, match="must be a whole number of microseconds"):
        history(World("2013-04-22", lag="1500ns"))


NOW = World("2013-04-22 16:00")


@pytest.fixture(scope="module")
def table():
    return history(NOW.hindsight()).drop(columns="day")


@pytest.fixture
def cache(table, tmp_path, monkeypatch):
    """An empty cache; some rows of the real one are what is made, and what is asked for is counted."""
    parts = []

    def quick(world, asked):
        parts.append(len(asked))
        return table.iloc[asked.index[:500]]

    place = tmp_path / "o'brien =ü x"
    monkeypatch.setenv("MLSYS_CACHE", str(place))
    monkeypatch.setattr(store, "batch", quick)
    return place, parts


def test_the_first_call_says_what_it_makes_and_the_second_says_nothing(cache, capfd):
    place, parts = cache
    first = history(NOW)
    said = capfd.readouterr()
    assert "Making the table of 2013's decisions, once" in said.err
    assert (said.out, sum(parts)) == ("", 336_776)
    again = history(NOW)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert capfd.readouterr() == ("", "")
    assert sum(parts) == 336_776
    assert [file.suffix for file in place.iterdir()] == [".parquet"]


def flipped(whole):
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def another_table(_):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"PAR1",
        lambda whole: np.random.default_rng(0).bytes(5_000),
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        flipped,
        another_table,
    ],
)
def test_a_damaged_file_is_made_again(cache, damage):
    place, parts = cache
    good = history(NOW)
    [file] = place.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    pd.testing.assert_frame_equal(history(NOW), good)
    assert sum(parts) == 2 * 336_776
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(store, "CODE", "other code"),
        lambda patch: patch.setattr(data, "fingerprint", lambda: "other data"),
        lambda patch: patch.setattr(store, "version", lambda package: "other versions"),
    ],
)
def test_nothing_made_of_something_else_is_served(cache, change, monkeypatch):
    place, parts = cache
    history(NOW)
    change(monkeypatch)
    history(NOW)
    assert sum(parts) == 2 * 336_776
    assert len(list(place.iterdir())) == 2


def imported(module, seen):
    tree = ast.parse((Path(store.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    seen.add(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlsys_lib"):
            names = (
                [node.module.partition(".")[2]]
                if "." in node.module
                else [a.name for a in node.names]
            )
            for name in set(names) - seen:
                imported(name, seen)
    return seen


def test_the_code_that_counts_is_all_that_the_store_imports():
    assert set(store.MADE_BY) == imported("store", set())
    assert data.code_fingerprint(modules=store.MADE_BY) == store.CODE


def test_the_oldest_go_where_it_grows_too_large_and_never_the_one_just_made(cache, monkeypatch):
    place, _ = cache
    place.mkdir()
    strange = place / "letters.parquet"
    strange.write_bytes(b"not ours")
    names = []
    for lag in ("1h", "2h", "3h"):
        history(World(NOW.now, lag=lag))
        names.append(next(f.name for f in place.iterdir() if f.name not in {*names, strange.name}))
    monkeypatch.setattr(store, "LIMIT", sum((place / name).stat().st_size for name in names))
    (place / names[1]).touch()  # so the oldest are the first and the third
    history(World(NOW.now, lag="4h"))
    left = {file.name for file in place.iterdir()}
    assert names[0] not in left
    assert {names[1], names[2], strange.name} < left
    monkeypatch.setattr(store, "LIMIT", 1)
    history(World(NOW.now, lag="5h"))
    assert len(list(place.glob("decisions_*"))) == 1
    assert len(history(World(NOW.now, lag="5h"))) and strange.exists()


def test_where_nothing_can_be_kept_the_table_is_made_and_a_warning_says_so(cache, monkeypatch):
    place, parts = cache
    place.write_text("a file where the folder should be")
    with pytest.warns(
        UserWarning, match="the table of 2013 was made, but nothing was kept: .*o'brien"
    ):
        rows = history(NOW)
    assert len(rows) and sum(parts) == 336_776


TWO = """
import sys
import pandas as pd
from mlsys_lib import World, store
table = pd.read_pickle(sys.argv[1])
store.batch = lambda world, asked: table.iloc[asked.index[:20_000]]
print(len(store.history(World("2013-02-01"))))
"""


def test_two_processes_at_once_give_the_same(table, tmp_path, monkeypatch):
    table.to_pickle(tmp_path / "table.pickle")
    expected = int((table.decided_at[:20_000] <= "2013-02-01").sum())
    monkeypatch.setenv("MLSYS_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-c", TWO, str(tmp_path / "table.pickle")]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [int(process.communicate()[0]) for process in both] == [expected, expected]
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".parquet"]


def test_clear_removes_what_is_kept_and_says_what(tmp_path):
    (tmp_path / "decisions_2013_0.parquet").write_bytes(b"old")
    (tmp_path / "decisions_2013_0.parquet.77.tmp").write_bytes(b"left by a kill")
    (tmp_path / "letters.txt").write_text("mine")
    command = [sys.executable, "-m", "mlsys_lib.store", "--clear"]
    run = {
        "env": {"MLSYS_CACHE": str(tmp_path), "PYTHONPATH": str(Path(store.__file__).parent.parent)}
    }
    said = subprocess.run(command, capture_output=True, text=True, check=True, **run).stdout
    assert said.count("removed ") == 2 and "decisions_2013_0.parquet" in said
    assert [file.name for file in tmp_path.iterdir()] == ["letters.txt"]
