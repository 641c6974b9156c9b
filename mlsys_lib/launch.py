"""Start the service on a replay of 2013: train, follow the log, answer.

python -m mlsys_lib.launch --help
"""

import argparse
import gc
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import uvicorn

from mlsys_lib.checks import Moment, duration, moment, within
from mlsys_lib.desk import Desk, Models
from mlsys_lib.events import CLOCK, Log, replay
from mlsys_lib.features import FEATURES, SCHEDULE, published
from mlsys_lib.files import alone
from mlsys_lib.models import boosted, fit
from mlsys_lib.package import Package, PackageError, load, save
from mlsys_lib.serving import create_app, release
from mlsys_lib.store import history
from mlsys_lib.world import World

_PAST = pd.Timedelta("8D")  # what the longest window needs, and a day
_PATIENCE = 5  # seconds that a clean stop waits for clients
_REFUSED = (OSError, PackageError, ValueError)
_OPTIONS = {
    "--model": (None, "the file of a packaged model; without it, the one released in the folder"),
    "--folder": ("desk", "where the logs and the models are kept"),
    "--start": ("2013-04-22 10:00", "where the replay starts, UTC"),
    "--end": ("2013-04-29 10:00", "where it ends"),
    "--speed": (60.0, "of the replay; 0 leaves the log to another process"),
    "--host": ("127.0.0.1", "another opens the service to the network: it knows no users"),
    "--port": (8000, "where it listens; 0 takes one that is free"),
    "--fresh-for": ("30min", "how old features may be to count as fresh"),
    "--useful-for": ("3h", "how old they may be to be used at all"),
    "--max-concurrent": (64, "predictions at once; more are turned away"),
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(*, arguments: list[str] | None = None) -> None:
    """Start the service; ``python -m mlsys_lib.launch --help`` says how."""
    parser = _Parser(
        prog="python -m mlsys_lib.launch", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, (default, says) in _OPTIONS.items():
        parser.add_argument(name, default=default, type=type(default or ""), help=says)
    options = parser.parse_args(arguments)
    with ExitStack() as held:
        try:
            _check(options)
            line = held.enter_context(_listening(options.host, options.port))
            held.enter_context(alone(options.folder))
            desk = _desk(options)
        except _REFUSED as error:
            parser.error(str(error))
        _serve(desk, line, options)


@contextmanager
def _blaming(option: str) -> Iterator[None]:
    """What is refused inside is the fault of an option."""
    try:
        yield
    except _REFUSED as error:
        raise ValueError(f"{option}: {error}") from None


def _check(options: argparse.Namespace) -> None:
    for name in ("start", "end"):
        at = moment(getattr(options, name), f"--{name}")
        with _blaming(f"--{name}={at:%Y-%m-%d %H:%M}"):
            World(at)
        setattr(options, name, at)
    if options.end < options.start:
        raise ValueError(
            f"--end={options.end:%Y-%m-%d %H:%M} lies before --start; give a later one"
        )
    duration(options.fresh_for, "--fresh-for")
    duration(options.useful_for, "--useful-for")
    within(options.speed, 0, math.inf, "--speed")
    within(options.port, 0, 65535, "--port")
    within(options.max_concurrent, 1, math.inf, "--max-concurrent")


def _listening(host: str, port: int) -> socket.socket:
    """The port, taken before anything that takes time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with _blaming(f"--port={port} of --host={host} cannot be had, give another"):
        return socket.create_server((host, port), family=family)


def _desk(options: argparse.Namespace) -> Desk:
    folder, start, end = Path(options.folder), options.start, options.end
    flights = timetable(start, end)
    if flights.empty:
        at = f"--start={start:%Y-%m-%d %H:%M} or up to a month after --end={end:%Y-%m-%d %H:%M}"
        raise ValueError(f"no flight leaves at {at}; the data holds 2013 and 2023")
    models = _models(folder / "models", start, options.model)
    with Log(folder / "log.db") as log:
        tick = log.last(CLOCK)
        if tick is not None and not start <= tick.available_at <= end:
            at = f"{tick.available_at:%Y-%m-%d %H:%M}, not between --start and --end"
            raise ValueError(f"the log in --folder={folder} stands at {at}; give another folder")
        if tick is None and options.speed:
            since = max(start - _PAST, World("2013-01-01").now)
            log.append(replay(World(start), since, every="1h"))
    return Desk(flights, models, fresh_for=options.fresh_for, useful_for=options.useful_for)


def timetable(start: Moment, end: Moment) -> pd.DataFrame:
    """The flights that a replay can be asked about.

    Parameters
    ----------
    start, end : str or pandas.Timestamp

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 8)
        As `published` gives them at the end, from the hour of the start on: by whole hours, for `hour_flights`
        counts those of an hour.

    Examples
    --------
    >>> timetable("2013-04-22 10:40", "2013-04-22 10:50").sched_dep.min()
    Timestamp('2013-04-22 10:00:00+0000', tz='UTC')
    """
    flights = published(World(end))
    return flights[flights.sched_dep >= moment(start, "start").floor("h")]


def _models(folder: Path, start: pd.Timestamp, model: str | None) -> Models:
    with _blaming(f"--model={model} must be the file of a packaged model"):
        full = load(model) if model else None
    released = release(folder) or _train(folder, start)

    def one(name: str) -> Package:
        file, sha256 = released[name]
        return load(folder / file, sha256=sha256)

    return Models(full or one("full"), one("schedule"), released["base_rate"])


def _train(folder: Path, start: pd.Timestamp) -> dict[str, Any]:
    """A full model, one that needs no feed, and the base rate, from all that is known at the start."""
    world = World(start)
    if world.labels().late.nunique() < 2:
        at = f"at --start={start:%Y-%m-%d %H:%M}"
        raise ValueError(f"{at} too few flights have landed to train on; give a later one")
    rows = history(world)
    rows = rows[rows.label_status == "matured"]
    print(f"Training on the {len(rows):,} flights known at {start:%Y-%m-%d %H:%M} UTC", flush=True)
    made: dict[str, object] = {"base_rate": float(rows.late.mean())}
    for name, columns in (("full", FEATURES), ("schedule", SCHEDULE)):
        print(f"  the {name} model: half a minute", flush=True)
        file = save(fit(boosted, rows, columns=columns), folder, rows.tail(1000))
        made[name] = [file.name, load(file).sha256]
    return release(folder, **made)


def _serve(desk: Desk, line: socket.socket, options: argparse.Namespace) -> None:
    folder = Path(options.folder)
    log = folder / "log.db"
    if options.speed:
        threading.Thread(target=_produce, args=(log, options), daemon=True).start()
    app = create_app(desk, log, models=folder / "models", max_concurrent=options.max_concurrent)
    host, port = line.getsockname()[:2]
    print(f"Serving on http://{host}:{port}/docs; what it keeps is in {folder}", flush=True)
    gc.collect()
    gc.freeze()  # what is here stays: not to be searched for garbage while a request waits
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_PATIENCE
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[line])


def _produce(path: Path, options: argparse.Namespace) -> None:
    """Append to the log what happens, from where it ends, at `speed` simulated minutes a minute."""
    with Log(path) as log:
        tick = log.last(CLOCK)
        waiting = []
        for event in replay(World(options.end), tick.available_at if tick else options.start):
            waiting.append(event)
            if event.topic == CLOCK:
                time.sleep(60 / options.speed)
                log.append(waiting)
                waiting = []


if __name__ == "__main__":
    main()
