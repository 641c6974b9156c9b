"""The clock: every table as of a moment.

Each event has the time at which it happened (`event_time`) and the time at which the desk could first
know it (`available_at`). One rule gives the second from the first::

    available_at = event_time + lag          (the reporting lag, ten minutes unless you say otherwise)

with these event times, all in UTC:

==============  ==================================================================================
departure       the moment it left
arrival         the moment it landed
cancellation    scheduled departure (assumed: the data does not say when it was announced)
diversion       scheduled arrival, or departure if that was later (assumed, likewise)
observation     51 minutes past the hour of its row: the hourly report is made then, not on the hour
timetable       out `TIMETABLE_DAYS` days before the flight (assumed), without any lag
==============  ==================================================================================

A naive moment such as ``"2013-04-22 10:00"`` is UTC. That is 6 in the morning in New York.

The data holds 2013 and 2023. The clock can stand in either year, and up to `AFTERMATH_DAYS` days after it,
when its last flights have landed and their labels are in; between the two there is nothing to see.
"""

from datetime import timedelta
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks, data
from mlsys_lib.checks import Duration, Moment

HOME = "America/New_York"
LATE = 15  # minutes of delay from which on a departure or an arrival is late
TIMETABLE_DAYS = 30
AFTERMATH_DAYS = 60
_ROUTE = ["carrier", "flight", "origin", "dest", "distance"]
_WIND = ["wind_dir", "wind_speed", "wind_gust"]
PUBLISHED = ["flight_id", *_ROUTE, "sched_dep", "sched_arr"]
MEASURED = ["temp", "dewp", "humid", *_WIND, "precip", "pressure", "visib"]
_MADE = [*PUBLISHED[1:], *MEASURED, "observed_at", "late", "label_status", "labelled_at"]
_TIMETABLE = pd.Timedelta(days=TIMETABLE_DAYS)
_SPAN = timedelta(days=366 * (data.YEARS[-1] - data.YEARS[0] + 2))
# Destinations that the airports table lacks, in both years.
_UNLISTED = dict.fromkeys(["BQN", "PSE", "SJU", "STT"], "America/Puerto_Rico")


class AvailabilityError(LookupError):
    """Something was asked for that is not known yet at the moment of the clock."""


class World:
    """All that the connections desk can know at one moment, and nothing else.

    Parameters
    ----------
    now : str or pandas.Timestamp
        The moment. A naive one is UTC. In 2013 or 2023, or up to `AFTERMATH_DAYS` days after; a world
        in 2023 remembers 2013.
    lag : str or pandas.Timedelta, default "10min"
        How long after an event its report arrives.

    Raises
    ------
    ValueError
        If `now` is no moment or lies outside of the data, or `lag` is no duration or negative.

    Examples
    --------
    Ten in the morning (UTC) is six in New York: the day's first flights are just leaving.

    >>> world = World(now="2013-04-22 10:00")
    >>> len(world.schedule(hours=24))
    985
    >>> today = world.labels(since="2013-04-22 04:00")
    >>> len(today)
    28
    >>> _ = world.advance(hours=12)
    >>> world.labels(since="2013-04-22 04:00").status.value_counts().to_dict()
    {'matured': 504, 'pending': 239, 'censored': 30}
    """

    def __init__(self, now: Moment, *, lag: Duration = "10min") -> None:
        self._now = _held(checks.moment(now, "now"))
        self._lag = checks.duration(lag, "lag")

    def __repr__(self) -> str:
        return f"World(now='{self._now:%Y-%m-%d %H:%M}' UTC, lag='{self._lag.total_seconds() / 60:g}min')"

    @property
    def now(self) -> pd.Timestamp:
        """The moment at which the clock stands, in UTC."""
        return self._now

    @property
    def lag(self) -> pd.Timedelta:
        """How long after an event its report arrives."""
        return self._lag

    def advance(self, **duration: float) -> Self:
        """Let time pass; the same world then knows more, never less.

        Parameters
        ----------
        **duration : float
            ``days=1``, ``hours=1``, ``minutes=30``, ``seconds=10``, zero or more each.

        Returns
        -------
        World
            This world.

        Raises
        ------
        ValueError
            If a duration is negative, or no number, or its unit is not known, or the data ends before.

        Examples
        --------
        >>> World("2013-04-22 10:00").advance(hours=1, minutes=30)
        World(now='2013-04-22 11:30' UTC, lag='10min')
        """
        for unit, amount in duration.items():
            checks.one_of(unit, ("days", "hours", "minutes", "seconds"), "unit")
            most = _SPAN / timedelta(**{unit: 1})
            checks.within(amount, 0, most, f"the clock only moves forward: {unit}")
        self._now = _held(self._now + timedelta(**duration))
        return self

    def hindsight(self) -> "World":
        """The same world when everything is known. The one door through which a chapter may cheat.

        Returns
        -------
        World
            Another world, `AFTERMATH_DAYS` after the last flight of the same year. A report that takes
            longer than that is not in yet.

        Examples
        --------
        >>> world = World("2013-04-22 10:00")
        >>> len(world.flights()), len(world.hindsight().flights())
        (100644, 336776)
        """
        return World(f"{self._year}-12-31", lag=self._lag).advance(days=AFTERMATH_DAYS)

    def schedule(self, *, hours: float = 24) -> pd.DataFrame:
        """The flights about to depart: only what an airline publishes.

        Parameters
        ----------
        hours : float, default 24
            How far to look ahead, from 0 to 720: the timetable is out 30 days before.

        Returns
        -------
        pandas.DataFrame of shape (n_flights, 10)
            The columns of `PUBLISHED` (times in UTC, distance in miles), `event_time` (scheduled
            departure) and `available_at`. No aircraft: which one flies is known when it has left.

        Raises
        ------
        ValueError
            If `hours` is no number of zero or more.
        AvailabilityError
            If it reaches beyond the published timetable.

        Examples
        --------
        >>> World("2013-04-22 10:00").schedule(hours=1)[["flight_id", "dest", "sched_dep"]].head(2)
                       flight_id dest                 sched_dep
        0  2013-04-22/US2161/LGA  DCA 2013-04-22 10:00:00+00:00
        1  2013-04-22/MQ4650/LGA  ATL 2013-04-22 10:00:00+00:00
        """
        checks.within(hours, 0, np.inf, "hours")
        if hours > 24 * TIMETABLE_DAYS:
            raise AvailabilityError(f"hours={hours} exceeds the timetable's {TIMETABLE_DAYS} days")
        table, end = self._operations, self._now + pd.Timedelta(hours=hours)
        ahead = table[(table.sched_dep >= self._now) & (table.sched_dep < end)]
        return _stamped(ahead[PUBLISHED], ahead.sched_dep, -_TIMETABLE)

    def flights(self, *, since: Moment | None = None) -> pd.DataFrame:
        """The flights scheduled to have left by now, each as far as it is known.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only flights scheduled to depart at or after this moment.

        Returns
        -------
        pandas.DataFrame of shape (n_flights, 17)
            The columns of `PUBLISHED`; `status` (scheduled, airborne, landed, cancelled, diverted);
            `dep`, `dep_delay` and `tailnum` where the departure is known; `arr`, `arr_delay` and
            `air_time` where the arrival is known (delays in minutes; missing until then);
            `event_time` (scheduled departure) and `available_at` (when the row became what it is).

        Examples
        --------
        >>> World("2013-04-22 16:00").flights(since="2013-04-22 04:00").status.value_counts().to_dict()
        {'landed': 193, 'airborne': 173, 'scheduled': 31, 'cancelled': 2}
        """
        table = self._operations
        table = table[_between(table.sched_dep, since, self._now)]
        known, left_known = table.outcome_at + self._lag, table.dep + self._lag
        over, left = known <= self._now, left_known <= self._now
        shown = table[PUBLISHED].copy()
        shown["status"] = np.where(over, table.outcome, np.where(left, "airborne", "scheduled"))
        for column in ("dep", "dep_delay", "tailnum"):
            shown[column] = table[column].where(left)
        for column in ("arr", "arr_delay", "air_time"):
            shown[column] = table[column].where(over)
        shown["event_time"] = table.sched_dep
        shown["available_at"] = known.where(
            over, left_known.where(left, table.sched_dep - _TIMETABLE)
        )
        return shown.reset_index(drop=True)

    def departures(self, *, since: Moment | None = None) -> pd.DataFrame:
        """The departures reported by now, in the order in which they happened.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only departures at or after this moment.

        Returns
        -------
        pandas.DataFrame of shape (n_departures, 12)
            The columns of `PUBLISHED`, `tailnum`, `dep_delay` in minutes, `event_time`, `available_at`.

        Examples
        --------
        >>> World("2013-04-22 10:15").departures(since="2013-04-22")[["flight_id", "dep_delay", "event_time"]].tail(1)
                        flight_id  dep_delay                event_time
        140  2013-04-22/AA301/LGA       -7.0 2013-04-22 10:03:00+00:00
        """
        return self._reported(self._operations, "dep", [*PUBLISHED, "tailnum", "dep_delay"], since)

    def arrivals(self, *, since: Moment | None = None) -> pd.DataFrame:
        """The arrivals reported by now, in the order in which they happened.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only arrivals at or after this moment.

        Returns
        -------
        pandas.DataFrame of shape (n_arrivals, 14)
            The columns of `PUBLISHED`, `tailnum`, `dep_delay`, `arr_delay` and `air_time` in minutes,
            `event_time`, `available_at`.

        Examples
        --------
        >>> len(World("2013-04-22 16:00").arrivals(since="2013-04-22 10:00"))
        193
        """
        columns = [*PUBLISHED, "tailnum", "dep_delay", "arr_delay", "air_time"]
        return self._reported(self._operations, "arr", columns, since)

    def weather(self, *, since: Moment | None = None) -> pd.DataFrame:
        """The weather observations reported by now.

        In 2023 `wind_gust`, `precip` and `pressure` do not mean what they meant in 2013 (chapter 02);
        they are given as published. Only their time is put right.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only observations made at or after this moment.

        Returns
        -------
        pandas.DataFrame of shape (n_observations, 12)
            `origin`, the columns of `MEASURED` (degrees Fahrenheit, miles an hour, inches, millibars,
            miles), `event_time`, `available_at`.

        Examples
        --------
        >>> World("2013-04-22 10:00").weather().groupby("origin").event_time.max().dt.strftime("%H:%M").to_dict()
        {'EWR': '08:51', 'JFK': '08:51', 'LGA': '08:51'}
        """
        return self._reported(_weather(self._year), "event_time", ["origin", *MEASURED], since)

    def labels(self, *, since: Moment | None = None, late: int = LATE) -> pd.DataFrame:
        """The label of each flight scheduled to have left by now: matured, pending or censored.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only flights scheduled to depart at or after this moment.
        late : int, default 15
            From how many minutes of arrival delay on a flight counts as late.

        Returns
        -------
        pandas.DataFrame of shape (n_flights, 5)
            `flight_id`; `status`; `late` (1.0 or 0.0, missing unless matured); `event_time` and
            `available_at` of what settled it (missing while pending). A cancelled or diverted flight
            is censored: it never gets a label.

        Examples
        --------
        >>> labels = World("2013-04-22 22:00").labels(since="2013-04-22 04:00")
        >>> labels.groupby("status").late.agg(["size", "mean"]).round(2)
                  size  mean
        status
        censored    30   NaN
        matured    504  0.47
        pending    239   NaN
        """
        checks.within(late, 0, np.inf, "late")
        flights = self.flights(since=since)
        landed = flights.status == "landed"
        lost = flights.status.isin(["cancelled", "diverted"])
        settled = flights.available_at.where(landed | lost)
        return pd.DataFrame(
            {
                "flight_id": flights.flight_id,
                "status": np.where(landed, "matured", np.where(lost, "censored", "pending")),
                "late": (flights.arr_delay >= late).astype(float).where(landed),
                "event_time": (settled - self._lag).dt.as_unit("us"),
                "available_at": settled,
            }
        )

    def decisions(self, *, since: Moment | None = None, lead: Duration = "2h") -> pd.DataFrame:
        """The decisions that the desk has taken by now: one a flight, `lead` before scheduled departure.

        Parameters
        ----------
        since : str or pandas.Timestamp, optional
            Only flights scheduled to depart at or after this moment.
        lead : str or pandas.Timedelta, default "2h"
            How long before scheduled departure the desk decides.

        Returns
        -------
        pandas.DataFrame of shape (n_decisions, 2)
            `flight_id` and `decided_at`.

        Examples
        --------
        >>> World("2013-04-22 10:00").decisions(since="2013-04-22 04:00").decided_at.max()
        Timestamp('2013-04-22 10:00:00+0000', tz='UTC')
        """
        table, ahead = self._operations, checks.duration(lead, "lead")
        table = table[_between(table.sched_dep, since, self._now + ahead)]
        chosen = pd.DataFrame({"flight_id": table.flight_id, "decided_at": table.sched_dep - ahead})
        return chosen.reset_index(drop=True)

    def planes(self) -> pd.DataFrame:
        """The aircraft registry: a snapshot taken after the fact, so declared timeless.

        Returns
        -------
        pandas.DataFrame of shape (n_planes, 9)
            As published. It holds aircraft built later than the flight you join it to, and lacks most
            aircraft of two airlines.

        Examples
        --------
        >>> len(World("2013-04-22").planes())
        3322
        """
        return data.load("planes", self._year)

    @property
    def _year(self) -> int:
        """The last year of the data that has begun."""
        return max(year for year in data.YEARS if year <= self._now.year)

    @property
    def _operations(self) -> pd.DataFrame:
        return _operations(self._year)

    def _reported(
        self, table: pd.DataFrame, event: str, columns: list[str], since: Moment | None
    ) -> pd.DataFrame:
        known = table[_between(table[event], since, self._now - self._lag)]
        happened = known.sort_values(event, kind="stable")
        return _stamped(happened[columns], happened[event], self._lag)


def examples(world: World, decisions: pd.DataFrame) -> pd.DataFrame:
    """One row a decision, seeing only what was available at its own moment: the point-in-time join.

    Parameters
    ----------
    world : World
        Its clock decides which labels have matured; each row's own `decided_at` decides all else.
    decisions : pandas.DataFrame of shape (n_decisions, 2 or more)
        `flight_id` and `decided_at` (UTC), as `World.decisions` gives them; other columns are kept, unless
        they bear the name of one that is added.

    Returns
    -------
    pandas.DataFrame of shape (n_decisions, n_columns)
        In the order of `decisions`: its columns, the published schedule, the latest observation at the
        origin that had been reported by `decided_at` (columns of `MEASURED`, and `observed_at`), and
        the label as of the world's clock: `late`, `label_status`, and `labelled_at`, when it became known (a
        cancelled flight has one too: from then on it is known to get no label).

    Raises
    ------
    ValueError
        If a column or a moment is missing, a flight does not exist, or a column has the name of one that
        is added.
    AvailabilityError
        If a decision lies in the world's future, or before the timetable of its flight was out.

    Notes
    -----
    The join on "the latest at or before" is `pandas.merge_asof`; Snodgrass (1999), *Developing
    Time-Oriented Database Applications in SQL*, treats the two times of an event at length.

    Examples
    --------
    >>> world = World("2013-05-01")
    >>> rows = examples(world, world.decisions(since="2013-04-22 04:00"))
    >>> first = rows.iloc[0]
    >>> print(first.flight_id, first.decided_at, first.observed_at, first.visib, first.label_status)
    2013-04-22/US1219/EWR 2013-04-22 07:00:00+00:00 2013-04-22 05:51:00+00:00 10.0 matured
    """
    asked, observed = _asked(decisions), world.weather()
    # In the unit of the observations: pandas joins no moments in microseconds with some in nanoseconds.
    asked["decided_at"] = asked.decided_at.astype(observed.available_at.dtype)
    rows = _scheduled(world, asked)
    rows = rows.join(_as_of(observed, rows))
    first = rows.sched_dep.min() if len(rows) else world.now
    labels = world.labels(since=first)[["flight_id", "late", "status", "available_at"]]
    labels.columns = ["flight_id", "late", "label_status", "labelled_at"]
    rows = rows.join(labels.set_index("flight_id"), on="flight_id")
    return rows.assign(label_status=rows.label_status.fillna("pending"))


def _asked(decisions: pd.DataFrame) -> pd.DataFrame:
    checks.columns(decisions, ["flight_id", "decided_at"], remedy="World.decisions() gives both")
    if taken := [name for name in decisions.columns if name in _MADE]:
        raise ValueError(f"decisions holds {taken}, which examples adds; drop or rename your own")
    asked = decisions.reset_index(drop=True)
    return asked.assign(decided_at=checks.moments(asked.decided_at, "decided_at"))


def _scheduled(world: World, asked: pd.DataFrame) -> pd.DataFrame:
    """The decisions with what the timetable says of their flights; refused where it was not out."""
    table = world._operations
    flights = table[table.flight_id.isin(asked.flight_id)].set_index("flight_id")
    if len(unknown := asked.flight_id[~asked.flight_id.isin(flights.index)]):
        raise ValueError(f"no flight {unknown.iloc[0]!r}; World.decisions() gives those there are")
    rows = asked.join(flights[PUBLISHED[1:]], on="flight_id")
    clock = f"lies after the clock, which stands at {world.now:%Y-%m-%d %H:%M} UTC"
    _refuse(rows[rows.decided_at > world.now], clock)
    _refuse(
        rows[rows.decided_at < rows.sched_dep - _TIMETABLE], "lies before its timetable was out"
    )
    return rows


def _as_of(observed: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """For each row the latest observation at its origin that had been reported when it was decided."""
    asked = rows[["decided_at", "origin"]].assign(place=rows.index)
    joined = pd.merge_asof(
        asked.sort_values("decided_at"),
        observed.sort_values("available_at"),
        left_on="decided_at",
        right_on="available_at",
        by="origin",
    )
    seen = joined.set_index("place").rename(columns={"event_time": "observed_at"})
    return seen[[*MEASURED, "observed_at"]]


def _refuse(wrong: pd.DataFrame, why: str) -> None:
    if len(wrong):
        first = wrong.iloc[0]
        raise AvailabilityError(
            f"the decision on {first.flight_id} at {first.decided_at:%Y-%m-%d %H:%M} UTC {why} ({len(wrong)} such)"
        )


def _held(now: pd.Timestamp) -> pd.Timestamp:
    """The moment, if the data has something to tell of it."""
    earlier = now - timedelta(days=AFTERMATH_DAYS)
    if now.year not in data.YEARS and earlier.year not in data.YEARS:
        raise ValueError(
            f"the clock cannot stand at {now:%Y-%m-%d %H:%M} UTC: the data holds {data.HELD}, "
            f"and a world sees it during a year and up to {AFTERMATH_DAYS} days after"
        )
    return now


def _between(times: pd.Series, since: Moment | None, until: pd.Timestamp) -> pd.Series:
    come: pd.Series = times <= until
    return come if since is None else come & (times >= checks.moment(since, "since"))


@cache
def _operations(year: int) -> pd.DataFrame:
    """The flights of this year and those before, of all time: only the clock shows them to anybody."""
    if year == data.YEARS[0]:
        return _rebuilt(year)
    return pd.concat([_operations(data.YEARS[0]), _rebuilt(year)], ignore_index=True)


def _rebuilt(year: int) -> pd.DataFrame:
    """One year of flights, every clock column rebuilt to UTC, in the order of scheduled departure.

    All clock columns are local: those of the departure in New York, those of the arrival at the
    destination. `time_hour` is not used: in 2023 it is local time stamped UTC. The delays agree with
    the clock columns to the minute, so "2400" and flights past midnight need no special case. Only in the
    nights in which clocks go forward do some differ by an hour; the delays then give possible taxi
    times for all flights, the clocks do not.
    """
    raw = data.load("flights", year)
    local = pd.to_datetime(raw[["year", "month", "day", "hour", "minute"]].astype("int64"))
    sched_dep = local.dt.tz_localize(HOME).dt.tz_convert("UTC").dt.as_unit("us")
    airports = data.load("airports", year)
    zones = raw.dest.map(dict(zip(airports.faa, airports.tzone, strict=True)) | _UNLISTED)
    sched_arr = _arrival(sched_dep, raw.sched_arr_time.to_numpy("int64"), zones)
    dep_delay, arr_delay = _minutes(raw.dep_delay), _minutes(raw.arr_delay)
    dep, arr = sched_dep + _timedelta(dep_delay), sched_arr + _timedelta(arr_delay)
    diverted_at = sched_arr.where(sched_arr > dep, dep)
    day, flight = local.dt.strftime("%Y-%m-%d"), raw.flight.astype(str)
    table = raw[["carrier", "origin", "dest", "tailnum"]].assign(
        flight_id=day + "/" + raw.carrier + flight + "/" + raw.origin,
        flight=raw.flight.astype("int64"),
        distance=raw.distance.astype("int64"),
        sched_dep=sched_dep,
        sched_arr=sched_arr,
        dep=dep,
        arr=arr,
        dep_delay=dep_delay,
        arr_delay=arr_delay,
        air_time=_minutes(raw.air_time),
        outcome=np.where(arr.notna(), "landed", np.where(dep.notna(), "diverted", "cancelled")),
        outcome_at=arr.fillna(diverted_at).fillna(sched_dep),
    )
    return table.sort_values("sched_dep", kind="stable", ignore_index=True)


@cache
def _weather(year: int) -> pd.DataFrame:
    years = [data.load("weather", earlier) for earlier in data.YEARS if earlier <= year]
    raw = pd.concat(years, ignore_index=True)
    table = raw[["origin", *MEASURED]].assign(wind_dir=_minutes(raw.wind_dir))
    table["event_time"] = raw.time_hour.dt.as_unit("us") + pd.Timedelta(minutes=51)
    return table.sort_values(["event_time", "origin"], ignore_index=True)


def _arrival(sched_dep: pd.Series, clock: npt.NDArray[np.int64], zones: pd.Series) -> pd.Series:
    """The moment after departure at which the destination's clock shows `clock` (2359 is 23:59).

    "After" allows an hour before: one published schedule of 2023 arrives five minutes before it leaves.
    """
    minutes = clock // 100 * 60 + clock % 100
    arrival = sched_dep.copy()
    for zone in zones.unique():
        at = np.flatnonzero(zones == zone)
        wait = (minutes[at] - _minute_of_day(sched_dep.iloc[at], zone) + 60) % 1440 - 60
        guess = sched_dep.iloc[at] + _timedelta(wait)
        # Where clocks change during the flight, the guess is an hour off.
        slip = (minutes[at] - _minute_of_day(guess, zone) + 720) % 1440 - 720
        arrival.iloc[at] = guess + _timedelta(slip)
    return arrival


def _minute_of_day(moments: pd.Series, zone: str) -> npt.NDArray[np.int64]:
    local = moments.dt.tz_convert(zone).dt
    minutes: npt.NDArray[np.int64] = (local.hour * 60 + local.minute).to_numpy("int64")
    return minutes


def _minutes(column: pd.Series) -> npt.NDArray[np.float64]:
    return column.to_numpy("float64", na_value=np.nan)


def _timedelta(minutes: npt.NDArray[Any]) -> npt.NDArray[np.timedelta64]:
    return pd.to_timedelta(minutes, unit="min").as_unit("us").to_numpy()


def _stamped(table: pd.DataFrame, event_time: pd.Series, delay: pd.Timedelta) -> pd.DataFrame:
    stamped = table.assign(event_time=event_time, available_at=event_time + delay)
    return stamped.reset_index(drop=True)


def local_day(moments: pd.Series) -> pd.Series:
    """The day in New York of each moment, without a zone.

    Examples
    --------
    >>> local_day(pd.Series(pd.to_datetime(["2013-04-22 03:00"], utc=True))).dt.date.to_list()
    [datetime.date(2013, 4, 21)]
    """
    days: pd.Series = moments.dt.tz_convert(HOME).dt.tz_localize(None).dt.normalize()
    return days


def midnight(days: Any) -> pd.DatetimeIndex:
    """The end of each local day, UTC: when it is checked.

    Examples
    --------
    >>> midnight(["2013-04-22"])[0]
    Timestamp('2013-04-23 04:00:00+0000', tz='UTC')
    """
    return (pd.DatetimeIndex(days) + pd.Timedelta("1D")).tz_localize(HOME).tz_convert("UTC")
