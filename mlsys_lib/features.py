"""The features, each defined once, and computed in two ways that give the same values.

`ROLLING` declares each rolling feature as data: which reports, grouped by what, how far back, which
figure. `rolling` makes an expression of it for any SQL engine that Ibis speaks (DuckDB here);
`Stream` makes deques of it, fed one event at a time. `batch` gives all features of many decisions.

A window of two hours at a decision holds the reports that reached the desk in the two hours up to it:
``decided_at - 2 h < available_at <= decided_at``. Windows run over `available_at`, not over event time:
what has reached the desk never changes afterwards, so both ways count the same reports.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from mlsys_lib.world import (
    HOME,
    MEASURED,
    PUBLISHED,
    TIMETABLE_DAYS,
    World,
    examples,
)

LATE = 15  # minutes from which on a departure or an arrival is late
CATEGORIES = ["carrier", "origin", "dest"]
SCHEDULE = [
    "day_of_week",
    "dep_minute",
    "arr_minute",
    "distance",
    "block_minutes",
    "hour_flights",
    *CATEGORIES,
]
_Span = tuple[str, tuple[str, ...], int]
_UTC = "timestamp('UTC')"
_PARTS = ("count", "late", "delay")
_DELAY = {"departures": "dep_delay", "arrivals": "arr_delay"}


@dataclass(frozen=True)
class Rolling:
    """One rolling feature, declared.

    Parameters
    ----------
    name : str
    topic : str
        Whose reports: departures or arrivals.
    by : tuple of str
        The reports that agree with the decision's flight in these columns count.
    hours : int
        The length of the window.
    figure : str
        ``late rate`` (share of delays of `LATE` minutes or more), ``mean delay`` (minutes) or ``count``.
    """

    name: str
    topic: str
    by: tuple[str, ...]
    hours: int
    figure: str = field(default="late rate", kw_only=True)

    @property
    def span(self) -> _Span:
        """What features share that differ only in their figure."""
        return self.topic, self.by, self.hours


ROLLING = (
    Rolling("origin_landed_late_2h", "arrivals", ("origin",), 2),
    Rolling("origin_landed_late_24h", "arrivals", ("origin",), 24),
    Rolling("carrier_landed_late_24h", "arrivals", ("carrier",), 24),
    Rolling("route_landed_late_7d", "arrivals", ("origin", "dest"), 7 * 24),
    Rolling("origin_left_late_1h", "departures", ("origin",), 1),
    Rolling("origin_left_late_3h", "departures", ("origin",), 3),
    Rolling("carrier_left_late_3h", "departures", ("carrier",), 3),
    Rolling("origin_left_delay_3h", "departures", ("origin",), 3, figure="mean delay"),
    Rolling("origin_landed_count_2h", "arrivals", ("origin",), 2, figure="count"),
    Rolling("carrier_landed_count_24h", "arrivals", ("carrier",), 24, figure="count"),
    Rolling("route_landed_count_7d", "arrivals", ("origin", "dest"), 7 * 24, figure="count"),
    Rolling("origin_left_count_1h", "departures", ("origin",), 1, figure="count"),
)
FEATURES = [*SCHEDULE, *MEASURED, *(feature.name for feature in ROLLING)]
_FIGURE_UNITS = {"late rate": "share", "mean delay": "minutes", "count": "flights"}
UNITS = {  # of each feature
    "day_of_week": "Monday is 0",
    "dep_minute": "minute of the day",
    "arr_minute": "minute of the day",
    "distance": "miles",
    "block_minutes": "minutes",
    "hour_flights": "flights",
    "carrier": "IATA code",
    "origin": "IATA code",
    "dest": "IATA code",
    "temp": "degrees Fahrenheit",
    "dewp": "degrees Fahrenheit",
    "humid": "percent",
    "wind_dir": "degrees",
    "wind_speed": "miles per hour",
    "wind_gust": "miles per hour",
    "precip": "inches",
    "pressure": "millibars",
    "visib": "miles",
    **{feature.name: _FIGURE_UNITS[feature.figure] for feature in ROLLING},
}


def batch(
    world: World, decisions: pd.DataFrame, *, features: Iterable[Rolling] = ROLLING
) -> pd.DataFrame:
    """All features of many decisions, each seeing only what had reached the desk at its own moment.

    Parameters
    ----------
    world : World
        Its clock decides which labels have matured; each row's own `decided_at` decides all else.
    decisions : pandas.DataFrame of shape (n_decisions, 2 or more)
        `flight_id` and `decided_at`, as `World.decisions` gives them.
    features : iterable of Rolling, default `ROLLING`

    Returns
    -------
    pandas.DataFrame of shape (n_decisions, n_columns)
        What `examples` gives, in the same order, and the columns of `SCHEDULE` and of `features`.
        A rate or mean over no reports is missing, a count of them is 0.

    Raises
    ------
    ValueError
        If a column is missing, a flight does not exist.
    AvailabilityError
        If a decision lies in the world's future, or before the timetable of its flight was out.

    Examples
    --------
    LaGuardia on 22 April 2013, at 11 in the morning in New York: the sky is clear, four of ten are late.

    >>> world = World("2013-04-22 16:00")
    >>> rows = batch(world, world.decisions(since="2013-04-22 10:00"))
    >>> noon = rows[(rows.origin == "LGA") & (rows.decided_at == "2013-04-22 15:00")].iloc[0]
    >>> print(noon.visib, noon.origin_landed_late_2h.round(2), noon.origin_landed_count_2h)
    10.0 0.41 29
    """
    if world.lag % pd.Timedelta("1s"):
        raise ValueError(
            f"lag={world.lag} is no whole number of seconds, which the windows count in"
        )
    features = tuple(features)
    rows = examples(world, decisions)
    planned = schedule(published(world)).drop(columns=["distance", *CATEGORIES])
    reach = pd.Timedelta(hours=max((feature.hours for feature in features), default=0)) + world.lag
    since = None if rows.empty else rows.decided_at.min() - reach
    engine = ibis.duckdb.connect()
    try:
        departures, arrivals = (
            _stored(
                engine,
                topic,
                getattr(world, topic)(since=since),
                {"available_at": _UTC, delay: "float64"},
            )
            for topic, delay in _DELAY.items()
        )
        wanted = rows.assign(row=rows.index)
        asked = _stored(engine, "decisions", wanted, {"decided_at": _UTC, "row": "int64"})
        # A query a group holds one group's totals in memory, not all of them.
        found = [
            rolling(departures, arrivals, asked, features=group).to_pandas().set_index("row")
            for group in _groups(features)
        ]
    finally:
        engine.disconnect()
    made = rows.join(planned, on="flight_id").join(found)
    return made[[*rows.columns, *planned.columns, *(feature.name for feature in features)]]


def _stored(engine: Any, name: str, table: pd.DataFrame, columns: dict[str, str]) -> ir.Table:
    # With its types said: those of an empty table cannot be guessed.
    schema = dict.fromkeys(CATEGORIES, "string") | columns
    return engine.create_table(name, table[list(schema)], schema=schema)


def rolling(
    departures: ir.Table,
    arrivals: ir.Table,
    decisions: ir.Table,
    *,
    features: Iterable[Rolling] = ROLLING,
) -> ir.Table:
    """The rolling features as one expression: each window is the difference of two running totals.

    Parameters
    ----------
    departures, arrivals : ibis table
        `CATEGORIES`, `available_at` and the delay (`dep_delay`, `arr_delay`) in minutes.
    decisions : ibis table
        `CATEGORIES`, `decided_at` and `row`, a number that tells them apart.
    features : iterable of Rolling, default `ROLLING`

    Returns
    -------
    ibis table
        `row` and a column a feature; the order of rows is the engine's.

    Notes
    -----
    Reports and the moments asked for (the end and the start of each window) are put in one table and
    summed up in order of time; what the totals grew by from start to end is what the window holds. That
    is n log n and standard SQL: a union, a sum over a window, joins on equality. A join on a range of
    times is quadratic in most engines, and an as-of join is in few.
    """
    reports = {"departures": departures, "arrivals": arrivals}
    found = decisions.select("row")
    for own in _groups(features):
        topic, by = own[0].topic, own[0].by
        start = {f.hours: decisions.decided_at - ibis.interval(hours=f.hours) for f in own}
        moments = [decisions.select(*by, at=at) for at in (decisions.decided_at, *start.values())]
        totals = _totals(reports[topic], _DELAY[topic], moments, by)
        for hours, since in start.items():
            columns = {f.name: f.figure for f in own if f.hours == hours}
            found = found.join(_grown(totals, decisions, by, since, columns), "row")
    return found


def _groups(features: Iterable[Rolling]) -> list[list[Rolling]]:
    """The features that can share their running totals."""
    groups: dict[tuple[str, tuple[str, ...]], list[Rolling]] = {}
    for feature in features:
        groups.setdefault((feature.topic, feature.by), []).append(feature)
    return list(groups.values())


def _totals(
    reports: ir.Table, delay: str, moments: list[ir.Table], by: tuple[str, ...]
) -> ir.Table:
    """For each key: how many reports, late ones and minutes of delay there were up to each moment."""
    one, none = ibis.literal(1, "int64"), ibis.literal(0, "int64")
    minutes = reports[delay].cast("int64")
    counted = reports.select(
        *by,
        at=reports.available_at,
        asked=none,
        count=one,
        late=(minutes >= LATE).cast("int64"),
        delay=minutes,
    )
    asked = [moment.mutate(asked=one, count=none, late=none, delay=none) for moment in moments]
    # One row a moment, so that everything reported at one moment enters at once.
    each = (
        ibis.union(counted, *asked)
        .group_by([*by, "at"])
        .agg(asked=ibis._.asked.sum(), **{part: ibis._[part].sum() for part in _PARTS})
    )
    so_far = ibis.cumulative_window(group_by=by, order_by="at")
    totals = each.mutate(**{part: each[part].sum().over(so_far) for part in _PARTS})
    # The moments asked for alone: engines that join the totals with themselves stay quick.
    return totals.filter(totals.asked > 0).drop("asked")


def _grown(
    totals: ir.Table,
    decisions: ir.Table,
    by: tuple[str, ...],
    since: ir.Value,
    columns: dict[str, str],
) -> ir.Table:
    """The figures of one window: by how much the totals grew from its start to its end."""
    before = totals.view()
    joined = decisions.join(totals, [*by, decisions.decided_at == totals.at]).join(
        before, [*(decisions[name] == before[name] for name in by), since == before.at]
    )
    grown = {part: (totals[part] - before[part]).cast("int64") for part in _PARTS}
    rate = {part: grown[part].cast("float64") / grown["count"].nullif(0) for part in _PARTS}
    made = {"count": grown["count"], "late rate": rate["late"], "mean delay": rate["delay"]}
    return joined.select(decisions.row, **{name: made[figure] for name, figure in columns.items()})


def published(world: World) -> pd.DataFrame:
    """Every flight in the timetables that are out by now, past and to come.

    Parameters
    ----------
    world : World

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 8)
        `flight_id`, `carrier`, `flight`, `origin`, `dest`, `distance` in miles, and `sched_dep` and
        `sched_arr` in UTC.

    Examples
    --------
    >>> world = World("2013-04-22 10:00")
    >>> len(world.flights()), len(world.schedule(hours=720)), len(published(world))
    (100644, 28045, 128666)
    """
    both = [world.flights()[PUBLISHED], world.schedule(hours=24 * TIMETABLE_DAYS)[PUBLISHED]]
    return pd.concat(both, ignore_index=True).drop_duplicates("flight_id", ignore_index=True)


def schedule(timetable: pd.DataFrame) -> pd.DataFrame:
    """The features that the timetable alone gives.

    Parameters
    ----------
    timetable : pandas.DataFrame of shape (n_flights, 8 or more)
        As `published` gives it. All flights of an hour must be there, for `hour_flights`.

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 9)
        The columns of `SCHEDULE`, by `flight_id`. `day_of_week` (Monday is 0), `dep_minute` and
        `arr_minute` (of the day) are by the clocks of New York; `block_minutes` is the scheduled time
        from gate to gate; `hour_flights` counts the origin's departures scheduled in the same hour.

    Examples
    --------
    >>> schedule(World("2013-04-22 10:00").schedule(hours=1)).iloc[0].to_dict()
    {'day_of_week': 0, 'dep_minute': 360, 'arr_minute': 419, 'distance': 214, 'block_minutes': 59, 'hour_flights': 28, 'carrier': 'US', 'origin': 'LGA', 'dest': 'DCA'}
    """
    dep, arr = (timetable[name].dt.tz_convert(HOME).dt for name in ("sched_dep", "sched_arr"))
    hour = timetable.sched_dep.dt.floor("h")
    made = timetable[["distance", *CATEGORIES]].assign(
        day_of_week=dep.day_of_week,
        dep_minute=dep.hour * 60 + dep.minute,
        arr_minute=arr.hour * 60 + arr.minute,
        block_minutes=(timetable.sched_arr - timetable.sched_dep) // pd.Timedelta("1min"),
        hour_flights=timetable.groupby(["origin", hour]).flight_id.transform("size"),
    )
    whole = [name for name in SCHEDULE if name not in CATEGORIES]
    return made[SCHEDULE].astype(dict.fromkeys(whole, "int64")).set_index(timetable.flight_id)
