"""The prediction service: the desk over HTTP.

    python -m mlsys_lib.serving

replays 22 April 2013 at sixty times its speed (a simulated minute a second) and answers on
http://127.0.0.1:8000; the page /docs tries it out. The first start trains a model, which takes a minute.
All it writes is in the folder ``desk``: the log, a snapshot of the state, the models. It may be killed at
any moment: the next start goes on where the log ends, and answers as if nothing had happened.

=================  ===============================================================================
``POST /predict``  one flight, by its id or by its schedule
``GET /health``    200: the process runs
``GET /ready``     200: it has a state to answer from; 503 while the log is being read
``GET /metrics``   for Prometheus
``PUT /model``     another model, if its hash and its signature are right; no request is dropped
=================  ===============================================================================

One process serves. What it holds is in its own memory, and every other process can build the same from
the same log. It listens on the loopback alone unless told otherwise: it knows no users.
"""

import argparse
import asyncio
import gc
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import uvicorn
from fastapi import Body, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from mlsys_lib.desk import CLOCK, RUNGS, Answer, Desk, Models, NotReady, replay, write
from mlsys_lib.events import TOPICS, Log
from mlsys_lib.features import CATEGORIES, FEATURES, SCHEDULE, batch, published
from mlsys_lib.models import PackageError, boosted, fit, load, save
from mlsys_lib.world import World

__all__ = ["create_app", "main"]

PATHS = ("/predict", "/health", "/ready", "/metrics", "/model")
LOOPBACK = ("127.0.0.1", "::1")
_notes = logging.getLogger("mlsys_lib.serving")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a moment as text with its offset, such as 2013-04-22T15:30:00Z")
    return value


_EXAMPLE: dict[str, Any] = {
    "carrier": "DL",
    "flight": 1685,
    "origin": "LGA",
    "dest": "ATL",
    "distance": 762,
    "sched_dep": "2013-04-23T01:00:00Z",
    "sched_arr": "2013-04-23T03:40:00Z",
}
Minute = Annotated[
    AwareDatetime,
    BeforeValidator(_text, json_schema_input_type=AwareDatetime),
    Field(description="with its offset from UTC"),
]


class ById(BaseModel):
    """A flight in the timetable."""

    model_config = ConfigDict(extra="forbid")
    flight_id: Annotated[
        str,
        Field(
            pattern=r"^\d{4}-\d\d-\d\d/[A-Z0-9]{2}\d{1,4}/(EWR|JFK|LGA)$",
            description="local date, airline and number, origin",
            examples=["2013-04-22/MQ4660/LGA"],
        ),
    ]


class BySchedule(BaseModel):
    """Any flight, as its airline publishes it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})
    carrier: Annotated[str, Field(pattern="^[A-Z0-9]{2}$")]
    flight: Annotated[int, Field(strict=True, ge=1, le=9999, description="its number")]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    distance: Annotated[int, Field(strict=True, ge=10, le=6000, description="miles")]
    sched_dep: Minute
    sched_arr: Minute

    @model_validator(mode="after")
    def _flies_forward(self) -> "BySchedule":
        minutes = (self.sched_arr - self.sched_dep).total_seconds() / 60
        if not 10 <= minutes <= 24 * 60:
            raise ValueError(
                f"sched_arr is {minutes:g} minutes after sched_dep; 10 to 1440 are possible. "
                "Give both with their offset from UTC"
            )
        return self


Flight = Annotated[
    Annotated[ById, Tag("id")] | Annotated[BySchedule, Tag("schedule")],
    Discriminator(
        lambda body: "id" if isinstance(body, dict) and "flight_id" in body else "schedule"
    ),
]


class Release(BaseModel):
    """A model file in the service's folder, and the hash that whoever released it wrote down."""

    model_config = ConfigDict(extra="forbid")
    file: Annotated[str, Field(pattern=r"^[\w-]{1,100}\.zip$", examples=["late-0123456789ab.zip"])]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{12,64}$")]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str


class State(BaseModel):
    """Whether there is a state to answer from, and what it stands on."""

    ready: bool
    detail: str
    now: AwareDatetime | None = None
    model: str | None = None


def _problems(**meaning: str) -> dict[int | str, dict[str, Any]]:
    """What the schema says about the answers that are no success."""
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait"}}
    return {
        int(code[1:]): {"model": Problem, "description": said}
        | ({"headers": retry} if code == "_503" else {})
        for code, said in meaning.items()
    }


class Metrics:
    """What Prometheus is told. Every series exists from the start: one that appears later has no rate."""

    def __init__(self, desk: Desk) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def series(kind: Any, name: str, help_: str, label: str, values: Iterable[str]) -> Any:
            family = kind(name, help_, [label], registry=registry)
            return {value: family.labels(value) for value in values}

        every = (*PATHS, "other")
        seconds = partial(Histogram, buckets=[n * 10.0**e for e in range(-4, 0) for n in (1, 2, 5)])
        self.latency = series(seconds, "http_request_seconds", "Time to answer", "path", every)
        self.rung = series(Counter, "predictions", "Answers by rung", "rung", RUNGS)
        self.unknown = series(
            Counter, "unknown_names", "Names new to the model", "column", CATEGORIES
        )
        outcomes = ("done", "refused")
        self.swaps = series(Counter, "model_swaps", "Changes of the model", "outcome", outcomes)
        what = ("http_requests", "Requests by answer", ["path", "status"])
        self.answered = Counter(*what, registry=registry)
        for status in ("200", "422", "503"):
            self.answered.labels("/predict", status)
        shares = [n / 20 for n in range(1, 21)]
        self.score = Histogram(
            "prediction_probability", "Scores", buckets=shares, registry=registry
        )
        ages = series(Gauge, "feature_age_seconds", "How far a feed is behind now", "feed", TOPICS)
        for topic, gauge in ages.items():
            gauge.set_function(partial(_known, partial(_age, desk, topic)))
        for name, help_, read in (
            ("desk_now_seconds", "The simulated clock, Unix time", lambda: desk.now.timestamp()),
            ("reports_refused", "Events not understood, or too late", lambda: desk.refused),
            ("rung_failures", "Rungs that broke when they should hold", lambda: desk.failures),
        ):
            Gauge(name, help_, registry=registry).set_function(partial(_known, read))


def _age(desk: Desk, topic: str) -> float:
    return desk.ages()[topic] * 60


def _known(read: Callable[[], float]) -> float:
    try:
        return read()
    except NotReady:
        return float("nan")


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Gate:
    """What every request passes: a bound on its body, a bound on how many are answered at once, a stopwatch.

    A request over the bound is turned away before it is parsed, in a tenth of the time of an answer;
    those that are let in keep their latency. `/health`, `/ready` and `/metrics` are never shed.
    """

    def __init__(self, app: Any, metrics: Metrics, max_body: int, max_concurrent: int) -> None:
        self._app, self._metrics = app, metrics
        self._max_body, self._max_concurrent, self._inside = max_body, max_concurrent, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        path = scope["path"] if scope["path"] in PATHS else "other"

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._admit(path, scope, receive, noted)
        finally:
            self._metrics.latency[path].observe(time.perf_counter() - start)
            self._metrics.answered.labels(path, str(status)).inc()

    async def _admit(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        # The body first: a client that sends it slowly takes no place.
        body = await self._body(scope, receive)
        if body is None:
            refusal = _refusal(
                413, f"the body is larger than {self._max_body} bytes", Connection="close"
            )
            await refusal(scope, receive, send)
            return
        if path != "/predict":
            await self._app(scope, _given(body, receive), send)
            return
        self._inside += 1
        try:
            await asyncio.sleep(0)  # so that all that have come by now are counted
            if self._inside > self._max_concurrent:
                refusal = _refusal(
                    503, "too many requests at once; try again", **{"Retry-After": "1"}
                )
                await refusal(scope, receive, send)
            else:
                await self._app(scope, _given(body, receive), send)
        finally:
            self._inside -= 1

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            return None
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_body:
                return None
        return body


def _given(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def first_the_body() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return first_the_body


def _refusal(status: int, detail: str, **headers: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


class Service:
    """A desk, the log it follows, and the answers over HTTP."""

    def __init__(
        self, desk: Desk, log: Path, models: Path, snapshot: Path, poll: float, keep: float
    ) -> None:
        self.desk, self.metrics, self.read_at = desk, Metrics(desk), time.monotonic()
        self._log, self._models, self._snapshot = log, models, snapshot
        self._poll, self._every = poll, keep
        self._caught_up = False
        quiet = Gauge(
            "log_quiet_seconds", "Since the log last grew", registry=self.metrics.registry
        )
        quiet.set_function(lambda: time.monotonic() - self.read_at)

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """Follow the log for as long as the service runs."""
        with Log(self._log) as log:
            self.desk.restore(self._snapshot, log)
            following = asyncio.create_task(self._follow(log))
            yield
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            self._keep()

    async def _follow(self, log: Log) -> None:
        kept = self.read_at
        while True:
            there, fault = 0, ""
            try:
                there = self.desk.catch_up(log, 200)
            except Exception as error:  # say so in each answer, and try again
                fault = f"the log cannot be read: {error}"
                if self.desk.fault != fault:
                    _notes.warning(fault)
            self.desk.fault = fault
            self._caught_up |= there == 0
            now = time.monotonic()
            if there:
                self.read_at = now
            if now - kept > self._every:
                kept = now
                self._keep()
            await asyncio.sleep(0 if there else self._poll)

    def _keep(self) -> None:
        """A snapshot; without one, the next start reads the whole log, so a failure is no reason to stop."""
        try:
            if self._caught_up:
                self.desk.snapshot(self._snapshot)
        except OSError as error:
            _notes.warning("no snapshot was taken: %s", error)

    async def predict(self, flight: Annotated[Flight, Body()]) -> Answer:
        """The probability that a flight arrives late, with the rung of the ladder it stands on."""
        if why := self._not_ready():
            raise NotReady(why)
        asked = flight.flight_id if isinstance(flight, ById) else flight.__dict__
        try:
            answer = self.desk.answer(asked)
        except KeyError as error:
            raise HTTPException(404, error.args[0]) from error
        except ValueError as error:
            problem = {"type": "impossible_clock", "loc": ["body"], "msg": str(error)}
            raise RequestValidationError([problem]) from error
        self.metrics.rung[answer.rung].inc()
        self.metrics.score.observe(answer.probability)
        for column in answer.unknown:
            self.metrics.unknown[column].inc()
        return answer

    async def health(self) -> dict[str, str]:
        """The process runs."""
        return {"status": "alive"}

    async def ready(self) -> State:
        """There is a state to answer from."""
        if why := self._not_ready():
            raise NotReady(why)
        model = self.desk.models.full
        return State(
            ready=True,
            detail=self.desk.fault or "ready",
            now=self.desk.now,
            model=model.sha256[:12] if model else None,
        )

    def _not_ready(self) -> str:
        if not self._caught_up:
            return f"still reading the log: {self.desk.offset} events so far"
        try:
            self.desk.now  # noqa: B018
        except NotReady as error:
            return str(error)
        return ""

    async def show_metrics(self) -> Response:
        """What Prometheus scrapes."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def swap(self, release: Release, request: Request) -> State:
        """Answer with another model from now on. Requests under way end with the one they began with."""
        if request.client is None or request.client.host not in LOOPBACK:
            raise HTTPException(403, "models are changed from this machine alone")
        try:
            package = await asyncio.to_thread(load, self._models / release.file, release.sha256)
            self.desk.models = replace(self.desk.models, full=package)
        except (PackageError, FileNotFoundError) as error:
            self.metrics.swaps["refused"].inc()
            status = 404 if isinstance(error, FileNotFoundError) else 409
            raise HTTPException(status, f"{error}; the model stays as it is") from error
        _release(self._models, full=[release.file, package.sha256])
        self.metrics.swaps["done"].inc()
        return await self.ready()


def create_app(
    desk: Desk,
    log: str | Path,
    models: str | Path = ".",
    snapshot: str | Path | None = None,
    *,
    max_body: int = 4096,
    max_concurrent: int = 64,
    poll: float = 0.2,
    keep: float = 60,
) -> FastAPI:
    """The service around a desk, for any ASGI server; `main` runs it on uvicorn.

    Parameters
    ----------
    desk : Desk
    log : path
        The event log to follow; other processes append to it.
    models : path, default "."
        The folder that `PUT /model` may load from.
    snapshot : path, optional
        Where the state is kept; ``snapshot.json`` beside the log unless given.
    max_body : int, default 4096
        Bytes; a larger body gets 413.
    max_concurrent : int, default 64
        Predictions answered at once; one more gets 503 and `Retry-After`.
    poll, keep : float, default 0.2 and 60
        Seconds between two looks at the log, and between two snapshots.

    Returns
    -------
    FastAPI
    """
    log = Path(log)
    kept = Path(snapshot) if snapshot else log.parent / "snapshot.json"
    service = Service(desk, log, Path(models), kept, poll, keep)
    app = FastAPIOffline(
        title="The connections desk",
        description="Will this flight arrive 15 minutes late or more? Time is simulated: `now` comes from the log.",
        version="1",
        lifespan=service.life,
    )
    app.add_middleware(
        Gate, metrics=service.metrics, max_body=max_body, max_concurrent=max_concurrent
    )
    busy = _problems(_503="not ready yet, or too many requests at once")
    wrong = _problems(
        _400="the body is no text", _404="no such flight or file", _413="the body is too large"
    )
    app.post("/predict", responses=busy | wrong)(service.predict)
    app.get("/health")(service.health)
    app.get("/ready", responses=busy)(service.ready)
    app.get("/metrics", response_class=Response)(service.show_metrics)
    refused = _problems(_403="not from another machine", _409="another hash, or it does not fit")
    app.put("/model", responses=busy | wrong | refused)(service.swap)
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("/docs"))
    app.add_exception_handler(NotReady, _not_ready)
    return app


async def _not_ready(request: Request, error: Exception) -> Response:
    return _refusal(503, str(error), **{"Retry-After": "1"})


def _release(folder: Path, **changed: Any) -> dict[str, Any]:
    """What is released, after a change: the next start answers with the same models."""
    live = folder / "live.json"
    released: dict[str, Any] = json.loads(live.read_text()) if live.exists() else {}
    if changed:
        write(live, json.dumps(released := released | changed, indent=1))
    return released


def _train(folder: Path, start: str) -> None:
    """A full model, one that needs no feed, and the base rate, from all that is known at the start."""
    print(f"Training on the flights known at {start} UTC; this takes a minute", flush=True)
    world = World(start)
    rows = batch(world, world.decisions())
    rows = rows[rows.label_status == "matured"]
    for name, columns in (("full", FEATURES), ("schedule", SCHEDULE)):
        file = save(fit(boosted, rows, columns), folder, rows.tail(1000))
        _release(folder, **{name: [file.name, load(file).sha256]})
    _release(folder, base_rate=float(rows.late.mean()))


def _models(folder: Path, start: str, model: str | None) -> Models:
    if not (released := _release(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        _train(folder, start)
        released = _release(folder)
    full = load(model) if model else load(folder / released["full"][0], released["full"][1])
    return Models(
        full, load(folder / released["schedule"][0], released["schedule"][1]), released["base_rate"]
    )


def _produce(path: Path, start: str, end: str, speed: float) -> None:
    """Append to the log what happens, from where it ends, at `speed` simulated minutes a minute."""
    world = World(end)
    with Log(path) as log:
        at = _last_tick(log)
        if at is None:  # the past that the longest window needs
            since = max(pd.Timestamp(start, tz="UTC") - pd.Timedelta("8D"), World("2013-01-01").now)
            log.append(replay(World(start), since, every="1h"))
            at = World(start).now
        waiting = []
        for event in replay(world, at):
            waiting.append(event)
            if event.topic == CLOCK:
                time.sleep(60 / speed)
                log.append(waiting)
                waiting = []


def _last_tick(log: Log) -> pd.Timestamp | None:
    for offset in range(len(log), 0, -1000):
        for event in reversed(log.read(max(offset - 1000, 0), 1000)):
            if event.topic == CLOCK:
                return pd.Timestamp(event.available_at)
    return None


def main(arguments: list[str] | None = None) -> None:
    """Start the service; ``python -m mlsys_lib.serving --help`` says how."""
    options = _options().parse_args(arguments)
    folder = Path(options.folder)
    models = _models(folder / "models", options.start, options.model)
    timetable = published(World(options.end))
    timetable = timetable[timetable.sched_dep >= World(options.start).now]
    desk = Desk(timetable, models, options.fresh_for, options.useful_for)
    log = folder / "log.db"
    if options.speed:
        producing = (log, options.start, options.end, options.speed)
        threading.Thread(target=_produce, args=producing, daemon=True).start()
    app = create_app(desk, log, folder / "models", max_concurrent=options.max_concurrent)
    print(f"Serving on http://{options.host}:{options.port}/docs; what it keeps is in {folder}")
    gc.collect()
    gc.freeze()  # what is here stays: not to be searched for garbage while a request waits
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", access_log=False)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlsys_lib.serving", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    option = parser.add_argument
    option(
        "--model", help="the file of a packaged model; without it, the one released in the folder"
    )
    option("--folder", default="desk", help="where the log, the snapshot and the models are kept")
    option("--start", default="2013-04-22 10:00", help="where the replay starts, UTC")
    option("--end", default="2013-04-29 10:00", help="where it ends")
    option(
        "--speed", type=float, default=60, help="of the replay; 0 leaves the log to another process"
    )
    option(
        "--host",
        default="127.0.0.1",
        help="another opens the service to the network: it knows no users",
    )
    option("--port", type=int, default=8000)
    option("--fresh-for", default="30min", help="how old features may be to count as fresh")
    option("--useful-for", default="3h", help="how old they may be to be used at all")
    option(
        "--max-concurrent", type=int, default=64, help="predictions at once; more are turned away"
    )
    return parser


if __name__ == "__main__":
    main()
