"""Start the service on a replay of 2013: train, follow the log, answer.

python -m mlsys_lib.launch --help
"""

import argparse
import gc
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import uvicorn

from mlsys_lib.desk import Desk, Models
from mlsys_lib.events import CLOCK, Log, replay
from mlsys_lib.features import FEATURES, SCHEDULE, batch, published
from mlsys_lib.models import boosted, fit
from mlsys_lib.package import Package, load, save
from mlsys_lib.serving import create_app, release
from mlsys_lib.world import World


def _train(folder: Path, start: str) -> None:
    """A full model, one that needs no feed, and the base rate, from all that is known at the start."""
    print(f"Training on the flights known at {start} UTC; this takes a minute", flush=True)
    world = World(start)
    rows = batch(world, world.decisions())
    rows = rows[rows.label_status == "matured"]
    for name, columns in (("full", FEATURES), ("schedule", SCHEDULE)):
        file = save(fit(boosted, rows, columns=columns), folder, rows.tail(1000))
        release(folder, **{name: [file.name, load(file).sha256]})
    release(folder, base_rate=float(rows.late.mean()))


def _models(folder: Path, start: str, model: str | None) -> Models:
    if not release(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _train(folder, start)
    released = release(folder)

    def one(name: str) -> Package:
        file, sha256 = released[name]
        return load(folder / file, sha256=sha256)

    return Models(load(model) if model else one("full"), one("schedule"), released["base_rate"])


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
    latest = reversed(log.read(max(len(log) - 10_000, 0), 10_000))
    return next((pd.Timestamp(e.available_at) for e in latest if e.topic == CLOCK), None)


def _timetable(start: str, end: str) -> pd.DataFrame:
    """The flights from the start on, by whole hours: `hour_flights` counts those of an hour."""
    timetable = published(World(end))
    return timetable[timetable.sched_dep >= World(start).now.floor("h")]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The lock of a folder; the system lets go of it whatever ends the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "lock.db", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise SystemExit(
                f"another service runs in the folder {folder} ({error}): stop it, or give this one "
                "a folder of its own with --folder"
            ) from None
        yield


def main(*, arguments: list[str] | None = None) -> None:
    """Start the service; ``python -m mlsys_lib.launch --help`` says how."""
    options = _options().parse_args(arguments)
    folder = Path(options.folder)
    with _alone(folder):
        models = _models(folder / "models", options.start, options.model)
        timetable = _timetable(options.start, options.end)
        desk = Desk(timetable, models, fresh_for=options.fresh_for, useful_for=options.useful_for)
        log = folder / "log.db"
        if options.speed:
            producing = (log, options.start, options.end, options.speed)
            threading.Thread(target=_produce, args=producing, daemon=True).start()
        app = create_app(desk, log, models=folder / "models", max_concurrent=options.max_concurrent)
        at = {"host": options.host, "port": options.port}
        print("Serving on http://{host}:{port}/docs; what it keeps is in".format(**at), folder)
        gc.collect()
        gc.freeze()  # what is here stays: not to be searched for garbage while a request waits
        uvicorn.run(app, **at, log_level="warning", access_log=False)


_OPTIONS = {
    "--model": (None, "the file of a packaged model; without it, the one released in the folder"),
    "--folder": ("desk", "where the logs, the snapshot and the models are kept"),
    "--start": ("2013-04-22 10:00", "where the replay starts, UTC"),
    "--end": ("2013-04-29 10:00", "where it ends"),
    "--speed": (60.0, "of the replay; 0 leaves the log to another process"),
    "--host": ("127.0.0.1", "another opens the service to the network: it knows no users"),
    "--port": (8000, "where it listens"),
    "--fresh-for": ("30min", "how old features may be to count as fresh"),
    "--useful-for": ("3h", "how old they may be to be used at all"),
    "--max-concurrent": (64, "predictions at once; more are turned away"),
}


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlsys_lib.launch", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, (default, says) in _OPTIONS.items():
        parser.add_argument(name, default=default, type=type(default or ""), help=says)
    return parser


if __name__ == "__main__":
    main()
