"""Files are whole or not there, and a folder has one owner, whatever ends the process."""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlsys_lib import files

ODD = ["year=2024", "o'brien", 'in "quotes"', "two words", "größe-данные-東京", "100%;#"]
if sys.platform == "win32":
    ODD.remove('in "quotes"')

processes = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")


@pytest.mark.parametrize("name", ODD)
def test_a_file_is_written_into_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    with files.alone(folder):
        files.write(folder / f"{name}.txt", b"first")
        files.write(str(folder / f"{name}.txt"), b"second")
    assert (folder / f"{name}.txt").read_bytes() == b"second"
    assert {file.name for file in folder.iterdir()} <= {f"{name}.txt", "lock.db"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_half_way_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, step):
    place = tmp_path / "live.json"
    files.write(place, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        files.write(place, b"new")
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "other.json", b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"live.json": b"old"}


def test_nobody_sees_half_a_file_while_several_write_it(tmp_path):
    place = tmp_path / "cache.bin"
    contents = [bytes([n]) * 200_000 for n in range(4)]
    files.write(place, contents[0])
    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(files.write, place, contents[n % 4]) for n in range(40)]
        seen = {place.read_bytes() for _ in range(200)}
        for writer in writers:
            writer.result()
    assert seen <= set(contents)
    assert [file.name for file in tmp_path.iterdir()] == ["cache.bin"]


def test_a_place_that_cannot_be_a_file_is_refused_by_name(tmp_path):
    for place, says in [
        (tmp_path / "nowhere" / "note.txt", "nowhere is no folder; make it first"),
        (tmp_path, "is a folder; name a file in it"),
    ]:
        for refuses in (files.target, lambda path: files.write(path, b"x")):
            with pytest.raises(ValueError, match=says):
                refuses(place)
    assert files.target(str(tmp_path / "note.txt")) == tmp_path / "note.txt"


def hold(folder, pipe):
    with files.alone(folder):
        pipe.send("mine")
        pipe.recv()


def test_a_folder_has_one_owner_until_that_ends_however_it_ends(tmp_path):
    here, there = processes.Pipe()
    other = processes.Process(target=hold, args=(tmp_path, there))
    other.start()
    assert here.recv() == "mine"
    says = r"cannot be owned \(database is locked\); end the process"
    with pytest.raises(BlockingIOError, match=says), files.alone(tmp_path):
        raise AssertionError("two owners")
    other.kill()
    other.join()
    with files.alone(tmp_path):
        pass


def test_an_owner_that_fails_lets_go_and_its_own_error_is_what_comes_out(tmp_path):
    with pytest.raises(ZeroDivisionError), files.alone(tmp_path):
        raise ZeroDivisionError
    with files.alone(tmp_path):
        pass


def test_a_lock_that_is_no_lock_is_named(tmp_path):
    (tmp_path / "lock.db").write_text("These are my notes, and they are not a database. " * 100)
    says = r"cannot be owned \(file is not a database\)"
    with pytest.raises(BlockingIOError, match=says), files.alone(tmp_path):
        raise AssertionError("owned")
