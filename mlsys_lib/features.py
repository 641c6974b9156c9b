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

from mlsys_lib import checks
from mlsys_lib.world import HOME, LATE, MEASURED, PUBLISHED, TIMETABLE_DAYS, World, examples

DELAY = {"departures": "dep_delay", "arrivals": "arr_delay"}  # whose minutes each topic reports
_MOST_HOURS = 366 * 24
MAX_DELAY = _MOST_HOURS * 60  # minutes: a delay beyond it, or one that is missing, is no delay
MICROSECONDS = 60_000_000  # in a minute: sums of whole numbers are exact in any order
CATEGORIES = ["carrier", "origin", "dest"]
_OF_SCHEDULE = {
    "day_of_week": "Monday is 0",
    "dep_minute": "minute of the day",
    "arr_minute": "minute of the day",
    "distance": "miles",
    "block_minutes": "minutes",
    "hour_flights": "flights",
    **dict.fromkeys(CATEGORIES, "IATA code"),
}
SCHEDULE = list(_OF_SCHEDULE)
_OF_FIGURE = {"late rate": "share", "mean delay": "minutes", "count": "flights"}
_UTC = "timestamp('UTC')"
# Of what an engine is given: those of an empty table it cannot guess.
_TYPES = {"available_at": _UTC, "decided_at": _UTC, "row": "int64"}
_TYPES |= dict.fromkeys(CATEGORIES, "string") | dict.fromkeys(DELAY.values(), "float64")
_SUMMED = ("count", "late", "delay")
_MEMORY = "4GB"  # of an engine; what needs more goes to the disk


@dataclass(frozen=True)
class Rolling:
    """One rolling feature, declared.

    Parameters
    ----------
    name : str
    topic : str
        Whose reports: departures or arrivals.
    by : tuple of str
        The reports that agree with the decision's flight in these columns, of `CATEGORIES`, count.
    hours : int
        The length of the window: one or more.
    figure : str
        ``late rate`` (share of delays of `LATE` minutes or more), ``mean delay`` (minutes) or ``count``.
        A report without a delay, or with an infinite one, counts nowhere.

    Raises
    ------
    ValueError
        If there is no such topic, column or figure, or `hours` is no whole number.

    Examples
    --------
    >>> Rolling("busy", "departures", "origin", 2, figure="count")
    Traceback (most recent call last):
        ...
    ValueError: by='origin' must be a tuple of columns, such as ('origin',)
    """

    name: str
    topic: str
    by: tuple[str, ...]
    hours: int
    figure: str = field(default="late rate", kw_only=True)

    def __post_init__(self) -> None:
        checks.one_of(self.topic, DELAY, "topic")
        checks.one_of(self.figure, _OF_FIGURE, "figure")
        if not (isinstance(self.by, tuple) and self.by):
            raise ValueError(f"by={self.by!r} must be a tuple of columns, such as ('origin',)")
        for column in self.by:
            checks.one_of(column, CATEGORIES, "by")
        checks.whole(self.hours, 1, "hours", high=_MOST_HOURS)


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
UNITS = {  # of each feature
    **_OF_SCHEDULE,
    "temp": "degrees Fahrenheit",
    "dewp": "degrees Fahrenheit",
    "humid": "percent",
    "wind_dir": "degrees",
    "wind_speed": "miles per hour",
    "wind_gust": "miles per hour",
    "precip": "inches",
    "pressure": "millibars",
    "visib": "miles",
    **{feature.name: _OF_FIGURE[feature.figure] for feature in ROLLING},
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
        `flight_id` and `decided_at`, as `World.decisions` gives them; other columns are kept.
    features : iterable of Rolling, default `ROLLING`

    Returns
    -------
    pandas.DataFrame of shape (n_decisions, n_columns)
        What `examples` gives, in the same order, and the columns of `SCHEDULE` and of `features`.
        A rate or mean over no reports is missing, a count of them is 0.

    Raises
    ------
    ValueError
        If a column is missing, or has the name of a feature, or a flight does not exist.
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
    if world.lag % pd.Timedelta("1us"):
        raise ValueError(f"lag={world.lag} must be a whole number of microseconds")
    features = distinct(features)
    names = [*SCHEDULE, *(feature.name for feature in features)]
    if taken := sorted({*names} & {*decisions.columns}):
        raise ValueError(f"decisions has columns of its own named {taken}; rename or drop them")
    rows = examples(world, decisions)
    planned = schedule(published(world)).drop(columns=["distance", *CATEGORIES])
    reach = pd.Timedelta(hours=max((feature.hours for feature in features), default=0)) + world.lag
    since = None if rows.empty else rows.decided_at.min() - reach
    engine = ibis.duckdb.connect(memory_limit=_MEMORY)
    try:
        departures, arrivals = (
            _stored(engine, topic, getattr(world, topic)(since=since), "available_at", delay)
            for topic, delay in DELAY.items()
        )
        asked = _stored(engine, "decisions", rows.assign(row=rows.index), "decided_at", "row")
        # A query a group holds one group's totals in memory, not all of them.
        found = [
            rolling(departures, arrivals, asked, features=group).to_pandas().set_index("row")
            for group in _groups(features)
        ]
    finally:
        engine.disconnect()
    made = rows.join(planned, on="flight_id").join(found)
    return made[[*rows.columns, *planned.columns, *names[len(SCHEDULE) :]]]


def _stored(engine: Any, name: str, table: pd.DataFrame, *columns: str) -> ir.Table:
    schema = {column: _TYPES[column] for column in (*CATEGORIES, *columns)}
    return engine.create_table(name, table[list(schema)], schema=schema)


def distinct(features: Iterable[Rolling]) -> tuple[Rolling, ...]:
    """The features, if their names tell them apart from each other and from all other columns.

    Raises
    ------
    ValueError
        If a name is taken.

    Examples
    --------
    >>> distinct([Rolling("temp", "arrivals", ("origin",), 2)])
    Traceback (most recent call last):
        ...
    ValueError: the name 'temp' of a feature is taken; choose another
    """
    found = tuple(features)
    taken = {*SCHEDULE, *MEASURED, *PUBLISHED, "decided_at", "row"}
    for feature in found:
        if feature.name in taken:
            raise ValueError(f"the name {feature.name!r} of a feature is taken; choose another")
        taken.add(feature.name)
    return found


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
    is n log n and standard SQL: a union, a sum over a window, a sum by `row`. A join on a range of
    times is quadratic in most engines, and an as-of join is in few.
    """
    reports = {"departures": departures, "arrivals": arrivals}
    found = decisions.select("row")
    for own in _groups(distinct(features)):
        found = found.join(_grown(_totals(reports[own[0].topic], decisions, own), own), "row")
    return found


def _groups(features: Iterable[Rolling]) -> list[list[Rolling]]:
    """The features that can share their running totals."""
    groups: dict[tuple[str, tuple[str, ...]], list[Rolling]] = {}
    for feature in features:
        groups.setdefault((feature.topic, feature.by), []).append(feature)
    return list(groups.values())


def _totals(reports: ir.Table, decisions: ir.Table, own: list[Rolling]) -> ir.Table:
    """The reports, late ones and delays of each decision's key up to its moment, and so many hours before."""
    topic, by = own[0].topic, own[0].by
    none, decided_at = ibis.literal(0, "int64"), _moments(decisions.decided_at)
    moment = decided_at.type()
    reports = reports.mutate(delay=reports[DELAY[topic]].cast("float64"))
    reports = reports.filter(reports.delay.abs() <= MAX_DELAY)
    counted = reports.select(
        *by,
        at=reports.available_at.cast(moment),
        row=none,
        hours=ibis.literal(-1, "int64"),
        count=ibis.literal(1, "int64"),
        late=(reports.delay >= LATE).cast("int64"),
        delay=(reports.delay * MICROSECONDS + 0.5).floor().cast("int64"),
    )
    ends = [
        decisions.select(
            *by,
            at=(decided_at - ibis.interval(hours=hours)).cast(moment),
            row=decisions.row.cast("int64"),
            hours=ibis.literal(hours, "int64"),
            **dict.fromkeys(_SUMMED, none),
        )
        for hours in (0, *sorted({feature.hours for feature in own}))
    ]
    told = ibis.union(counted, *ends)
    # A range, not rows: what is reported at one moment counts at once.
    so_far = ibis.range_window(preceding=None, following=0, group_by=by, order_by="at")
    sums = {part: told[part].sum().over(so_far) for part in _SUMMED}
    return told.mutate(**sums).filter(told.hours >= 0)


def _moments(column: ir.Value) -> ir.Value:
    # Ibis has no name for DuckDB's nanoseconds with a zone, which pandas writes to Parquet.
    return column if column.type().is_timestamp() else column.cast(_UTC)


def _grown(totals: ir.Table, own: list[Rolling]) -> ir.Table:
    """The figures of each window: by how much the totals grew from its start to its end."""

    def grown(part: str, hours: int) -> Any:
        ends = (totals[part].sum(where=totals.hours == back) for back in (0, hours))
        return (next(ends) - next(ends)).cast("int64")

    made = {}
    for feature in own:
        count, late, delay = (grown(part, feature.hours) for part in _SUMMED)
        made[feature.name] = {
            "count": count,
            "late rate": late.cast("float64") / count.nullif(0),
            "mean delay": delay.cast("float64") / (count * MICROSECONDS).nullif(0),
        }[feature.figure]
    return totals.group_by("row").agg(**made)


def observed(weather: ir.Table, decisions: ir.Table) -> ir.Table:
    """The latest observation at the origin of each decision, as an expression for any SQL engine.

    Parameters
    ----------
    weather : ibis table
        `origin`, `available_at` (once for an origin), and what is measured.
    decisions : ibis table
        `origin`, `decided_at` and `row`, a number that tells them apart.

    Returns
    -------
    ibis table
        `row` and the other columns of `weather`, missing before the first observation: the values
        that `mlsys_lib.examples` finds with `pandas.merge_asof`. The order of rows is the engine's.

    Notes
    -----
    The moments of reports and decisions are put in one table; the greatest moment of a report up to
    a decision's own is that of the report to join, on equality.
    """
    decided_at = _moments(decisions.decided_at)
    moment = decided_at.type()
    weather = weather.mutate(available_at=weather.available_at.cast(moment))
    told = weather.select(
        "origin", at="available_at", reported="available_at", row=ibis.null("int64")
    )
    asked = decisions.select("origin", at=decided_at, reported=ibis.null(moment), row="row")
    so_far = ibis.range_window(preceding=None, following=0, group_by="origin", order_by="at")
    both = ibis.union(told, asked)
    latest = both.mutate(reported=both.reported.max().over(so_far)).filter(both.row.notnull())
    joined = latest.left_join(
        weather, [latest.origin == weather.origin, latest.reported == weather.available_at]
    )
    return joined.select(
        latest.row, *(weather[n] for n in weather.columns if n not in ("origin", "available_at"))
    )


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
