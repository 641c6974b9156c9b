"""The command that starts the service: what it refuses it refuses at once, in one line; what it starts, stops."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta

import pytest

from mlsys_lib.events import Log, replay
from mlsys_lib.features import published, schedule
from mlsys_lib.files import alone
from mlsys_lib.launch import main, timetable
from mlsys_lib.package import load
from mlsys_lib.serving import release
from mlsys_lib.world import World

DAY = ["--start", "2013-01-02 10:00", "--end", "2013-01-03 10:00"]


def refused(folder, capsys, *arguments):
    """The one line that is said."""
    with pytest.raises(SystemExit) as stop:
        main(arguments=["--folder", str(folder), "--port", "0", *DAY, *map(str, arguments)])
    said = capsys.readouterr()
    assert (stop.value.code, said.out) == (2, "")
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--start", "yesterday", "write it as '2013-04-22 10:00'"),
        ("--start", "2013-02-30", "write it as"),
        ("--start", "2013-01-02 10:00 EST", "offset"),
        ("--end", "soon", "write it as"),
        ("--end", "2013-01-01 10:00", "give a later one"),
        ("--speed", "-1", "at 0 or above"),
        ("--speed", "nan", "at 0 or above"),
        ("--speed", "fast", "invalid float"),
        ("--port", "99999", "from 0 to 65535"),
        ("--port", "-1", "from 0 to 65535"),
        ("--port", "http", "invalid int"),
        ("--fresh-for", "3", "with its unit"),
        ("--fresh-for", "-1h", "with its unit"),
        ("--useful-for", "always", "with its unit"),
        ("--max-concurrent", "0", "at 1 or above"),
        ("--host", "nowhere.invalid", "give another"),
        ("--sped", "60", "unrecognized"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_value_and_the_remedy(
    tmp_path, capsys, option, value, remedy
):
    said = refused(tmp_path / "desk", capsys, f"{option}={value}")
    shown = value.removesuffix(":00").replace("-1", "-1") if option == "--end" else value
    assert option in said and shown in said and remedy in said
    assert not (tmp_path / "desk").exists()


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path / "desk", capsys, "--port", port)
    assert f"--port={port}" in said and "give another" in said
    assert not (tmp_path / "desk").exists()


def test_a_folder_that_another_service_owns_is_refused_and_nothing_trained(tmp_path, capsys):
    with alone(tmp_path):
        said = refused(tmp_path, capsys)
    assert str(tmp_path) in said and "or take another" in said
    assert not (tmp_path / "models").exists()


def test_a_folder_that_is_none_and_a_model_that_is_none_are_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert str(tmp_path / "file") in refused(tmp_path / "file", capsys)
    for model in (tmp_path / "nothing.zip", tmp_path / "file"):
        assert f"--model={model}" in refused(tmp_path / "desk", capsys, "--model", model)


@pytest.mark.parametrize("start", ["2013-01-01 06:00", "2016-01-02 10:00"])
def test_a_start_without_flights_to_train_on_or_to_ask_about_is_refused(tmp_path, capsys, start):
    end = start[:8] + "04"
    assert f"--start={start}" in refused(tmp_path / "desk", capsys, "--start", start, "--end", end)


def test_a_log_of_another_time_is_refused_and_kept(released, capsys):
    with Log(released / "log.db") as log:
        log.append(replay(World("2013-01-05 01:00"), "2013-01-05", every="1h"))
        said = refused(released, capsys)
        assert "2013-01-05 01:00" in said and "give another folder" in said
        assert len(log) > 0


def test_a_record_of_the_models_that_is_damaged_is_said_and_kept(released, capsys):
    (released / "models" / "live.json").write_text("{")
    assert "live.json is damaged" in refused(released, capsys)
    assert (released / "models" / "live.json").read_text() == "{"


def test_the_timetable_keeps_the_whole_hour_in_which_the_replay_starts():
    start = "2013-04-22 12:40"
    everything, kept = published(World(start)), timetable(start, start)
    whole = schedule(everything)
    assert schedule(kept).equals(whole.loc[kept.flight_id])
    cut = everything[everything.sched_dep >= World(start).now]
    assert not schedule(cut).equals(whole.loc[cut.flight_id])
    assert set(cut.flight_id) < set(kept.flight_id) < set(everything.flight_id)


@pytest.fixture
def released(packages, tmp_path):
    """The folder of a service whose models are trained already."""
    (tmp_path / "models").mkdir()
    made = {}
    for name, path in zip(("full", "schedule"), packages, strict=True):
        shutil.copy(path, tmp_path / "models")
        made[name] = [path.name, load(path).sha256]
    release(tmp_path / "models", **made, base_rate=0.2)
    return tmp_path


@pytest.fixture
def started(released):
    """The command in a process of its own, and where it says that it serves."""
    command = [sys.executable, "-m", "mlsys_lib.launch", "--folder", str(released), "--port", "0"]
    with subprocess.Popen([*command, *DAY], stdout=subprocess.PIPE, text=True) as run:
        try:
            line = run.stdout.readline()
            host, port = re.search(r"http://([\d.]+):(\d+)/docs", line).groups()
            assert host == "127.0.0.1"  # unless told otherwise
            yield run, int(port)
        finally:
            run.kill()


def get(port, path):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read()


def flight(port):
    leaves = datetime.fromisoformat(json.loads(get(port, "/ready"))["now"]) + timedelta(hours=10)
    route = {"carrier": "DL", "flight": 77, "origin": "LGA", "dest": "ATL", "distance": 762}
    arrives = leaves + timedelta(hours=3)
    times = {"sched_dep": leaves.isoformat(), "sched_arr": arrives.isoformat()}
    return json.dumps(route | times).encode()


def head(length):
    return (
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % length
    )


@pytest.mark.slow
def test_a_client_that_hangs_up_sends_too_much_or_stalls_is_treated_as_such(started):
    """The cases of the field: the same bytes, the same expectations."""
    run, port = started

    def count():
        text = get(port, "/metrics").decode()
        return sum(float(n) for n in re.findall(r"^predictions_total\{.*\} (\S+)", text, re.M))

    body, before = flight(port), count()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(head(len(body) + 200) + body)  # 200 bytes are to come, and never do
        time.sleep(0.3)
    time.sleep(1)
    assert count() == before
    said = []
    for _ in range(3):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.closing(line):
            line.request(
                "POST", "/predict", b"x" * 20_000_000, {"content-type": "application/json"}
            )
            said.append(line.getresponse().status)
    assert said == [413] * 3
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(head(400) + b"{")
        time.sleep(1)  # until it has begun to read
        run.terminate()
        run.wait(15)
    assert run.returncode in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_a_clean_stop_writes_all_answers_and_a_second_service_goes_on(started, released, capsys):
    run, port = started
    body = flight(port)
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body)
    said = json.load(urllib.request.urlopen(asked, timeout=5))
    assert "or take another" in refused(released, capsys)  # while the first is up
    os.kill(run.pid, signal.SIGINT)
    assert run.wait(15) in (0, -signal.SIGINT)
    with Log(released / "answers.db") as log, Log(released / "log.db") as events:
        assert json.loads(log.read(0, 1)[0].value["rows"])[0][2] == said["probability"]
        assert events.last("clock").available_at.isoformat() >= said["now"][:19]
