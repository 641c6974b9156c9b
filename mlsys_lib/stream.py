"""The same features, one event at a time: windows over what has reached the desk, kept up to date.

`Stream` makes of each `Rolling` what `mlsys_lib.features.rolling` makes of it, with the same values.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from mlsys_lib.events import Event
from mlsys_lib.features import _DELAY, LATE, ROLLING, SCHEDULE, Rolling, _Span, schedule
from mlsys_lib.world import MEASURED, AvailabilityError


class _Window:
    """The reports of one key in the last hours, and their sums, kept up to date."""

    __slots__ = ("count", "delay", "late", "reports", "span")

    def __init__(self, hours: int) -> None:
        self.span = timedelta(hours=hours)
        self.reports: deque[tuple[datetime, int]] = deque()
        self.count = self.late = self.delay = 0

    def add(self, at: datetime, delay: int) -> None:
        self.expire(at)
        self.reports.append((at, delay))
        self._count(delay, 1)

    def expire(self, now: datetime) -> None:
        until = now - self.span
        while self.reports and self.reports[0][0] <= until:
            self._count(self.reports.popleft()[1], -1)

    def figure(self, name: str) -> float:
        if name == "count":
            return self.count
        total = self.late if name == "late rate" else self.delay
        return total / self.count if self.count else math.nan

    def _count(self, delay: int, sign: int) -> None:
        self.count += sign
        self.late += sign * (delay >= LATE)
        self.delay += sign * delay


class Stream:
    """The same features, kept up to date by one event at a time.

    Parameters
    ----------
    timetable : pandas.DataFrame
        The flights that may be asked about, as `published` gives them.
    features : iterable of Rolling, default `ROLLING`

    Notes
    -----
    Its state is the reports of the longest window and the latest observation of each airport. It is
    not stored: after a crash, a new stream reads the log again from one longest window back.

    Examples
    --------
    >>> from mlsys_lib.events import reports
    >>> world = World("2013-04-22 15:00")
    >>> stream = Stream(world.schedule(hours=3))
    >>> for event in reports(world, since="2013-04-21"):
    ...     stream.feed(event)
    >>> now = stream.features("2013-04-22/DL1685/LGA", world.now)
    >>> now["visib"], now["origin_landed_late_2h"], now["origin_landed_count_2h"]
    (10.0, 0.41379310344827586, 29)
    >>> stream
    Stream of 12 features: ...
    """

    def __init__(self, timetable: pd.DataFrame, *, features: Iterable[Rolling] = ROLLING) -> None:
        self._features = tuple(features)
        plan = schedule(timetable)
        self._plan = dict(zip(plan.index, plan.itertuples(index=False, name=None), strict=True))
        self._windows: dict[_Span, dict[tuple[str, ...], _Window]] = {
            f.span: {} for f in self._features
        }
        self._weather: dict[str, Mapping[str, Any]] = {}
        self._fed = self._asked = datetime.min.replace(tzinfo=UTC)

    def __repr__(self) -> str:
        held = [window for windows in self._windows.values() for window in windows.values()]
        return f"Stream of {len(self._features)} features: {len(held):,} windows hold {sum(w.count for w in held):,} reports"

    def feed(self, event: Event) -> None:
        """Take in one report.

        Parameters
        ----------
        event : Event

        Raises
        ------
        ValueError
            If it is older than a report fed before, not newer than a decision answered before, or not
            a report of `TOPICS` with the fields that `reports` gives. The state is then as before.
        """
        at = event.available_at
        if at < self._fed or at <= self._asked:
            raise ValueError(
                f"{event.key} was available at {at:%Y-%m-%d %H:%M} UTC, but the stream stands at "
                f"{max(self._fed, self._asked):%Y-%m-%d %H:%M} UTC; feed reports in the order of available_at, "
                "and all of a moment before you ask for it"
            )
        try:
            self._take(event)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{event.key} is no report that the features understand: {type(error).__name__} {error}"
            ) from error
        self._fed = at

    def features(self, flight_id: str, decided_at: datetime) -> dict[str, Any]:
        """All features of one decision.

        Parameters
        ----------
        flight_id : str
        decided_at : datetime, aware
            Not before the latest report fed, nor the latest decision.

        Returns
        -------
        dict
            The columns of `SCHEDULE`, `MEASURED` and the rolling features; what is missing is NaN.

        Raises
        ------
        AvailabilityError
            If reports from after `decided_at` have been fed.
        ValueError
            If the timetable lacks the flight.
        """
        if decided_at < max(self._fed, self._asked):
            raise AvailabilityError(
                f"the stream stands at {max(self._fed, self._asked):%Y-%m-%d %H:%M} UTC and would show the decision "
                f"at {decided_at:%Y-%m-%d %H:%M} UTC its future; ask in the order of time, or replay the log"
            )
        if flight_id not in self._plan:
            raise ValueError(f"no flight {flight_id!r} in this stream's timetable")
        self._asked = decided_at
        row = dict(zip(SCHEDULE, self._plan[flight_id], strict=True))
        seen = self._weather.get(row["origin"], {})
        row |= {name: math.nan if (value := seen.get(name)) is None else value for name in MEASURED}
        for feature in self._features:
            window = self._window(feature.span, row)
            window.expire(decided_at)
            row[feature.name] = window.figure(feature.figure)
        return row

    def play(self, events: Iterable[Event], decisions: pd.DataFrame) -> pd.DataFrame:
        """Feed events and answer decisions as time goes by: what `batch` does, one by one.

        Parameters
        ----------
        events : iterable of Event
            In the order of `available_at`.
        decisions : pandas.DataFrame of shape (n_decisions, 2 or more)
            `flight_id` and `decided_at`, in any order.

        Returns
        -------
        pandas.DataFrame of shape (n_decisions, n_columns)
            `flight_id`, `decided_at` and the features, in the order of `decisions`.
        """
        asked = decisions[["flight_id", "decided_at"]].reset_index(drop=True)
        asked = asked.assign(decided_at=pd.to_datetime(asked.decided_at, utc=True)).sort_values(
            "decided_at", kind="stable"
        )
        coming = iter(events)
        event = next(coming, None)
        found = []
        for flight_id, decided_at in zip(
            asked.flight_id, pd.DatetimeIndex(asked.decided_at).to_pydatetime(), strict=True
        ):
            while event is not None and event.available_at <= decided_at:
                self.feed(event)
                event = next(coming, None)
            found.append(tuple(self.features(flight_id, decided_at).values()))
        while event is not None:
            self.feed(event)
            event = next(coming, None)
        names = [*SCHEDULE, *MEASURED, *(feature.name for feature in self._features)]
        return asked.join(pd.DataFrame(found, index=asked.index, columns=names)).sort_index()

    def _take(self, event: Event) -> None:
        value = event.value
        if event.topic == "weather":
            self._weather[value["origin"]] = {name: value[name] for name in MEASURED}
            return
        delay = int(value[_DELAY[event.topic]])
        kept = [self._window(span, value) for span in self._windows if span[0] == event.topic]
        for window in kept:
            window.add(event.available_at, delay)

    def _window(self, span: _Span, row: Mapping[str, Any]) -> _Window:
        windows = self._windows[span]
        key = tuple(row[name] for name in span[1])
        if key not in windows:
            windows[key] = _Window(span[2])
        return windows[key]
