"""A desk in a process of its own, for `test_desk.py` and `test_serving.py` to kill."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import uvicorn

from mlsys_lib.desk import Desk, Models
from mlsys_lib.events import CLOCK, Event, Log
from mlsys_lib.package import load
from mlsys_lib.serving import create_app


def desk_of(timetable: pd.DataFrame, full: Path, schedule: Path) -> Desk:
    return Desk(timetable, Models(load(full), load(schedule), 0.2))


def flights(timetable: pd.DataFrame, now: Any) -> list[str]:
    """Three flights to ask about at a moment."""
    return list(timetable.flight_id[timetable.sched_dep > now].head(3))


def said(desk: Desk, flight_id: str) -> list[Any]:
    answer = desk.answer(flight_id)
    return [answer.now.isoformat(), flight_id, answer.probability, answer.rung, answer.age_minutes]


def work(
    folder: Path,
    timetable: pd.DataFrame,
    models: tuple[Path, Path],
    events: Sequence[Event],
) -> None:
    """Append the events that the log lacks, a tick at a time; answer."""
    desk = desk_of(timetable, *models)
    with Log(folder / "log.db") as log:
        notes = os.open(folder / "notes.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        desk.resume(log)
        waiting = []
        for event in events[len(log) :]:
            waiting.append(event)
            if event.topic != CLOCK:
                continue
            log.append(waiting)
            os.write(notes, f"{json.dumps(['appended', [e.key for e in waiting]])}\n".encode())
            waiting = []
            while desk.catch_up(log, limit=50):
                pass
            for flight_id in flights(timetable, desk.now):
                os.write(notes, f"{json.dumps(['answered', said(desk, flight_id)])}\n".encode())


def serve(folder: Path, timetable: pd.DataFrame, models: tuple[Path, Path], port: int) -> None:
    """The service over a log that is there."""
    app = create_app(desk_of(timetable, *models), folder / "log.db", poll=0.02)
    uvicorn.run(app, port=port, log_level="warning")
