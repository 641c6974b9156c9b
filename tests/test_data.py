"""The raw tables are the published ones, and a damaged file is noticed."""

import shutil

import pytest

from mlsys_lib import data


@pytest.fixture
def shipped_copy(tmp_path, monkeypatch):
    """The tables in a folder that a test may damage."""
    for file in data.path("airlines", 2013).parent.glob("air*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    return tmp_path


def test_every_table_is_the_one_in_the_manifest(capsys):
    data._main()
    assert capsys.readouterr().out.count("ok") == len(data.TABLES) * len(data.YEARS) == 10


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


def test_a_truncated_file_is_named_with_the_remedy(shipped_copy):
    file = shipped_copy / "airlines_2013.parquet"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(data.DataError, match=r"airlines_2013.parquet is truncated.*git checkout"):
        data.load("airlines", 2013)


def test_an_altered_byte_is_noticed(shipped_copy):
    file = shipped_copy / "airports_2023.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(data.DataError, match="altered"):
        data.load("airports", 2023)


def test_a_missing_file_is_named_with_the_remedy(shipped_copy):
    (shipped_copy / "airlines_2023.parquet").unlink()
    with pytest.raises(data.DataError, match=r"airlines_2023.parquet is missing.*git checkout"):
        data.load("airlines", 2023)


@pytest.mark.parametrize(
    ("name", "year", "message"),
    [
        ("flight", 2013, "no table 'flight'; choose one of flights"),
        ("flights", 2014, "no year 2014"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(name, year, message):
    with pytest.raises(data.DataError, match=message):
        data.load(name, year)


def test_the_fingerprint_changes_with_any_table(monkeypatch):
    before, entries = data.fingerprint(), data._manifest()
    altered = {**entries, "weather_2023.parquet": {"sha256": "0" * 64}}
    monkeypatch.setattr(data, "_manifest", lambda: altered)
    assert data.fingerprint() != before
