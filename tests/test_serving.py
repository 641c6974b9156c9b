"""The service: it answers what the desk answers, and bad input, overload, a swap or a kill do not change that."""

import asyncio
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlsys_lib.desk import Desk, answered
from mlsys_lib.events import Log, replay
from mlsys_lib.features import published, schedule
from mlsys_lib.launch import _alone, _options, _timetable, main
from mlsys_lib.package import load
from mlsys_lib.serving import create_app
from mlsys_lib.world import World
from tests.serving_worker import desk_of, flights, serve
from tests.test_desk import FLIGHT, STORM, day, models, packages, processes  # noqa: F401

ATLANTA = {
    "carrier": "DL",
    "flight": 9999,
    "origin": "LGA",
    "dest": "ATL",
    "distance": 762,
    "sched_dep": "2013-04-22T20:00:00Z",
    "sched_arr": "2013-04-22T18:30:00-04:00",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.db"
    with Log(path) as opened:
        opened.append(day()[1])
    return path


@pytest.fixture
def desk(models):  # noqa: F811
    return Desk(day()[0], models)


@contextmanager
def running(app):
    """The app on a free port of this process, its log read."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url) as client:
            while client.get("/ready").status_code != 200 and thread.is_alive():
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(desk, log, packages, tmp_path):  # noqa: F811
    app = create_app(
        desk, log, models=packages[0].parent, snapshot=tmp_path / "snapshot.json", poll=0.05
    )
    with running(app) as opened:
        yield opened


def wait_until(holds, seconds=10):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not get there"
        time.sleep(0.01)


def predict(client, body=None):
    return client.post("/predict", json=body or {"flight_id": FLIGHT})


def test_it_answers_what_the_desk_answers(client, desk):
    for body in ({"flight_id": FLIGHT}, ATLANTA):
        said = predict(client, body)
        assert said.status_code == 200
        answer = said.json()
        assert answer["rung"] == "fresh" and answer["age_minutes"] == 0
        assert 0 < answer["probability"] < 1
    assert predict(client).json()["probability"] == desk.answer(FLIGHT).probability
    assert set(answer) == set(asdict(desk.answer(FLIGHT)))


def test_the_short_way_and_the_frameworks_say_the_same_of_any_body(client):
    right = [{"flight_id": FLIGHT}, ATLANTA, ATLANTA | {"carrier": "ZZ"}]
    wrong = [ATLANTA | {name: odd} for name in ATLANTA for odd in (None, True, 7.0, "7", 1e400, [])]
    bodies = [*map(json.dumps, right + wrong), '{"flight_id": "2013-04-22/ZZ1/LGA"}', "[]", "{", ""]
    bodies += [json.dumps(right[0]).replace("}", ', "flight_id": "2013-04-22/DL1/LGA"}')]
    statuses = Counter()
    for body in bodies:
        said = [
            client.post("/predict", content=body, headers={"content-type": kind})
            for kind in ("application/json", "application/json; charset=utf-8")
        ]
        assert said[0].status_code == said[1].status_code, body
        assert said[0].content == said[1].content, body
        assert said[0].headers["content-type"] == said[1].headers["content-type"]
        statuses[said[0].status_code] += 1
    assert statuses[200] == 3 and statuses[404] == 2 and statuses[422] > 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"distance": -1}, "greater than or equal to 10"),
        ({"distance": "762"}, "valid integer"),
        ({"origin": "BOS"}, "'EWR', 'JFK' or 'LGA'"),
        ({"sched_dep": "2013-04-22T20:00:00"}, "timezone"),
        ({"sched_dep": 1366660800}, "as text with its offset"),
        ({"sched_arr": "2013-04-22T19:30:00Z"}, "sched_arr is -30 minutes after sched_dep"),
        ({"gate": "C4"}, "Extra inputs"),
        ({"sched_dep": "2013-04-22T16:00:00Z"}, "stands at 2013-04-22 17:00 UTC; it has left"),
        (
            {"sched_dep": "2014-04-22T20:00:00Z", "sched_arr": "2014-04-22T22:00:00Z"},
            "30 days ahead",
        ),
        (
            {"sched_dep": "0001-01-01T00:00:00+14:00", "sched_arr": "0001-01-01T01:00:00+14:00"},
            "it has left",
        ),
        (
            {"sched_dep": "9999-12-31T20:00:00-14:00", "sched_arr": "9999-12-31T22:00:00-14:00"},
            "30 days ahead",
        ),
        ({"flight_id": "DL1685"}, "should match pattern"),
    ],
)
def test_what_cannot_be_is_refused_with_a_word_on_how_to_put_it_right(client, change, says):
    refused = predict(client, ATLANTA | change)
    assert refused.status_code == 422
    assert says in " ".join(problem["msg"] for problem in refused.json()["detail"])


def test_a_new_airline_is_answered_and_counted(client):
    assert predict(client, ATLANTA | {"carrier": "ZZ"}).json()["unknown"] == ["carrier"]
    assert 'unknown_names_total{column="carrier"} 1.0' in client.get("/metrics").text


def test_an_unknown_flight_is_not_found(client):
    assert predict(client, {"flight_id": "2013-04-22/DL9999/LGA"}).status_code == 404


def test_a_large_body_is_refused_with_and_without_its_length_told(client):
    assert client.post("/predict", content=b" " * 5000).status_code == 413
    assert client.post("/predict", content=(b" " * 1000 for _ in range(5))).status_code == 413
    assert predict(client).status_code == 200


def test_before_the_log_is_read_it_says_that_it_is_not_ready(desk, tmp_path):
    app = create_app(desk, tmp_path / "log.db", poll=0.01)
    server = httpx.ASGITransport(app)

    async def ask():
        async with (
            app.app.router.lifespan_context(app.app),
            httpx.AsyncClient(transport=server, base_url="http://desk") as client,
        ):
            await asyncio.sleep(0.1)
            return [await client.get("/ready"), await client.post("/predict", json=ATLANTA)], (
                await client.get("/health")
            ).status_code

    refused, health = asyncio.run(ask())
    assert health == 200
    for answer in refused:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "no tick has been read" in answer.json()["detail"]


def test_more_at_once_than_it_can_take_are_shed_and_the_rest_answered(desk, log, tmp_path):
    app = create_app(desk, log, snapshot=tmp_path / "s", max_concurrent=5)

    async def ask():
        async with (
            app.app.router.lifespan_context(app.app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client,
        ):
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.01)
            every = [client.post("/predict", json=ATLANTA) for _ in range(50)]
            return await asyncio.gather(*every, client.get("/health"))

    *said, health = asyncio.run(ask())
    codes = [answer.status_code for answer in said]
    assert health.status_code == 200
    assert codes.count(200) == 5 and codes.count(503) == 45
    assert all("Retry-After" in answer.headers for answer in said if answer.status_code == 503)


def test_a_model_is_replaced_without_dropping_a_request(client, desk, models, packages):  # noqa: F811
    full, other = packages[0], packages[1]
    expected = {}
    for path in (full, other):
        package = load(path)
        desk.models = type(models)(package, models.schedule, 0.2)
        expected[package.sha256[:12]] = desk.answer(FLIGHT).probability
    found, stop = [], threading.Event()

    def ask():
        with httpx.Client(base_url=client.base_url) as mine:
            while not stop.is_set():
                found.append(predict(mine))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for path in [full, other] * 5:
            swapped = client.put("/model", json={"file": path.name, "sha256": load(path).sha256})
            assert swapped.status_code == 200
            assert swapped.json()["model"] == load(path).sha256[:12]
            assert predict(client).json()["model"] == load(path).sha256[:12]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in found} == {200}
    said = {(answer.json()["model"], answer.json()["probability"]) for answer in found}
    assert said == set(expected.items())
    live = json.loads((full.parent / "live.json").read_text())
    assert live == {"full": [other.name, load(other).sha256]}


def test_a_model_with_another_hash_or_signature_is_refused_and_the_old_one_answers(
    client,
    packages,  # noqa: F811
    tmp_path,
):
    before = predict(client).json()
    folder = packages[0].parent
    damaged = bytearray(packages[0].read_bytes())
    damaged[500] ^= 1
    (folder / "damaged.zip").write_bytes(damaged)
    for file, sha256, status, says in [
        (packages[0].name, "0" * 12, 409, "0" * 12),
        ("damaged.zip", "0" * 64, 409, "SHA-256"),
        ("nothing.zip", "0" * 12, 404, "No such file"),
        ("../x.zip", "0" * 12, 422, "pattern"),
    ]:
        refused = client.put("/model", json={"file": file, "sha256": sha256})
        assert refused.status_code == status, refused.text
        assert says in refused.text
    assert predict(client).json() == before
    assert 'model_swaps_total{outcome="refused"} 3.0' in client.get("/metrics").text


def test_another_machine_cannot_change_the_model(desk, log, packages):  # noqa: F811
    app = create_app(desk, log)
    far = httpx.ASGITransport(app, client=("192.0.2.7", 4000))

    async def ask():
        async with httpx.AsyncClient(transport=far, base_url="http://desk") as client:
            body = {"file": packages[0].name, "sha256": "0" * 12}
            return await client.put("/model", json=body)

    assert asyncio.run(ask()).status_code == 403


def test_it_listens_on_the_loopback_alone_unless_told_otherwise():
    assert _options().parse_args([]).host == "127.0.0.1"


def test_the_timetable_keeps_the_whole_hour_in_which_the_replay_starts():
    start = f"{STORM} 12:40"
    everything, kept = published(World(start)), _timetable(start, start)
    whole = schedule(everything)
    assert schedule(kept).equals(whole.loc[kept.flight_id])
    cut = everything[everything.sched_dep >= World(start).now]
    assert not schedule(cut).equals(whole.loc[cut.flight_id])
    assert set(cut.flight_id) < set(kept.flight_id) < set(everything.flight_id)


def test_a_second_service_in_a_folder_is_refused_until_the_first_is_gone(tmp_path):
    locked = "import sys\nfrom pathlib import Path\nfrom mlsys_lib.serving import _alone\n"
    locked += "with _alone(Path(sys.argv[1])):\n    print('here', flush=True)\n    sys.stdin.read()"
    command = [sys.executable, "-c", locked, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline().strip() == b"here"
        with pytest.raises(
            SystemExit, match=rf"runs in the folder {re.escape(str(tmp_path))}.*--folder"
        ):
            main(arguments=["--folder", str(tmp_path)])
        assert not (tmp_path / "models").exists()  # nothing was trained
        first.kill()
    with _alone(tmp_path):
        pass


def test_the_docs_page_asks_no_other_host(client):
    page = client.get("/", follow_redirects=True).text
    assert "swagger-ui" in page
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert assets and all(asset.startswith("/") for asset in assets)
    assert {client.get(asset).status_code for asset in assets} == {200}


def test_metrics_tell_what_was_answered_and_from_which_rung(client):
    for _ in range(3):
        predict(client)
    predict(client, {"flight_id": "DL1"})
    text = client.get("/metrics").text
    for line in (
        'predictions_total{rung="fresh"} 3.0',
        'predictions_total{rung="base_rate"} 0.0',
        'http_requests_total{path="/predict",status="422"} 1.0',
        'feature_age_seconds{feed="arrivals"} 0.0',
        'http_request_seconds_count{path="/predict"} 4.0',
        "prediction_probability_count 3.0",
        "process_resident_memory_bytes ",
    ):
        assert line in text


def test_every_answer_is_written_down_and_outlives_a_clean_stop_and_a_restart(
    models,  # noqa: F811
    log,
    tmp_path,
):
    shutil.copy(log, tmp_path / "log.db")
    said = []
    for _ in range(2):
        with running(create_app(Desk(day()[0], models), tmp_path / "log.db", poll=60)) as client:
            said += [predict(client, body).json() for body in [ATLANTA, None] * 300]
            assert predict(client, {"flight_id": "DL1"}).status_code == 422  # no answer
    with Log(tmp_path / "answers.db") as kept:
        found = answered(kept)
    names = ["flight_id", "probability", "rung", "age_minutes", "model"]
    assert found[names].to_dict("records") == [{n: one[n] for n in names} for one in said]
    assert np.array_equal(models.full.predict(found), found.probability)


def test_answers_that_cannot_be_written_wait_in_bounded_memory_and_stop_nothing(
    client, desk, log, monkeypatch, caplog
):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with Log(log.with_name("answers.db")) as kept:
        wait_until(lambda: not desk.record)
        before = len(answered(kept))
        monkeypatch.setattr(Log, "append", full)
        for _ in range(5):
            assert predict(client).status_code == 200
        wait_until(lambda: caplog.records)
        assert len(desk.record) == 5 and 5 < desk.record.maxlen < 100_000
        assert "answers_unwritten 5.0" in client.get("/metrics").text
        monkeypatch.undo()
        wait_until(lambda: not desk.record)
        assert len(answered(kept)) == before + 5
    (warning,) = caplog.records
    assert "answers cannot be written down: database or disk is full" in warning.message


def test_a_log_out_of_reach_lowers_the_rung_and_does_not_stop_the_service(
    client, desk, monkeypatch
):
    def broken(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Desk, "catch_up", broken)
    wait_until(lambda: desk.fault)
    said = predict(client).json()
    assert (said["rung"], said["why"]) == ("schedule", "the log cannot be read: the disk is gone")
    monkeypatch.undo()
    wait_until(lambda: not desk.fault)
    assert predict(client).json()["rung"] == "fresh"


def test_a_fuzz_of_the_schema_finds_no_500_and_no_undocumented_answer(client):
    fuzz = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{client.base_url}/openapi.json"),
            *("--max-examples=30", "--seed=1", "--phases=examples,coverage,fuzzing"),
            # A schema cannot say that a flight must not have left: valid data may get 422.
            "--exclude-checks=positive_data_acceptance",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
    assert fuzz.returncode == 0, fuzz.stdout + fuzz.stderr
    cases = int(re.search(r"(\d+) generated, \1 passed", fuzz.stdout)[1])
    assert cases > 100
    text = client.get("/metrics").text
    codes = set(re.findall(r'total{path="/predict",status="(\d+)"} [1-9]', text))
    assert {"200", "422"} <= codes and not codes & {"500", "503"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.from_regex("[A-Z0-9]{2}", fullmatch=True),
    st.integers(1, 9999),
    st.sampled_from(["EWR", "JFK", "LGA"]),
    st.from_regex("[A-Z]{3}", fullmatch=True),
    st.integers(10, 6000),
    st.timedeltas(timedelta(minutes=1), timedelta(days=30)),
    st.timedeltas(timedelta(minutes=10), timedelta(days=1)),
)
def test_any_flight_of_the_next_30_days_gets_an_answer(
    client, carrier, flight, origin, dest, distance, ahead, block
):
    leaves = datetime(2013, 4, 22, 17, tzinfo=UTC) + ahead
    body = {"carrier": carrier, "flight": flight, "origin": origin, "dest": dest}
    times = {"sched_dep": leaves.isoformat(), "sched_arr": (leaves + block).isoformat()}
    said = predict(client, body | times | {"distance": distance})
    assert said.status_code == 200, said.text
    assert said.json()["rung"] == "fresh" and 0 < said.json()["probability"] < 1


@pytest.mark.parametrize("binary", ["prometheus"])
def test_a_real_prometheus_scrapes_it(client, binary, tmp_path):
    if not shutil.which(binary):
        if os.environ.get("CI"):
            pytest.fail(f"{binary} is not installed; in CI it must be: apt-get install {binary}")
        pytest.skip(f"{binary} IS NOT INSTALLED, so nothing was scraped: apt-get install {binary}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: desk\n  static_configs:\n"
        f"  - targets: ['{client.base_url.host}:{client.base_url.port}']\n"
    )
    predict(client)
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found, deadline = [], time.monotonic() + 30
        while not found and time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                asked = httpx.get(
                    f"http://127.0.0.1:{port}/api/v1/query",
                    params={"query": 'predictions_total{rung="fresh"}'},
                )
                found = asked.json()["data"]["result"]
            except (httpx.TransportError, ValueError, KeyError):
                continue
        assert found and found[0]["value"][1] == "1"
    finally:
        process.terminate()
        process.wait()


def test_killed_over_http_it_comes_back_with_the_same_answers(log, packages, tmp_path):  # noqa: F811
    shutil.copy(log, tmp_path / "log.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    timetable, events = day()
    more = list(replay(World(f"{STORM} 17:30"), f"{STORM} 17:00"))
    expected = desk_of(timetable, *packages)
    for event in [*events, *more]:
        expected.feed(event)
    given, written = [], Log(tmp_path / "answers.db")
    for kill in range(3):
        process = processes.Process(target=serve, args=(tmp_path, timetable, packages, port))
        process.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            codes = set()
            while 200 not in codes:
                try:
                    said = predict(client)
                    codes.add(said.status_code)
                except httpx.TransportError:
                    assert process.is_alive()
            assert codes <= {200, 503}
            given.append(said.json()["probability"])
            wait_until(lambda: len(written) == len(given))
            with Log(tmp_path / "log.db") as appended:
                appended.append(more[: len(more) * (kill + 1) // 3])
            time.sleep(0.2)
            if kill == 2:
                asked = flights(timetable, expected.now)
                said = [predict(client, {"flight_id": one}).json() for one in asked]
                assert [one["probability"] for one in said] == [
                    expected.answer(one).probability for one in asked
                ]
        process.kill()
        process.join()
        # What was written before the kill is still there; the last three were perhaps not.
        assert answered(written).probability[: kill + 1].tolist() == given
    written.close()
