"""The same features, one event at a time: windows over what has reached the desk, kept up to date.

`Windows` makes of each `Rolling` what `mlsys_lib.features.rolling` makes of it, with the same values;
`Stream` adds the timetable. `batch` and `Stream` are proven equal on every decision of a year.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import repeat
from operator import itemgetter
from typing import Any

import pandas as pd

from mlsys_lib import checks
from mlsys_lib import features as defined
from mlsys_lib.checks import Moment
from mlsys_lib.events import TOPICS, Event
from mlsys_lib.world import LATE, MEASURED, AvailabilityError

_NEVER = datetime.min.replace(tzinfo=UTC)
_Seen = dict[str, Mapping[str, float]]
_NOT_MEASURED = dict.fromkeys(MEASURED, math.nan)


class _Window:
    """The reports of one key in the last hours, and their sums, kept up to date."""

    __slots__ = ("count", "delay", "late", "reports")

    def __init__(self) -> None:
        self.reports: deque[tuple[datetime, float]] = deque()
        self.count = self.late = self.delay = 0

    def add(self, at: datetime, delay: float) -> None:
        self.reports.append((at, delay))
        self._count(delay, 1)

    def expire(self, until: datetime) -> None:
        while self.reports and self.reports[0][0] <= until:
            self._count(self.reports.popleft()[1], -1)

    def figure(self, name: str) -> float:
        if name == "count":
            return self.count
        if not self.count:
            return math.nan
        if name == "late rate":
            return self.late / self.count
        return self.delay / (self.count * defined.MICROSECONDS)

    def _count(self, delay: float, sign: int) -> None:
        self.count += sign
        self.late += sign * (delay >= LATE)
        self.delay += sign * math.floor(delay * defined.MICROSECONDS + 0.5)


_EMPTY = _Window()


class _Span:
    """The windows of one topic, kind of key and length, and the features that are read off them."""

    def __init__(self, topic: str, by: tuple[str, ...], hours: int) -> None:
        self.topic, self.length = topic, timedelta(hours=int(hours))
        self.key: Callable[[Mapping[str, Any]], Any] = itemgetter(*by)
        self.windows: dict[Any, _Window] = {}
        self.figures: list[tuple[str, str]] = []


class Windows:
    """What the rolling features and the weather are, as of a moment, fed by one report at a time.

    Parameters
    ----------
    features : iterable of Rolling, default `ROLLING`

    Notes
    -----
    Its state is the reports of the longest window and the latest observation of each airport. It is
    not stored: after a crash, new windows are fed from the log again, from one longest window back.
    Each topic has a time of its own, so one that is behind does not hold up the others.

    Examples
    --------
    >>> from mlsys_lib import World
    >>> from mlsys_lib.events import reports
    >>> world = World("2013-04-22 15:00")
    >>> windows = Windows()
    >>> for event in reports(world, since="2013-04-21"):
    ...     windows.add(event)
    >>> row = windows.row({"carrier": "DL", "origin": "LGA", "dest": "MCO"}, world.now)
    >>> row["visib"], row["origin_landed_late_2h"], row["origin_landed_count_2h"]
    (10.0, 0.41379310344827586, 29)
    """

    def __init__(self, *, features: Iterable[defined.Rolling] = defined.ROLLING) -> None:
        spans: dict[tuple[str, tuple[str, ...], int], _Span] = {}
        for f in defined.distinct(features):
            span = spans.setdefault((f.topic, f.by, f.hours), _Span(f.topic, f.by, f.hours))
            span.figures.append((f.name, f.figure))
        self._spans = list(spans.values())
        self._weather: _Seen = {}
        self._told = dict.fromkeys(TOPICS, _NEVER)  # the moment of each topic's latest report
        self._asked = dict.fromkeys(TOPICS, _NEVER)  # and that of the latest row

    def held(self) -> tuple[int, int]:
        """How many windows there are, and how many reports they hold."""
        windows = [window for span in self._spans for window in span.windows.values()]
        return len(windows), sum(window.count for window in windows)

    def add(self, event: Event) -> None:
        """Take in one report.

        Parameters
        ----------
        event : Event
            Of `TOPICS`, with the fields that `reports` gives.

        Raises
        ------
        ValueError
            If it is older than a report of its topic that came before, or not newer than a moment
            that was asked for, or no such report, or without a delay. The state is then as before.
        """
        topic, at = event.topic, event.available_at
        try:
            late = at < self._told[topic] or at <= self._asked[topic]
            seen, delay, keys = self._read(topic, event.value)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{event.key} is no report to be understood: {error!r}") from error
        if late:
            raise ValueError(f"{event.key} is of {at:%Y-%m-%d %H:%MZ}, but {self._stands(topic)}")
        self._told[topic] = at
        self._weather.update(seen)
        for span, key in keys.items():
            window = span.windows.setdefault(key, _Window())
            window.expire(at - span.length)
            window.add(at, delay)

    def _read(self, topic: str, value: Mapping[str, Any]) -> tuple[_Seen, float, dict[_Span, Any]]:
        """What a report says: an observation, or a delay and whose windows it enters."""
        if topic == "weather":
            seen = {n: math.nan if value[n] is None else float(value[n]) for n in MEASURED}
            return {value["origin"]: seen}, 0, {}
        delay = value[defined.DELAY[topic]]
        checks.within(delay, -defined.MAX_DELAY, defined.MAX_DELAY, defined.DELAY[topic])
        keys = {span: span.key(value) for span in self._spans if span.topic == topic}
        hash(tuple(keys.values()))  # raises here rather than halfway
        return {}, float(delay), keys

    def _stands(self, topic: str) -> str:
        now = max(self._told[topic], self._asked[topic])
        remedy = "go in the order of time, and feed all of a moment before you ask"
        return f"the stream of {topic} stands at {now:%Y-%m-%d %H:%MZ}; {remedy}"

    def row(
        self, columns: Mapping[str, Any], at: datetime | Mapping[str, datetime]
    ) -> dict[str, Any]:
        """The weather and the rolling features of one flight.

        Parameters
        ----------
        columns : mapping of str to values
            `CATEGORIES` of the flight, and whatever else the row shall begin with.
        at : aware datetime, or mapping of topic to aware datetime
            As of when; with a mapping, each topic as of its own moment.

        Returns
        -------
        dict
            `columns`, those of `MEASURED`, and the rolling features; what is missing is NaN.

        Raises
        ------
        AvailabilityError
            If reports from after `at` have been added: what was known then is no longer held.
        KeyError
            If a column or a topic is missing.
        """
        moments = at if isinstance(at, Mapping) else dict.fromkeys(TOPICS, at)
        for topic, moment in moments.items():
            if moment < self._told[topic] or moment < self._asked[topic]:
                raise AvailabilityError(f"{moment:%Y-%m-%d %H:%MZ} is over: {self._stands(topic)}")
        row = {**columns, **self._weather.get(columns["origin"], _NOT_MEASURED)}
        for span in self._spans:
            window = span.windows.get(span.key(columns), _EMPTY)
            window.expire(moments[span.topic] - span.length)
            for name, figure in span.figures:
                row[name] = window.figure(figure)
        self._asked.update(moments)
        return row


class Stream:
    """The same features for the flights of a timetable, fed and asked in the order of time.

    Parameters
    ----------
    timetable : pandas.DataFrame
        The flights that may be asked about, as `published` gives them.
    features : iterable of Rolling, default `ROLLING`

    Examples
    --------
    >>> from mlsys_lib import World
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

    def __init__(
        self, timetable: pd.DataFrame, *, features: Iterable[defined.Rolling] = defined.ROLLING
    ) -> None:
        self._features = defined.distinct(features)
        self._windows = Windows(features=self._features)
        self._plans: dict[Any, Any] = defined.schedule(timetable).to_dict("index")

    def __repr__(self) -> str:
        windows, reports = self._windows.held()
        return f"Stream of {len(self._features)} features: {windows:,} windows hold {reports:,} reports"

    def feed(self, event: Event) -> None:
        """Take in one report, as `Windows.add` does."""
        self._windows.add(event)

    def features(self, flight_id: str, decided_at: Moment) -> dict[str, Any]:
        """All features of one decision.

        Parameters
        ----------
        flight_id : str
        decided_at : str or datetime
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
            If the timetable lacks the flight, or `decided_at` is no moment.
        """
        if flight_id not in self._plans:
            raise ValueError(f"no flight {flight_id!r} in this stream's timetable")
        at = checks.moment(decided_at, "decided_at").to_pydatetime()
        return self._windows.row(self._plans[flight_id], at)

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
        wanted = ["flight_id", "decided_at"]
        checks.columns(decisions, wanted, remedy="World.decisions() gives both columns")
        asked = decisions[wanted].reset_index(drop=True)
        asked["decided_at"] = checks.moments(asked.decided_at, "decided_at")
        asked = asked.sort_values("decided_at", kind="stable")
        names = [*defined.SCHEDULE, *MEASURED, *(feature.name for feature in self._features)]
        # At one moment, the reports before the decision.
        told = ((event.available_at, 0, event) for event in events)
        ask = zip(asked.decided_at, repeat(1), asked.flight_id, strict=False)
        found = []
        for at, kind, what in merge(told, ask, key=itemgetter(0, 1)):
            if kind == 0:
                self.feed(what)
            else:
                row = self.features(what, at)
                found.append([row[name] for name in names])
        return asked.join(pd.DataFrame(found, index=asked.index, columns=names)).sort_index()
