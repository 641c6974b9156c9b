"""A producer and consumer in one, for `test_events.py` to kill."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlsys_lib.events import Event, Log

NOON = datetime(2013, 4, 22, 16, tzinfo=UTC)


def departure(number: int, delay: int = 0) -> Event:
    left = NOON + timedelta(minutes=number)
    value = {"origin": "LGA", "dep_delay": delay}
    return Event("departures", f"flight {number}", left, left + timedelta(minutes=10), value)


def work(path: str, acknowledged: str, start: int) -> None:
    """Append without end, consume what is there; note in a file only what the log has confirmed."""
    with Log(path) as log, Path(acknowledged).open("a") as notes:
        print("first", log.position("consumer"), file=notes, flush=True)
        for n in range(start, start + 1_000_000):
            log.append(departure(4 * n + k) for k in range(4))
            print("appended", n, file=notes, flush=True)
            if n % 3 == 0:
                done = [event.offset for event in log.read(log.position("consumer"), 9)]
                log.commit("consumer", done[-1] + 1)
                print("committed", done[0], done[-1] + 1, file=notes, flush=True)
