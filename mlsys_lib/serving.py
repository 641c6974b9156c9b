"""The prediction service: the desk over HTTP.

    python -m mlsys_lib.launch

replays 22 April 2013 at sixty times its speed (a simulated minute a second) and answers on
http://127.0.0.1:8000; the page /docs tries it out. The first start trains a model, which takes a minute.
All it writes is in the folder ``desk``: the log, the models, and ``answers.db``, the log of its own
answers (`mlsys_lib.desk.answered` reads it). It may be killed at any moment: the next start reads the log
from one longest window back, and answers as if nothing had happened. What a kill can lose is the record
of the last answers: they are written a fifth of a second after they were given. A clean stop writes all.

=================  ===============================================================================
``POST /predict``  one flight, by its id or by its schedule
``GET /health``    200: the process runs
``GET /ready``     200: it has a state to answer from; 503 until the log has a tick
``GET /metrics``   for Prometheus
``PUT /model``     another model, if its hash and its signature are right; no request is dropped
=================  ===============================================================================

A body is read as JSON, whatever its content type says. One process serves a folder; a lock there refuses
a second one. What it holds is in its own memory, and every other process can build the same from the same
log. It listens on the loopback alone unless told otherwise: it knows no users.
"""

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client as prometheus
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlsys_lib import schemas
from mlsys_lib.desk import RUNGS, Answer, Desk, NotReady, keep_answers
from mlsys_lib.events import TOPICS, Log
from mlsys_lib.features import CATEGORIES
from mlsys_lib.files import Place, write
from mlsys_lib.package import PackageError, load

PATHS = ("/predict", "/health", "/ready", "/metrics", "/model")
LOOPBACK = ("127.0.0.1", "::1")
_READ, _WRITE = "the log cannot be read", "answers cannot be written down"
_EVENTS, _ANSWERS = 200, 50  # read, and written, before requests get their turn
_LARGEST = 4096  # bytes of a body
_UNWRITTEN = 10_000  # answers, some 25 MB: where their log cannot be written, the oldest go
_DRAINED = 2**26  # bytes of too large a body that are read, so that its sender hears of it
_SECONDS = [n * 10.0**e for e in range(-4, 0) for n in (1, 2, 5)]
_SHARES = [n / 20 for n in range(1, 21)]
_RETRY = {"Retry-After": "1"}
_STATUS = {FileNotFoundError: 404, PackageError: 409}
_notes = logging.getLogger("mlsys_lib.serving")


class Metrics:
    """What Prometheus is told. Every series exists from the start: one that appears later has no rate."""

    def __init__(self, desk: Desk) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        counter = partial(prometheus.Counter, registry=registry)
        gauge = partial(prometheus.Gauge, registry=registry)
        histogram = partial(prometheus.Histogram, registry=registry)
        self.requests = counter("http_requests", "Requests by answer", ["path", "status"])
        seconds = histogram("http_request_seconds", "To answer", ["path"], buckets=_SECONDS)
        rungs = counter("predictions", "Answers by rung", ["rung"])
        self.scores = histogram("prediction_probability", "Scores", buckets=_SHARES)
        unknown = counter("unknown_names", "Names new to the model", ["column"])
        self.swaps = counter("model_swaps", "Changes of the model", ["outcome"])
        ages = gauge("feature_age_seconds", "How far a feed is behind now", ["feed"])
        self.seconds = {path: seconds.labels(path) for path in (*PATHS, "other")}
        self.rungs = {rung: rungs.labels(rung) for rung in RUNGS}
        self.unknown = {column: unknown.labels(column) for column in CATEGORIES}
        for status in (200, 422, 503):
            self.requests.labels("/predict", status)
        for outcome in ("done", "refused"):
            self.swaps.labels(outcome)
        for feed in TOPICS:
            ages.labels(feed).set_function(partial(_age, desk, feed))
        self.read_at = time.monotonic()
        for name, says, read in (
            ("desk_now_seconds", "The simulated clock, Unix time", lambda: _now(desk)),
            ("log_quiet_seconds", "Since the log grew", lambda: time.monotonic() - self.read_at),
            ("reports_refused", "Events not understood, or too late", lambda: desk.refused),
            ("answers_unwritten", "Answers not yet written down", lambda: len(desk.record or ())),
            ("rung_failures", "Rungs that broke when they should hold", lambda: desk.failures),
        ):
            gauge(name, says).set_function(read)


def _age(desk: Desk, feed: str) -> float:
    return desk.ages()[feed] * 60


def _now(desk: Desk) -> float:
    try:
        return desk.now.timestamp()
    except NotReady:
        return math.nan


class Gate:
    """What every request passes: a bound on its body, one on how many are answered at once, a stopwatch.

    A request over a bound is turned away before it is parsed, and the others keep their latency; `/health`,
    `/ready` and `/metrics` are never shed. One that breaks off in its body is no request: it is not answered,
    counted or recorded. The stopwatch starts when the whole body is there: a slow sender's time is his own.
    Routes find the body in `request.state.body`.
    """

    def __init__(self, app: FastAPI, metrics: Metrics, max_concurrent: int) -> None:
        self.app, self._metrics = app, metrics
        self._max_concurrent, self._inside = max_concurrent, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif (body := await self._body(receive)) is not None:
            scope.setdefault("state", {})["body"] = body
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._inside += path == "/predict"
            try:
                with self._metrics.seconds[path].time():
                    await self._answer(path, scope, receive, send)
            finally:
                self._inside -= path == "/predict"

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, or the beginning of one that is too large; None if its sender hung up."""
        body, size, more = b"", 0, True
        while more and size < _DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if len(body) <= _LARGEST:
                body += part
        return body

    async def _answer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        app: ASGIApp = self.app
        await asyncio.sleep(0)  # so that all that have come by now are counted
        if len(scope["state"]["body"]) > _LARGEST:
            said = f"the body is larger than {_LARGEST} bytes"
            app = JSONResponse({"detail": said}, 413, {"Connection": "close"})
        elif path == "/predict" and self._inside > self._max_concurrent:
            app = JSONResponse({"detail": "too many requests at once; try again"}, 503, _RETRY)
        await app(scope, receive, counted)


class Service:
    """A desk that follows a log for as long as it serves; what it answers is written down."""

    def __init__(self, desk: Desk, log: Path, models: Path, poll: float) -> None:
        self.desk, self.metrics = desk, Metrics(desk)
        self._log, self._models, self._poll = log, models, poll
        self._faults: dict[str, str] = {}
        if desk.record is None:
            desk.record = deque(maxlen=_UNWRITTEN)
        self._record = desk.record

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """From the start, when the log is read, to a clean stop, when all that was answered is written."""
        own = Log(self._log.with_name("answers.db"), flush=False)  # no request waits for the disk
        with Log(self._log) as log, own as answers:
            self.desk.resume(log)
            following = asyncio.create_task(self._follow(log, answers))
            yield
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            while self._write(answers):
                pass

    async def _follow(self, log: Log, answers: Log) -> None:
        while True:
            there = self._tried(_READ, lambda: self.desk.catch_up(log, limit=_EVENTS))
            self.desk.fault = self._faults.get(_READ, "")
            if there:
                self.metrics.read_at = time.monotonic()
            more = self._write(answers) == _ANSWERS
            await asyncio.sleep(0 if there or more else self._poll)

    def _write(self, answers: Log) -> int:
        """Write down what was answered, some of it at a time; what cannot be written waits in memory."""
        return self._tried(_WRITE, lambda: keep_answers(answers, self._record, limit=_ANSWERS))

    def _tried(self, what: str, action: Callable[[], int]) -> int:
        """How many were moved; a fault is noted when it is new, and the next turn tries again."""
        try:
            moved = action()
        except Exception as error:
            fault = f"{what}: {error}"
            if self._faults.get(what) != fault:
                _notes.warning(fault)
            self._faults[what] = fault
            return 0
        self._faults.pop(what, None)
        return moved

    def answer(self, flight: schemas.ById | schemas.BySchedule) -> Answer:
        """What the desk says about a flight, and counted."""
        asked = flight.flight_id if isinstance(flight, schemas.ById) else flight.__dict__
        answer = self.desk.answer(asked)
        self.metrics.rungs[answer.rung].inc()
        self.metrics.scores.observe(answer.probability)
        for column in answer.unknown:
            self.metrics.unknown[column].inc()
        return answer

    async def swap(self, wanted: schemas.Release) -> None:
        """Answer with another model, once it is written down that the next start shall do so as well."""
        path = self._models / wanted.file
        if not path.is_file():
            raise FileNotFoundError(f"no file {wanted.file} in the folder of models")
        package = await asyncio.to_thread(load, path, sha256=wanted.sha256)
        models = replace(self.desk.models, full=package)
        release(self._models, full=[wanted.file, package.sha256])
        self.desk.models = models


class Direct(APIRoute):
    """A route whose function reads the request by itself: FastAPI documents it, and injects nothing."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function as it was written."""
        return self.endpoint


direct, routes = APIRouter(route_class=Direct), APIRouter()


@direct.post("/predict", summary="Will it arrive late?", response_model=Answer, **schemas.PREDICT)
async def predict(request: Request) -> Response:
    """The probability that a flight arrives late, with the rung of the ladder it stands on."""
    flight = schemas.FLIGHT.validate_json(request.state.body)
    try:
        answer = request.app.state.service.answer(flight)
    except KeyError as error:
        raise HTTPException(404, error.args[0]) from error
    except ValueError as error:
        problem = {"type": "impossible_clock", "loc": [], "msg": str(error)}
        raise HTTPException(422, [problem]) from error
    return Response(schemas.ANSWER.dump_json(answer), media_type="application/json")


@routes.get("/health", summary="Does it run?")
async def health() -> dict[str, str]:
    """The process runs."""
    return {"status": "alive"}


@routes.get("/ready", summary="Can it answer?", responses={503: {"model": schemas.Problem}})
async def ready(request: Request) -> schemas.State:
    """There is a state to answer from."""
    desk: Desk = request.app.state.service.desk
    model = desk.models.full.sha256[:12] if desk.models.full else None
    return schemas.State(ready=True, detail=desk.fault or "ready", now=desk.now, model=model)


@routes.get("/metrics", summary="For Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """What Prometheus scrapes."""
    text = prometheus.generate_latest(request.app.state.service.metrics.registry)
    return Response(text, media_type=prometheus.CONTENT_TYPE_LATEST)


@routes.put("/model", summary="Answer with another model", **schemas.MODEL)
async def swap(request: Request) -> schemas.State:
    """Answer with another model from now on. Requests under way end with the one they began with."""
    if request.client is None or request.client.host not in LOOPBACK:
        raise HTTPException(403, "models are changed from this machine alone")
    service: Service = request.app.state.service
    wanted = schemas.Release.model_validate_json(request.state.body)
    try:
        await service.swap(wanted)
    except (PackageError, OSError) as error:
        service.metrics.swaps.labels("refused").inc()
        status = _STATUS.get(type(error), 503)
        raise HTTPException(status, f"{error}; the model stays as it is") from error
    service.metrics.swaps.labels("done").inc()
    return await ready(request)


@routes.get("/", include_in_schema=False)
async def page() -> Response:
    return RedirectResponse("/docs")


async def _not_ready(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, _RETRY)


async def _invalid(request: Request, error: Any) -> Response:
    """What is wrong and where, without the input: an infinite number in it cannot be sent back."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return JSONResponse({"detail": found}, 422)


def create_app(
    desk: Desk, log: Place, *, models: Place = ".", max_concurrent: int = 64, poll: float = 0.2
) -> Gate:
    """The service around a desk, for any ASGI server; `mlsys_lib.launch` runs it on uvicorn.

    Parameters
    ----------
    desk : Desk
    log : path
        The event log to follow; other processes append to it.
    models : path, default "."
        The folder that `PUT /model` may load from.
    max_concurrent : int, default 64
        Predictions answered at once; one more gets 503 and `Retry-After`.
    poll : float, default 0.2
        Seconds between two looks at the log.

    Returns
    -------
    Gate
        An ASGI application; the FastAPI application behind it is its `app`.
    """
    service = Service(desk, Path(log), Path(models), poll)
    app = FastAPIOffline(
        title="The connections desk",
        description="Will this flight arrive 15 minutes late or more? Time is simulated: `now` comes from the log.",
        version="1",
        lifespan=service.life,
        telemetry=dict.fromkeys(("tracing", "metrics", "logs"), False),  # /metrics says it all
        swagger_ui_parameters={"defaultModelsExpandDepth": -1},  # no list of all schemas
        exception_handlers={NotReady: _not_ready, ValidationError: _invalid},
    )
    app.state.service = service
    # Ahead of the docs page's own: each request tries the routes in their order.
    app.router.routes[:0] = direct.routes + routes.routes
    return Gate(app, service.metrics, max_concurrent)


def release(folder: Path, **changed: Any) -> dict[str, Any]:
    """What is released, after a change: the next start answers with the same models."""
    live = folder / "live.json"
    try:
        released: dict[str, Any] = json.loads(live.read_text()) if live.exists() else {}
    except ValueError as error:
        raise PackageError(f"{live} is damaged: {error}. Remove it and start again") from None
    if changed:
        write(live, json.dumps(released := released | changed, indent=1).encode())
    return released
