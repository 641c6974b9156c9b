"""How much does the service cost, beside a handler that does nothing? One model, one run, ratios.

    python benchmarks/serving.py [--seconds 3] [--rounds 3]     closed loop at 1 and at 16 clients
    python benchmarks/serving.py --open-loop 500                at a rate, whatever the service does
    python benchmarks/serving.py --soak 5                       minutes, with a swap, a kill, an outage

Every server is a process of its own with one worker and OMP_NUM_THREADS=1; so is the load generator.

==========  ====================================================================================
empty       FastAPI, a handler that returns nothing
validating  FastAPI, a handler that validates the same body and returns a constant of the same form
service     what the course ships: the body bounded, counted, answered from the stream and ONNX Runtime
sklearn     the same service with the same model in scikit-learn itself
mlflow      ``mlflow models serve`` with the same model in scikit-learn: it gets the finished columns
==========  ====================================================================================

In a closed loop a client sends its next request when it has the answer to the last one. While the server
is slow nobody asks, and the slow moment counts once: coordinated omission. In the open loop requests are
due at fixed moments, and the wait counts from the moment at which a request was due.
"""

import argparse
import contextlib
import gc
import http.client
import itertools
import json
import os
import pickle
import random
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from pathlib import Path

BIN = Path(sys.executable).parent  # mlflow looks for uvicorn on the path
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
START, END = "2013-04-22 12:00", "2013-04-22 22:00"
KINDS = ("empty", "validating", "service", "sklearn", "mlflow")


def prepare(folder: Path) -> None:
    """Models, a log up to the start, and the timetable: what all servers share."""
    from mlsys_lib import World
    from mlsys_lib.events import Log, replay
    from mlsys_lib.features import FEATURES, SCHEDULE, batch, published
    from mlsys_lib.models import boosted, fit
    from mlsys_lib.package import save

    world = World("2013-03-01")
    rows = batch(world, world.decisions(since="2013-01-10"))
    rows = rows[rows.label_status == "matured"]
    model, other = fit(boosted, rows), fit(lambda s: boosted(s, max_iter=50), rows)
    paths = [save(fitted, folder, rows.tail(500)).name for fitted in (model, other)]
    paths.append(save(fit(boosted, rows, columns=SCHEDULE), folder, rows.tail(500)).name)
    timetable = published(World(START))
    timetable = timetable[timetable.sched_dep.between(f"{START}+00:00", f"{END[:10]} 23:59+00:00")]
    (folder / "made.pickle").write_bytes(pickle.dumps((paths, timetable)))
    (folder / "estimator.pickle").write_bytes(pickle.dumps(model.estimator))
    with Log(folder / "log.db") as log:
        log.append(replay(World(START), "2013-04-14", every="1h"))
    import mlflow.sklearn
    from mlflow.models import infer_signature

    matrix = model.signature.matrix(rows.tail(5))
    with contextlib.suppress(Exception):
        mlflow.sklearn.save_model(
            model.estimator,
            folder / "mlflow",
            signature=infer_signature(matrix),
            pip_requirements=[],
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
        )
    (folder / "row.json").write_text(json.dumps({"inputs": matrix[:1].tolist()}))
    assert model.signature.names == FEATURES


def serve(kind: str, folder: Path, port: int) -> None:
    """Run one of the servers; this is what the child process does."""
    import uvicorn
    from fastapi import Body, FastAPI

    app = FastAPI()
    if kind == "empty":
        app.post("/predict")(_nothing)
    elif kind == "validating":
        from datetime import UTC, datetime
        from typing import Annotated

        from mlsys_lib.desk import Answer
        from mlsys_lib.schemas import Flight

        constant = Answer(
            "", 0.2, "fresh", "", *[datetime(2013, 4, 22, tzinfo=UTC)] * 2, 0.0, "", []
        )

        async def validating(flight: Annotated[Flight, Body()]) -> Answer:
            return constant

        app.post("/predict")(validating)
    else:
        from mlsys_lib.desk import Desk, Models
        from mlsys_lib.package import load
        from mlsys_lib.serving import create_app

        paths, timetable = pickle.loads((folder / "made.pickle").read_bytes())
        full, schedule = load(folder / paths[0]), load(folder / paths[2])
        log = folder / "log.db"
        if kind == "sklearn":
            estimator = pickle.loads((folder / "estimator.pickle").read_bytes())
            full.__dict__["score"] = lambda matrix: estimator.predict_proba(matrix)[:, 1]
            (folder / kind).mkdir(exist_ok=True)
            log = shutil.copy(log, folder / kind)
        app = create_app(Desk(timetable, Models(full, schedule, 0.2)), log, models=folder)
    gc.collect()
    gc.freeze()  # as the command does
    uvicorn.run(app, port=port, log_level="error", access_log=False)


async def _nothing() -> None:
    return None


def launch(kind: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server in a process of its own, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return start(kind, folder, port), port


def start(kind: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--serve", kind, str(folder), str(port)]
    if kind == "mlflow":
        options = ["-m", str(folder / "mlflow"), "-p", str(port), "--env-manager", "local"]
        command = [sys.executable, "-m", "mlflow", "models", "serve", *options, "-w", "1"]
    output = None if kind != "mlflow" else subprocess.DEVNULL
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=ENV, stdout=output, stderr=output, start_new_session=True
    )
    while time.perf_counter() - began < 90 and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request(kind, folder, port), timeout=5).read()
            process.cold = time.perf_counter() - began  # type: ignore[attr-defined]
            return process
        time.sleep(0.05)
    stop(process)
    raise RuntimeError(f"{kind} did not start")


def stop(process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait()


def request(kind: str, folder: Path, port: int) -> urllib.request.Request:
    path, body = target(kind, folder)
    return urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}
    )


def target(kind: str, folder: Path) -> tuple[str, bytes]:
    if kind == "mlflow":
        return "/invocations", (folder / "row.json").read_bytes()
    flight = {"carrier": "DL", "flight": 1685, "origin": "LGA", "dest": "ATL", "distance": 762}
    times = {"sched_dep": "2013-04-22T21:00:00Z", "sched_arr": "2013-04-22T23:40:00Z"}
    return "/predict", json.dumps(flight | times).encode()


class Connection:
    """One client: bytes out, one whole answer in."""

    def __init__(self, port: int, path: str, body: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST {path} HTTP/1.1\r\nHost: desk\r\nContent-Type: application/json\r\n"
        self.message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.due = self.sent = 0.0
        self.got = b""

    def send(self, due: float) -> None:
        self.due, self.sent, self.got = due, time.perf_counter(), b""
        self.socket.sendall(self.message)

    def done(self) -> bool:
        self.got += self.socket.recv(65536)
        end = self.got.find(b"\r\n\r\n") + 4
        if end < 4 or len(self.got) == end:  # the body comes by itself: no time is lost on the head
            return False
        at = self.got.lower().index(b"content-length:") + 15
        return len(self.got) - end >= int(self.got[at : self.got.index(b"\r", at)])


def load_test(
    kind: str, folder: Path, port: int, clients: int, seconds: float, rate: float
) -> None:
    """Send, measure, print as JSON: seconds from due and from sent, and answers by status."""
    path, body = target(kind, folder)
    idle = deque(Connection(port, path, body) for _ in range(clients))
    select = (
        selectors.EpollSelector()
        if hasattr(selectors, "EpollSelector")
        else selectors.DefaultSelector()
    )
    for one in idle:
        select.register(one.socket, selectors.EVENT_READ, one)
    began = time.perf_counter()
    due = (began + n / rate for n in itertools.count()) if rate else None
    coming = next(due) if due else began
    from_due, from_sent, codes, busy = [], [], Counter(), 0
    while (now := time.perf_counter()) < began + seconds or busy:
        while idle and coming <= now < began + seconds:
            idle.popleft().send(coming if due else now)
            busy += 1
            coming = next(due) if due else now
        for key, _ in select.select(max(min(coming - now, 0.05), 0) if due and idle else 0.05):
            one = key.data
            if one.done():
                now = time.perf_counter()
                from_due.append(now - one.due)
                from_sent.append(now - one.sent)
                codes[one.got[9:12].decode()] += 1
                idle.append(one)
                busy -= 1
    print(
        json.dumps(
            {
                "due": quantiles(from_due),
                "sent": quantiles(from_sent),
                "codes": codes,
                "rate": len(from_due) / seconds,
            }
        )
    )


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        f"p{share}": 1000 * ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)]
        for share in (50, 99, 99.9)
    }


def loaded(
    kind: str, folder: Path, port: int, clients: int, seconds: float, rate: float = 0
) -> dict:
    command = [sys.executable, __file__, "--load", kind, str(folder), str(port)]
    asked = [str(clients), str(seconds), str(rate)]
    return json.loads(subprocess.run([*command, *asked], check=True, capture_output=True).stdout)


def memory(pid: int) -> float:
    """Resident megabytes of a process, where the system tells."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024
    return float("nan")


def cpu(pid: int) -> float:
    """Microseconds that the main thread of a process has used; no other program changes them much."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000
    return float("nan")


def compare(folder: Path, seconds: float, rounds: int) -> None:
    servers = {}
    for kind in KINDS:
        try:
            servers[kind] = launch(kind, folder)
        except RuntimeError as error:
            print(f"{error}: left out")
    try:
        runs = {kind: {1: [], 16: []} for kind in servers}
        for _ in range(rounds):
            for kind, (process, port) in servers.items():
                loaded(kind, folder, port, 1, 0.3)
                for clients in (1, 16):
                    before = cpu(process.pid)
                    run = loaded(kind, folder, port, clients, seconds)
                    run["cpu"] = (cpu(process.pid) - before) / sum(run["codes"].values())
                    runs[kind][clients].append(run)
        show(servers, runs)
    finally:
        for process, _ in servers.values():
            stop(process)


def show(servers: dict, runs: dict) -> None:
    def middle(kind: str, clients: int, what: str) -> float:
        found = [run.get(what, run["sent"].get(what)) for run in runs[kind][clients]]
        return statistics.median(found)

    print(f"{'':12}{'1 client':>18}{'16 clients':>39}{'cold start':>12}{'memory':>9}")
    heads = ("p50 ms", "p99 ms", " p50 ms", "p99 ms", "  req/s", "CPU us", "         s", "MB")
    print(f"{'':12}{''.join(f'{head:>9}' for head in heads)}")
    for kind, (process, _) in servers.items():
        figures = [
            middle(kind, c, w)
            for c, w in (
                (1, "p50"),
                (1, "p99"),
                (16, "p50"),
                (16, "p99"),
                (16, "rate"),
                (16, "cpu"),
            )
        ]
        one, slow, many, worst, rate, spent = figures
        print(
            f"{kind:12}{one:9.2f}{slow:9.2f}{many:10.2f}{worst:9.2f}{rate:11,.0f}{spent:9.0f}"
            f"{process.cold:12.1f}{memory(process.pid):9.0f}"
        )
    bad = {
        kind: sum((Counter(run["codes"]) for own in of.values() for run in own), Counter())
        for kind, of in runs.items()
    }
    print("answers:", {kind: dict(codes) for kind, codes in bad.items()})
    for said, clients, what, kinds, limit in (
        ("p50 at 1 client, to validating", 1, "p50", ("service", "validating"), "<= 1.2"),
        ("p99 at 16 clients, to validating", 16, "p99", ("service", "validating"), "<= 1.3"),
        ("throughput, to scikit-learn", 16, "rate", ("service", "sklearn"), ">= 5"),
        ("throughput, to mlflow", 16, "rate", ("service", "mlflow"), ">= 15"),
    ):
        if set(kinds) <= set(runs):
            over, under = (middle(kind, clients, what) for kind in kinds)
            print(f"{said:36}{over / under:8.2f}   target {limit}")


def open_loop(folder: Path, seconds: float, rate: float) -> None:
    process, port = launch("service", folder)
    try:
        closed = loaded("service", folder, port, 16, seconds)
        opened = loaded("service", folder, port, 64, seconds, rate)
    finally:
        stop(process)
    print(f"closed loop, 16 clients: {closed['rate']:,.0f} req/s, ms {rounded(closed['sent'])}")
    print(f"open loop, {rate:,.0f} due a second: {opened['rate']:,.0f} answered")
    print(f"    from the moment each was due:  ms {rounded(opened['due'])}")
    print(f"    from the moment each was sent: ms {rounded(opened['sent'])}   (hides the queue)")


def rounded(quantile: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in quantile.items()}


def soak(folder: Path, minutes: float) -> None:
    """Requests in equal answers out, and every answer is the one of an uninterrupted run."""
    from mlsys_lib import World
    from mlsys_lib.desk import Desk, Models, answered
    from mlsys_lib.events import CLOCK, Log, replay
    from mlsys_lib.package import load

    paths, timetable = pickle.loads((folder / "made.pickle").read_bytes())
    outage = {"arrivals": ("2013-04-22 15:00", "2013-04-22 20:00")}
    events = list(replay(World(END), START, outages=outage))
    ids = list(timetable.flight_id[timetable.sched_dep > f"{END}+00:00"])
    process, port = launch("service", folder)
    first = memory(process.pid)
    pause = minutes * 60 / sum(event.topic == CLOCK for event in events)
    asked, found, retried, stopped = Counter(), [], Counter(), threading.Event()

    def client(seed: int) -> None:
        dice = random.Random(seed)
        while not stopped.is_set():
            flight_id = dice.choice(ids)
            asked[seed] += 1
            while True:  # until it is answered
                body = json.dumps({"flight_id": flight_id}).encode()
                wanted = urllib.request.Request(
                    f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
                )
                try:
                    found.append(json.load(urllib.request.urlopen(wanted, timeout=10)))
                    break
                except urllib.error.HTTPError as error:
                    retried[error.code] += 1
                except (OSError, http.client.HTTPException) as error:
                    retried[type(error).__name__] += 1
                time.sleep(0.05)

    def produce() -> None:
        with Log(folder / "log.db") as log:
            waiting = []
            for event in events:
                waiting.append(event)
                if event.topic == CLOCK:
                    log.append(waiting)
                    waiting = []
                    time.sleep(pause)

    clients = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    producer = threading.Thread(target=produce)
    for thread in (producer, *clients):
        thread.start()
    time.sleep(minutes * 10)
    swap = json.dumps({"file": paths[1], "sha256": load(folder / paths[1]).sha256}).encode()
    url = f"http://127.0.0.1:{port}/model"
    release = urllib.request.Request(url, swap, {"Content-Type": "application/json"}, method="PUT")
    urllib.request.urlopen(release).read()
    time.sleep(minutes * 10)
    before = memory(process.pid)
    stop(process, signal.SIGKILL)
    process = start("service", folder, port)
    producer.join()
    time.sleep(1)
    stopped.set()
    for thread in clients:
        thread.join()
    last = memory(process.pid)
    stop(process)
    schedule = load(folder / paths[2])
    right = {}
    for path in paths[:2]:
        full = load(folder / path)
        desk = Desk(timetable, Models(full, schedule, 0.2))
        for event in [*replay(World(START), "2013-04-14", every="1h"), *events]:
            desk.feed(event)
            if event.topic == CLOCK and event.available_at >= World(START).now:
                for flight_id in ids:
                    one = desk.answer(flight_id)
                    key = (f"{one.now:%Y-%m-%dT%H:%M:%SZ}", flight_id, one.rung, one.model)
                    right[key] = one.probability
    wrong = [
        a
        for a in found
        if right.get((a["now"], a["flight_id"], a["rung"], a["model"])) != a["probability"]
    ]
    print(
        f"{minutes:g} minutes: {sum(asked.values()):,} requests in, {len(found):,} answers out, {len(wrong)} not as in an uninterrupted run"
    )
    print(
        f"rungs {dict(Counter(a['rung'] for a in found))}, models {dict(Counter(a['model'] for a in found))}"
    )
    with Log(folder / "answers.db") as log:
        kept = answered(log)
    written = Counter(zip(kept.flight_id, kept.probability, strict=True))
    lost = Counter((a["flight_id"], a["probability"]) for a in found) - written
    print(f"{len(kept):,} answers written down, {lost.total()} lost by the kill")
    print(f"retried while the process was dead: {dict(retried)}; restart {process.cold:.1f} s")
    print(f"memory {first:.0f} MB at first, {before:.0f} before the kill, {last:.0f} at the end")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--open-loop", type=float, metavar="RATE", help="requests a second")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder)
        if options.soak:
            soak(folder, options.soak)
        elif options.open_loop:
            open_loop(folder, options.seconds, options.open_loop)
        else:
            compare(folder, options.seconds, options.rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--load"]:
        load_test(
            sys.argv[2],
            Path(sys.argv[3]),
            *(int(n) for n in sys.argv[4:6]),
            *(float(n) for n in sys.argv[6:8]),
        )
    else:
        main()
