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
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mlsys_lib.desk import Desk, answered
from mlsys_lib.events import Log, replay
from mlsys_lib.package import load
from mlsys_lib.serving import create_app, release
from mlsys_lib.world import World
from tests.serving_worker import desk_of, flights, serve
from tests.test_desk import FLIGHT, STORM, day, processes

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
def desk(models):
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
def client(desk, log, packages):
    with running(create_app(desk, log, models=packages[0].parent, poll=0.05)) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(models, log):
    """One service for the tests that look at their own answer alone."""
    with running(create_app(Desk(day()[0], models), log)) as opened:
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


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "text/plain")],
        [("content-type", "text/plain"), ("content-type", "application/json")],
        [("content-type", "application/json"), ("content-type", "text/plain")],
        [("content-type", "application/json; charset=latin-1")],
        [("content-type", "no type at all")],
        [("Content-Type", "")],
    ],
)
def test_a_body_is_read_as_json_whatever_its_content_type_says(shared, headers):
    assert shared.post("/predict", content=json.dumps(ATLANTA), headers=headers).status_code == 200
    wrong = shared.post("/predict", content="carrier=DL", headers=headers)
    assert wrong.status_code == 422 and "Invalid JSON" in wrong.json()["detail"][0]["msg"]
    release = shared.put("/model", content='{"file": 1}', headers=headers)
    assert {problem["loc"][0] for problem in release.json()["detail"]} == {"file", "sha256"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"[" * 4000,
        b'{"flight_id": ' * 280,
        b'{"distance": NaN, "flight": Infinity}',
        b'{"distance": ' + b"9" * 4000 + b"}",
        b'{"distance": 1e400}',
        b'{"distance": -0.0}',
        b'{"flight_id": "\xff\xfe"}',
        b'\xef\xbb\xbf{"flight_id": "2013-04-22/DL1/LGA"}',
        b'{"flight_id": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"flight_id": "2013-04-22/DL1/LGA\\u0000"}',
        b'{"flight_id": "2013-04-22/DL1/LGA\\n"}',
        '{"flight_id": "٢٠١٣-04-22/DL1/LGA", "gâte": 1}'.encode(),
        json.dumps({"flight_id": FLIGHT}).encode("utf-16"),
        json.dumps(ATLANTA | {"sched_dep": "1366660800"}).encode(),
    ],
)
def test_a_body_that_is_no_question_is_refused_and_breaks_nothing(shared, body):
    for method, path in (("POST", "/predict"), ("PUT", "/model")):
        refused = shared.request(method, path, content=body)
        assert refused.status_code == 422 and refused.json()["detail"][0]["msg"]
    assert predict(shared).status_code == 200


@pytest.mark.parametrize("name", ATLANTA)
@pytest.mark.parametrize("odd", [None, True, 7.0, "7", "", 1e400, [], {}])
def test_a_field_of_another_kind_is_refused_by_its_name(shared, name, odd):
    refused = shared.post("/predict", content=json.dumps(ATLANTA | {name: odd}))
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["schedule", name]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"distance": -1}, "greater than or equal to 10"),
        ({"distance": "762"}, "valid integer"),
        ({"origin": "BOS"}, "'EWR', 'JFK' or 'LGA'"),
        ({"sched_dep": "2013-04-22T20:00:00"}, "timezone"),
        ({"sched_dep": 1366660800}, "as text with its offset"),
        ({"sched_arr": "2013-04-22T19:30:00Z"}, "sched_arr is -30 minutes after sched_dep"),
        ({"sched_dep": "1366660800"}, "as text with its offset"),
        ({"dest": "LGA"}, "dest is LGA, as origin is"),
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
def test_what_cannot_be_is_refused_with_a_word_on_how_to_put_it_right(shared, change, says):
    refused = predict(shared, ATLANTA | change)
    assert refused.status_code == 422
    assert says in " ".join(problem["msg"] for problem in refused.json()["detail"])


def test_a_new_airline_is_answered_and_counted(client):
    assert predict(client, ATLANTA | {"carrier": "ZZ"}).json()["unknown"] == ["carrier"]
    assert 'unknown_names_total{column="carrier"} 1.0' in client.get("/metrics").text


def test_an_unknown_flight_is_not_found(shared):
    assert predict(shared, {"flight_id": "2013-04-22/DL9999/LGA"}).status_code == 404


def head(*headers):
    lines = ["POST /predict HTTP/1.1", "host: desk", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def sent(client, *pieces, hang_up=False):
    """What a client that speaks by itself gets to read."""
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as line:
        for piece in pieces:
            line.sendall(piece)
        if hang_up:
            time.sleep(0.05)  # so that it is read
            return b""
        return b"".join(iter(lambda: line.recv(65536), b""))


MEGABYTES = b"x" * 20_000_000
CHUNKED = head("transfer-encoding: chunked")


@pytest.mark.parametrize(
    "pieces",
    [
        [head("content-length: 20000000"), MEGABYTES],
        [CHUNKED, b"1312d00\r\n", MEGABYTES, b"\r\n0\r\n\r\n"],
        [CHUNKED, *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 500, b"0\r\n\r\n"],
        [head("content-length: 5000", "content-type: text/plain"), b" " * 5000],
        [head("content-length: 4097", "expect: 100-continue"), b" " * 4097],
    ],
)
def test_who_sends_too_much_hears_so(shared, pieces):
    answer = sent(shared, *pieces).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413") and b"larger than 4096 bytes" in answer
    assert predict(shared).status_code == 200


def test_what_is_just_not_too_much_is_read(shared):
    body = json.dumps(ATLANTA).encode().ljust(4096)
    for pieces in (
        [head("content-length: 4096"), body],
        [CHUNKED, b"1000\r\n", body, b"\r\n0\r\n\r\n"],
    ):
        assert sent(shared, *pieces).startswith(b"HTTP/1.1 200")


BODY = json.dumps(ATLANTA).encode()


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (["content-length: many"], b"400"),
        (["content-length: -5"], b"400"),
        ([f"content-length: {'9' * 30}"], b"400"),
        ([f"content-length: {len(BODY)}", "content-length: 3"], b"400"),
        ([f"content-length: {len(BODY)}", "transfer-encoding: chunked"], b"400"),
        (["content-length: 0"], b"422"),
        (["content-length: 3"], b"422"),
        ([], b"422"),
    ],
)
def test_a_length_that_is_none_or_too_short_gets_an_answer(shared, length, status):
    assert sent(shared, head(*length), BODY).split()[1] == status
    assert predict(shared).status_code == 200


@pytest.mark.parametrize(
    "pieces",
    [
        [head(f"content-length: {len(BODY) + 200}"), BODY],
        [head(f"content-length: {len(BODY)}")],
        [head(f"content-length: {len(BODY)}"), BODY[:-1]],
        [CHUNKED, b"%x\r\n" % len(BODY), BODY, b"\r\n"],
        [head("content-length: 20000000"), MEGABYTES[:1_000_000]],
    ],
)
def test_a_request_that_breaks_off_in_its_body_is_not_answered_counted_or_recorded(
    client, desk, pieces
):
    def counts():
        text = client.get("/metrics").text
        return re.findall(r'^(?:predictions_total|http_request.*"/predict").* \S+$', text, re.M)

    before = counts()
    assert before
    for _ in range(3):
        sent(client, *pieces, hang_up=True)
    time.sleep(0.2)
    assert counts() == before and not desk.record
    assert predict(client).status_code == 200
    assert counts() != before


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


def test_more_at_once_than_it_can_take_are_shed_and_the_rest_answered(desk, log):
    app = create_app(desk, log, max_concurrent=5)

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


def test_a_model_is_replaced_without_dropping_a_request(client, desk, models, packages):
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


def test_a_model_that_is_not_what_was_released_is_refused_and_the_old_one_answers(client, packages):
    before = predict(client).json()
    folder = packages[0].parent
    damaged = bytearray(packages[0].read_bytes())
    damaged[500] ^= 1
    (folder / "damaged.zip").write_bytes(damaged)
    (folder / "folder.zip").mkdir(exist_ok=True)
    refusals = [
        (packages[0].name, "0" * 12, 409, "0" * 12),
        ("damaged.zip", "0" * 64, 409, "SHA-256"),
        ("nothing.zip", "0" * 12, 404, "no file nothing.zip"),
        ("folder.zip", "0" * 12, 404, "no file folder.zip"),
        ("../x.zip", "0" * 12, 422, "pattern"),
        (packages[0].name, "0" * 11, 422, "pattern"),
    ]
    for file, sha256, status, says in refusals:
        refused = client.put("/model", json={"file": file, "sha256": sha256})
        assert refused.status_code == status, refused.text
        assert says in refused.text
    assert predict(client).json() == before
    assert 'model_swaps_total{outcome="refused"} 4.0' in client.get("/metrics").text


def test_a_model_answers_only_once_it_is_written_down_as_the_one_that_does(
    desk, log, packages, tmp_path, monkeypatch
):
    """On a full disk nothing changes; else a restart would bring the old one back."""

    def full(*_):
        raise OSError(28, "No space left on device")

    for path in packages:
        shutil.copy(path, tmp_path)
    wanted = {"file": packages[1].name, "sha256": load(packages[1]).sha256}
    with running(create_app(desk, log, models=tmp_path)) as client:
        before = predict(client).json()
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", full)
            refused = client.put("/model", json=wanted)
        assert refused.status_code == 503 and "the model stays as it is" in refused.text
        assert predict(client).json() == before
        assert {path.suffix for path in tmp_path.iterdir()} == {".zip"}
        assert client.put("/model", json=wanted).status_code == 200
        assert release(tmp_path)["full"] == [*wanted.values()]
        assert predict(client).json()["model"] == wanted["sha256"][:12]


def test_a_record_of_the_models_that_is_damaged_is_no_reason_to_overwrite_it(
    desk, log, packages, tmp_path
):
    shutil.copy(packages[1], tmp_path)
    (tmp_path / "live.json").write_text('{"full": [')
    wanted = {"file": packages[1].name, "sha256": load(packages[1]).sha256}
    with running(create_app(desk, log, models=tmp_path)) as client:
        refused = client.put("/model", json=wanted)
    assert refused.status_code == 409 and "live.json is damaged" in refused.text
    assert (tmp_path / "live.json").read_text() == '{"full": ['


def test_another_machine_cannot_change_the_model(desk, log, packages):
    app = create_app(desk, log)
    far = httpx.ASGITransport(app, client=("192.0.2.7", 4000))

    async def ask():
        async with httpx.AsyncClient(transport=far, base_url="http://desk") as client:
            body = {"file": packages[0].name, "sha256": "0" * 12}
            return await client.put("/model", json=body)

    assert asyncio.run(ask()).status_code == 403


def test_the_docs_page_asks_no_other_host(shared):
    page = shared.get("/", follow_redirects=True).text
    assert "swagger-ui" in page
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert assets and all(asset.startswith("/") for asset in assets)
    assert {shared.get(asset).status_code for asset in assets} == {200}


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
    models,
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
    def broken(*_, limit):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Desk, "catch_up", broken)
    wait_until(lambda: desk.fault)
    said = predict(client).json()
    assert (said["rung"], said["why"]) == ("schedule", "the log cannot be read: the disk is gone")
    monkeypatch.undo()
    wait_until(lambda: not desk.fault)
    assert predict(client).json()["rung"] == "fresh"


@pytest.mark.slow
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


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    shared, carrier, flight, origin, dest, distance, ahead, block
):
    assume(dest != origin)
    leaves = datetime(2013, 4, 22, 17, tzinfo=UTC) + ahead
    body = {"carrier": carrier, "flight": flight, "origin": origin, "dest": dest}
    times = {"sched_dep": leaves.isoformat(), "sched_arr": (leaves + block).isoformat()}
    said = predict(shared, body | times | {"distance": distance})
    assert said.status_code == 200, said.text
    assert said.json()["rung"] == "fresh" and 0 < said.json()["probability"] < 1


@pytest.mark.slow
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


@pytest.mark.slow
def test_killed_over_http_it_comes_back_with_the_same_answers(log, packages, tmp_path):
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
