"""The prediction service: the desk over HTTP.

    python -m mlsys_lib.launch

replays 22 April 2013 at sixty times its speed (a simulated minute a second) and answers on
http://127.0.0.1:8000; the page /docs tries it out. The first start trains a model, which takes a minute.
All it writes is in the folder ``desk``: the log, a snapshot of the state, the models, and ``answers.db``,
the log of its own answers (`mlsys_lib.desk.answered` reads it). It may be killed at any moment: the next
start goes on where the log ends, and answers as if nothing had happened. What a kill can lose is the record
of the last answers: they are written a fifth of a second after they were given. A clean stop writes all.

=================  ===============================================================================
``POST /predict``  one flight, by its id or by its schedule
``GET /health``    200: the process runs
``GET /ready``     200: it has a state to answer from; 503 while the log is being read
``GET /metrics``   for Prometheus
``PUT /model``     another model, if its hash and its signature are right; no request is dropped
=================  ===============================================================================

One process serves a folder; a lock there refuses a second one. What it holds is in its own memory, and
every other process can build the same from the same log. It listens on the loopback alone unless told
otherwise: it knows no users.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import prometheus_client as prometheus
from fastapi import Body, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    model_validator,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlsys_lib.desk import RUNGS, Answer, Desk, NotReady, keep_answers
from mlsys_lib.events import TOPICS, Log
from mlsys_lib.features import CATEGORIES
from mlsys_lib.files import write
from mlsys_lib.package import PackageError, load

PATHS = ("/predict", "/health", "/ready", "/metrics", "/model")
LOOPBACK = ("127.0.0.1", "::1")
_UNWRITTEN = (
    10_000  # answers held while their log cannot be written, some 25 MB; then the oldest go
)
_EVENTS, _ANSWERS = 200, 50  # read, and written, before requests get their turn
_notes = logging.getLogger("mlsys_lib.serving")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a moment as text with its offset, such as 2013-04-22T15:30:00Z")
    return value


# They leave after the default end of the replay: whoever tries the page is never too late.
_ROUTE = {"carrier": "DL", "flight": 1685, "origin": "LGA", "dest": "ATL", "distance": 762}
_TIMES = {"sched_dep": "2013-04-30T01:00:00Z", "sched_arr": "2013-04-30T03:40:00Z"}
_EXAMPLES: dict[str, Any] = {
    "a flight in the timetable": {"value": {"flight_id": "2013-04-29/MQ4660/LGA"}},
    "any other, by its schedule": {"value": _ROUTE | _TIMES},
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
        ),
    ]


class BySchedule(BaseModel):
    """Any flight, as its airline publishes it."""

    model_config = ConfigDict(extra="forbid")
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


_FLIGHT: TypeAdapter[ById | BySchedule] = TypeAdapter(Flight)
_ANSWER = TypeAdapter(Answer)


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


def _problems(meaning: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """What the schema says about the answers that are no success."""
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait"}}
    return {
        code: {"model": Problem, "description": said} | ({"headers": retry} if code == 503 else {})
        for code, said in meaning.items()
    }


class Metrics:
    """What Prometheus is told. Every series exists from the start: one that appears later has no rate."""

    def __init__(self, desk: Desk) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)

        def series(kind: Any, name: str, help_: str, label: str, values: Iterable[str]) -> Any:
            family = kind(name, help_, [label], registry=registry)
            return {value: family.labels(since=value) for value in values}

        every = (*PATHS, "other")
        seconds = partial(
            prometheus.Histogram, buckets=[n * 10.0**e for e in range(-4, 0) for n in (1, 2, 5)]
        )
        self.latency = series(seconds, "http_request_seconds", "Time to answer", "path", every)
        self.rung = series(prometheus.Counter, "predictions", "Answers by rung", "rung", RUNGS)
        self.unknown = series(
            prometheus.Counter, "unknown_names", "Names new to the model", "column", CATEGORIES
        )
        outcomes = ("done", "refused")
        self.swaps = series(
            prometheus.Counter, "model_swaps", "Changes of the model", "outcome", outcomes
        )
        what = ("http_requests", "Requests by answer", ["path", "status"])
        by_answer = prometheus.Counter(*what, registry=registry)
        self.answered = lru_cache(
            lambda path, status: by_answer.labels(since=path, late=str(status))
        )
        for status in (200, 422, 503):
            self.answered("/predict", status)
        shares = [n / 20 for n in range(1, 21)]
        self.score = prometheus.Histogram(
            "prediction_probability", "Scores", buckets=shares, registry=registry
        )
        ages = series(
            prometheus.Gauge, "feature_age_seconds", "How far a feed is behind now", "feed", TOPICS
        )
        for topic, gauge in ages.items():
            gauge.set_function(partial(_known, partial(_age, desk, topic)))
        for name, help_, read in (
            ("desk_now_seconds", "The simulated clock, Unix time", lambda: desk.now.timestamp()),
            ("reports_refused", "Events not understood, or too late", lambda: desk.refused),
            ("answers_unwritten", "Answers not yet written down", lambda: len(desk.record or ())),
            ("rung_failures", "Rungs that broke when they should hold", lambda: desk.failures),
        ):
            prometheus.Gauge(name, help_, registry=registry).set_function(partial(_known, read))


def _age(desk: Desk, topic: str) -> float:
    return desk.ages()[topic] * 60


def _known(read: Callable[[], float]) -> float:
    try:
        return read()
    except NotReady:
        return float("nan")


class Gate:
    """What every request passes: a bound on its body, a bound on how many are answered at once, a stopwatch.

    A request over the bound is turned away before it is parsed; those that are let in keep their latency.
    `/health`, `/ready` and `/metrics` are never shed. A right question is answered here; whatever else comes
    goes on to the framework.
    """

    def __init__(
        self, app: ASGIApp, service: "Service", max_body: int, max_concurrent: int
    ) -> None:
        self.app, self._metrics, self._at_once = app, service.metrics, service.at_once
        self._max_body, self._max_concurrent, self._inside = max_body, max_concurrent, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        path = scope["path"] if scope["path"] in PATHS else "other"

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._admit(path, scope, receive, noted)
        finally:
            self._metrics.latency[path].observe(time.perf_counter() - start)
            self._metrics.answered(path, status).inc()

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
            await self.app(scope, _given(body, receive), send)
            return
        self._inside += 1
        try:
            await asyncio.sleep(0)  # so that all that have come by now are counted
            if self._inside > self._max_concurrent:
                refusal = _refusal(
                    503, "too many requests at once; try again", **{"Retry-After": "1"}
                )
                await refusal(scope, receive, send)
            elif _plain(scope) and (made := self._at_once(body)):
                await _send(made, send)
            else:
                await self.app(scope, _given(body, receive), send)
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

    async def first_the_body() -> Message:
        return messages.pop() if messages else await receive()

    return first_the_body


def _plain(scope: Scope) -> bool:
    return scope["method"] == "POST" and (b"content-type", b"application/json") in scope["headers"]


async def _send(body: bytes, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
        self._caught_up = self._unwritten = False
        if desk.record is None:
            desk.record = deque(maxlen=_UNWRITTEN)
        self._record = desk.record
        quiet = prometheus.Gauge(
            "log_quiet_seconds", "Since the log last grew", registry=self.metrics.registry
        )
        quiet.set_function(lambda: time.monotonic() - self.read_at)

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """Follow the log for as long as the service runs."""
        own = Log(self._log.with_name("answers.db"), flush=False)  # no request waits for the disk
        with Log(self._log) as log, own as answers:
            self.desk.restore(self._snapshot, log)
            following = asyncio.create_task(self._follow(log, answers))
            yield
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            while self._write(answers):
                pass
            self._keep()

    async def _follow(self, log: Log, answers: Log) -> None:
        kept = self.read_at
        while True:
            there, fault = 0, ""
            try:
                there = self.desk.catch_up(log, limit=_EVENTS)
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
            more = self._write(answers) == _ANSWERS
            await asyncio.sleep(0 if there or more else self._poll)

    def _write(self, answers: Log) -> int:
        """Write down what was answered, some of it at a time, and say how many answers that was."""
        try:
            moved = keep_answers(answers, self._record, limit=_ANSWERS)
        except Exception as error:  # say so; they wait in memory for the next turn
            if not self._unwritten:
                _notes.warning("answers cannot be written down: %s", error)
            self._unwritten = True
            return 0
        self._unwritten = False
        return moved

    def _keep(self) -> None:
        """A snapshot; without one, the next start reads the whole log, so a failure is no reason to stop."""
        try:
            if self._caught_up:
                self.desk.snapshot(self._snapshot)
        except OSError as error:
            _notes.warning("no snapshot was taken: %s", error)

    async def predict(
        self, flight: Annotated[Flight, Body(openapi_examples=_EXAMPLES)]
    ) -> Response:
        """The probability that a flight arrives late, with the rung of the ladder it stands on."""
        if why := self._not_ready():
            raise NotReady(why)
        try:
            return Response(self._answer(flight), media_type="application/json")
        except KeyError as error:
            raise HTTPException(404, error.args[0]) from error
        except ValueError as error:
            problem = {"type": "impossible_clock", "loc": ["body"], "msg": str(error)}
            raise RequestValidationError([problem]) from error

    def at_once(self, body: bytes) -> bytes | None:
        """The answer of `predict` in half its time; None if there is anything to say but the answer.

        What a framework adds to a right question is its time. Every wrong one goes to `predict`.
        """
        if self._not_ready():
            return None
        try:
            return self._answer(_FLIGHT.validate_json(body))
        except (KeyError, ValueError):  # a ValidationError is a ValueError
            return None

    def _answer(self, flight: ById | BySchedule) -> bytes:
        answer = self.desk.answer(flight.flight_id if isinstance(flight, ById) else flight.__dict__)
        self.metrics.rung[answer.rung].inc()
        self.metrics.score.observe(answer.probability)
        for column in answer.unknown:
            self.metrics.unknown[column].inc()
        return _ANSWER.dump_json(answer)

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
        return Response(
            prometheus.generate_latest(self.metrics.registry),
            media_type=prometheus.CONTENT_TYPE_LATEST,
        )

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
        release(self._models, full=[release.file, package.sha256])
        self.metrics.swaps["done"].inc()
        return await self.ready()


def create_app(
    desk: Desk,
    log: str | Path,
    *,
    models: str | Path = ".",
    snapshot: str | Path | None = None,
    max_body: int = 4096,
    max_concurrent: int = 64,
    poll: float = 0.2,
    keep: float = 60,
) -> Gate:
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
    Gate
        An ASGI application; the FastAPI application behind it is its `app`.
    """
    log = Path(log)
    kept = Path(snapshot) if snapshot else log.parent / "snapshot.json"
    service = Service(desk, log, Path(models), kept, poll, keep)
    app = FastAPIOffline(
        title="The connections desk",
        description="Will this flight arrive 15 minutes late or more? Time is simulated: `now` comes from the log.",
        version="1",
        lifespan=service.life,
        swagger_ui_parameters={"defaultModelsExpandDepth": -1},  # no list of all schemas
    )
    busy = {503: "not ready yet, or too many requests at once"}
    wrong = {400: "the body is no text", 404: "no such flight or file", 413: "too large a body"}
    refused = {403: "not from another machine", 409: "another hash, or it does not fit"}
    said = _problems(busy | wrong)
    add = app.add_api_route
    predict: dict[str, Any] = {"response_model": Answer, "responses": said, "methods": ["POST"]}
    add("/predict", service.predict, summary="Will it arrive late?", **predict)
    app.router.routes.insert(0, app.router.routes.pop())  # the first that is compared with a path
    add("/health", service.health, summary="Does it run?")
    add("/ready", service.ready, summary="Can it answer?", responses=_problems(busy))
    add("/metrics", service.show_metrics, summary="For Prometheus", response_class=Response)
    swap: dict[str, Any] = {"responses": said | _problems(refused), "methods": ["PUT"]}
    add("/model", service.swap, summary="Answer with another model", **swap)
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("/docs"))
    app.add_exception_handler(NotReady, _not_ready)
    app.add_exception_handler(RequestValidationError, _invalid)
    return Gate(app, service, max_body, max_concurrent)


async def _not_ready(request: Request, error: Exception) -> Response:
    return _refusal(503, str(error), **{"Retry-After": "1"})


async def _invalid(request: Request, error: Any) -> Response:
    """What is wrong and where, without the input: an infinite number in it cannot be sent back."""
    found = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return JSONResponse({"detail": found}, 422)


def release(folder: Path, **changed: Any) -> dict[str, Any]:
    """What is released, after a change: the next start answers with the same models."""
    live = folder / "live.json"
    released: dict[str, Any] = json.loads(live.read_text()) if live.exists() else {}
    if changed:
        write(live, json.dumps(released := released | changed, indent=1).encode())
    return released
