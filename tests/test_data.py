"""The raw tables are the published ones, and a damaged file is noticed."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlsys_lib import data

LIBRARY = Path(data.__file__).parent


def library_in(folder):
    """The module `data` of a copy of the library, with the small tables, that a test may damage."""
    (folder / "tables").mkdir(parents=True)
    for file in [
        *LIBRARY.glob("*.py"),
        *LIBRARY.glob("tables/air*"),
        LIBRARY / "tables/manifest.json",
    ]:
        shutil.copy(file, folder / file.relative_to(LIBRARY))
    spec = importlib.util.spec_from_file_location("copied_data", folder / "data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(tmp_path):
    return library_in(tmp_path / "mlsys_lib")


def test_every_table_is_the_one_in_the_manifest():
    manifest = json.loads(data.path("flights", 2013).with_name("manifest.json").read_bytes())
    files = [data.path(name, year).name for year in data.YEARS for name in data.TABLES]
    assert set(files) == set(manifest) and len(files) == 10
    for year in data.YEARS:
        for name in data.TABLES:
            entry = manifest[data.path(name, year).name]
            assert len(data.load(name, year)) == entry["rows"] > 0


def test_both_years_have_the_same_columns_and_types():
    for name in data.TABLES:
        old, new = data.load(name, 2013), data.load(name, 2023)
        assert old.dtypes.to_dict() == new.dtypes.to_dict(), name


def test_the_defects_of_2013_came_along():
    flights, weather = data.load("flights", 2013), data.load("weather", 2013)
    planes = data.load("planes", 2013)
    robinson = planes.tailnum[planes.manufacturer == "ROBINSON HELICOPTER CO"]
    assert flights.tailnum.isin(robinson).sum() == 286
    assert (weather.wind_speed > 1000).sum() == 1
    assert flights.tailnum.isna().sum() == 2512


def test_all_tables_together_are_small_enough_to_ship():
    assert sum(data.path(n, y).stat().st_size for n in data.TABLES for y in data.YEARS) < 20e6


@pytest.mark.parametrize(
    "folder",
    [
        *("year=2024", "carrier=UA", "name=x/year=1", "o'brien", "two words", "größe-данные-東京"),
        *("100% {x} #1", "a;b"),
    ],
)
def test_tables_are_read_as_published_in_a_folder_of_any_name(tmp_path, folder):
    for year in data.YEARS:
        found = library_in(tmp_path / f"{year}" / folder / "mlsys_lib").load("airlines", year)
        assert found.equals(data.load("airlines", year))


def test_a_truncated_file_is_named_with_the_remedy(copied):
    file = copied.path("airlines", 2013)
    whole = file.read_bytes()
    for size in (0, 10, len(whole) - 10):
        file.write_bytes(whole[:size])
        with pytest.raises(
            copied.DataError, match=r"airlines_2013.parquet is truncated.*git check"
        ):
            copied.load("airlines", 2013)


def test_an_altered_byte_is_noticed(copied):
    file = copied.path("airports", 2023)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(copied.DataError, match="altered"):
        copied.load("airports", 2023)


def test_a_missing_file_is_named_with_the_remedy(copied):
    copied.path("airlines", 2023).unlink()
    with pytest.raises(copied.DataError, match=r"airlines_2023.parquet is missing.*git checkout"):
        copied.load("airlines", 2023)


@pytest.mark.parametrize(
    "content", [None, b"", b'{"airlines_2013.parquet": {"sha', b"\xff\xfe\x00"]
)
def test_a_manifest_that_is_missing_or_half_written_is_named_with_the_remedy(copied, content):
    manifest = copied.path("airlines", 2013).with_name("manifest.json")
    manifest.unlink() if content is None else manifest.write_bytes(content)
    for call in (lambda: copied.load("airlines", 2013), copied.fingerprint):
        with pytest.raises(
            copied.DataError, match=r"manifest.json is missing or damaged.*git check"
        ):
            call()


def test_the_command_checks_all_and_names_a_damaged_file_without_a_traceback(copied):
    folder = copied.path("airlines", 2013).parents[2]
    command = [sys.executable, "-m", "mlsys_lib.data"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 1
    assert "flights_2013.parquet is missing; bring it back with" in run.stderr
    assert "Traceback" not in run.stderr
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.count("ok") == len(data.TABLES) * len(data.YEARS)


@pytest.mark.parametrize("year", [2014, 1913, "2013", "2013.0", 2013.0, True, None, [2013]])
def test_a_year_that_is_not_in_the_data_is_refused_with_those_that_are(year):
    for door in (data.path, data.load):
        with pytest.raises(
            data.DataError, match=r"no year .*; the data holds 2013 and 2023, as whole"
        ):
            door("flights", year)


def test_a_year_of_any_whole_kind_will_do():
    assert data.path("flights", np.int32(2013)) == data.path("flights", 2013)


@pytest.mark.parametrize("name", ["flight", "Flights", "", None, 5, ["flights"]])
def test_a_table_that_does_not_exist_is_refused_with_those_that_do(name):
    with pytest.raises(data.DataError, match=r"no table .*; choose one of flights, weather"):
        data.path(name, 2013)


def test_the_fingerprint_changes_with_any_table(copied):
    manifest = copied.path("airlines", 2013).with_name("manifest.json")
    entries = json.loads(manifest.read_bytes())
    seen = {data.fingerprint()}
    assert copied.fingerprint() in seen
    for number, name in enumerate(entries):
        folder = manifest.parents[2] / str(number) / "mlsys_lib"
        other = library_in(folder)
        altered = entries | {name: entries[name] | {"sha256": "0" * 64}}
        (folder / "tables" / "manifest.json").write_text(json.dumps(altered))
        seen.add(other.fingerprint())
    assert len(seen) == len(entries) + 1 == 11


def test_the_fingerprint_of_code_changes_with_the_modules_that_are_asked_for_and_no_other(copied):
    both = {"modules": ["world", "features"]}
    assert copied.code_fingerprint() == data.code_fingerprint()
    assert data.code_fingerprint(**both) == data.code_fingerprint(modules=("features", "world"))
    assert len({data.code_fingerprint(modules=m) for m in (["world"], ["features"], None)}) == 3
    world = copied.path("airlines", 2013).parents[1] / "world.py"
    world.write_text(world.read_text(encoding="utf-8") + "\n# changed", encoding="utf-8")
    assert copied.code_fingerprint() != data.code_fingerprint()
    assert copied.code_fingerprint(**both) != data.code_fingerprint(**both)
    assert copied.code_fingerprint(modules=["data"]) == data.code_fingerprint(modules=["data"])


@pytest.mark.parametrize("modules", [["wrold"], ["world", "world.py"], [None], "world"])
def test_a_module_that_does_not_exist_is_named(modules):
    with pytest.raises(ValueError, match=r"module=.* must be one of .*'world'"):
        data.code_fingerprint(modules=modules)
