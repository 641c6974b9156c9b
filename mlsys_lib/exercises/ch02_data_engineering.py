"""Exercises of chapter 02, data engineering."""

import copy
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World, data
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, exercise, expect

# -- to_utc ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "A clock such as 1735 is not a number of minutes. What is it in minutes after midnight?",
        "The date is that of the schedule. How long after the scheduled clock did the flight leave, if it may "
        "have left past midnight, or a few minutes early? Take the difference modulo a day.",
        "The clock at departure is a clock in New York. Find its local date first: scheduled day, plus "
        "scheduled minutes, plus the difference of the clocks. Then .dt.tz_localize('America/New_York') and "
        ".dt.tz_convert('UTC').",
    ]
)
def to_utc(flights):
    """When did each flight leave, in UTC?

    `flights` (one row or more) has the columns year, month, day (the
    *scheduled* date in New York), sched_dep_time (from 105 to 2359) and
    dep_time: clocks in New York, where 1735 is 17:35. A dep_time of midnight is
    0 or 2400; that of a cancelled flight is missing. Give a Series of moments
    in UTC, one a row, in the order of the rows. The clock does not say the day
    of departure: take the one from 60 minutes before the schedule to 1,379
    after it. (Thirteen flights of 2023 left 23 hours late or more; these
    columns cannot tell.) Years are 2007 or later, and no clock lies in an hour
    that is skipped or repeated when clocks change.
    """
    day = pd.to_datetime(flights[["year", "month", "day"]])
    planned = flights.sched_dep_time // 100 * 60 + flights.sched_dep_time % 100
    left = flights.dep_time // 100 * 60 + flights.dep_time % 100  # blank
    delay = (left - planned + 60) % 1440 - 60  # blank
    local = day + pd.to_timedelta(planned + delay, unit="min")
    return local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")  # blank


def _clocks(date: str, planned: int, left: int | None) -> pd.DataFrame:
    moment = pd.Timestamp(date)
    row = {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "sched_dep_time": planned,
        "dep_time": left,
    }
    return pd.DataFrame([row]).astype("Int32")


def _left(answer: Answer, date: str, planned: int, left: int | None) -> str:
    moment = answer(_clocks(date, planned, left)).iloc[0]
    return "missing" if pd.isna(moment) else f"{moment:%Y-%m-%d %H:%M %Z}"


@to_utc.claim("in winter, 12:05 in New York is 17:05 UTC")
def winter(answer: Answer) -> None:
    expect(_left(answer, "2013-01-15", 1200, 1205), "2013-01-15 17:05 UTC")


@to_utc.claim("in summer, 12:05 in New York is 16:05 UTC")
def summer(answer: Answer) -> None:
    expect(_left(answer, "2013-07-15", 1200, 1205), "2013-07-15 16:05 UTC")


@to_utc.claim("a flight planned for 23:59 that leaves at 0:47 leaves on the next day")
def past_midnight(answer: Answer) -> None:
    expect(_left(answer, "2013-01-15", 2359, 47), "2013-01-16 05:47 UTC")
    expect(_left(answer, "2013-01-15", 2245, 2400), "2013-01-16 05:00 UTC")


@to_utc.claim("a flight planned for 15:00 that leaves at 14:52 leaves early, not a day late")
def early(answer: Answer) -> None:
    expect(_left(answer, "2013-01-15", 1500, 1452), "2013-01-15 19:52 UTC")


@to_utc.claim("where clocks went forward at two in the morning, 3:30 is 7:30 UTC")
def clocks_change(answer: Answer) -> None:
    expect(_left(answer, "2013-03-09", 2230, 330), "2013-03-10 07:30 UTC")


@to_utc.claim("a cancelled flight has no moment of departure")
def cancelled(answer: Answer) -> None:
    expect(_left(answer, "2013-01-15", 1200, None), "missing")


@to_utc.claim("all departures of March 2013 agree with the clock of the library")
def whole_month(answer: Answer) -> None:
    raw = data.load("flights", 2013)
    raw = raw[(raw.month == 3) & raw.dep_time.notna()]
    known = World("2013-05-01").departures(since="2013-02-28").set_index("flight_id").event_time
    ids = [
        f"2013-03-{d:02}/{c}{n}/{o}"
        for d, c, n, o in zip(raw.day, raw.carrier, raw.flight, raw.origin, strict=True)
    ]
    moments = answer(raw[["year", "month", "day", "sched_dep_time", "dep_time"]])
    expect(moments, known.loc[ids])


_CHANGES = [
    f"{year}-{day}"
    for year, days in {
        2007: "03-11 11-04",
        2013: "03-10 11-03",
        2020: "03-08 11-01",
        2023: "03-12 11-05",
    }.items()
    for day in days.split()
]


@st.composite
def _days(draw):
    """A day on which clocks change, one beside it, or any other."""
    change = pd.Timestamp(draw(st.sampled_from(_CHANGES)))
    return change + pd.Timedelta(days=draw(st.sampled_from([0, -1, 1]) | cases.whole(-200, 40)))


def _hits_a_change(day: pd.Timestamp, minutes: int) -> bool:
    """Whether this local clock lies in an hour that is skipped or repeated, or beside it."""
    local = day + pd.Timedelta(minutes=minutes)
    return f"{local:%Y-%m-%d}" in _CHANGES and local.hour in (1, 2)


@st.composite
def _departures(draw):
    """One departure, by its clocks."""
    day = draw(_days())
    planned = draw(cases.whole(65, 1439, on=[1380, 1439]))
    gone = draw(cases.whole(-60, 1379, on=[-60, 0, 1379, 1440 - planned]) | st.none())
    if _hits_a_change(day, planned) or (gone is not None and _hits_a_change(day, planned + gone)):
        planned, gone = 720, 5
    left = None if gone is None else (planned + gone) % 1440
    if left == 0 and draw(st.booleans()):
        left = 1440
    clocks = [c if c is None else c // 60 * 100 + c % 60 for c in (planned, left)]
    return day.year, day.month, day.day, *clocks


def _some_leave(flights: pd.DataFrame, since: float, until: float) -> bool:
    """Whether one leaves from so many minutes after its schedule until so many."""
    planned, left = (
        flights[c] // 100 * 60 + flights[c] % 100 for c in ("sched_dep_time", "dep_time")
    )
    return bool(((left - planned + 60) % 1440 - 60).between(since, until).any())


@to_utc.generated(
    "any departures",
    marks={
        "one leaves more than half an hour before its schedule": lambda flights: _some_leave(
            flights, -60, -31
        ),
        "one leaves more than twelve hours late": lambda flights: _some_leave(flights, 721, 1379),
        "one is cancelled": lambda flights: flights.dep_time.isna().any(),
        "one leaves at midnight": lambda flights: flights.dep_time.isin([0, 2400]).any(),
        "one is of a year other than 2013": lambda flights: (flights.year != 2013).any(),
        "one is of a day on which clocks change, or of the one before": lambda flights: any(
            f"{day + pd.Timedelta(days=ahead):%Y-%m-%d}" in _CHANGES
            for day in pd.to_datetime(flights[["year", "month", "day"]].astype(int))
            for ahead in (0, 1)
        ),
    },
    count=60,
)
def any_departures(draw):
    rows = draw(cases.some(_departures(), 1, 6))
    columns = ["year", "month", "day", "sched_dep_time", "dep_time"]
    index = draw(cases.index(len(rows)))
    return (pd.DataFrame(rows, columns=columns, index=index).astype("Int32"),)


LOCALIZED = 'local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")'
to_utc.mistake(
    "UTC is five hours ahead of New York, in summer too",
    fails="summer",
    old=LOCALIZED,
    new='(local + pd.Timedelta(hours=5)).dt.tz_localize("UTC")',
)
to_utc.mistake(
    "local time is stamped UTC (the publisher of 2023 did this)",
    fails="winter",
    old=LOCALIZED,
    new='local.dt.tz_localize("UTC")',
)
to_utc.mistake(
    "the clock is read as minutes",
    fails="winter",
    old="flights.dep_time // 100 * 60 + flights.dep_time % 100",
    new="flights.dep_time",
)
WRAPPED = "(left - planned + 60) % 1440 - 60"
to_utc.mistake("midnight is forgotten", "past_midnight", old=WRAPPED, new="left - planned")
to_utc.mistake(
    "early flights become a day late", "early", old=WRAPPED, new="(left - planned) % 1440"
)
to_utc.mistake(
    "a difference of clocks is added in UTC as if it were elapsed time",
    fails="clocks_change",
    old="""    local = day + pd.to_timedelta(planned + delay, unit="min")
    return local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")""",
    new="""    local = day + pd.to_timedelta(planned, unit="min")
    scheduled = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return scheduled + pd.to_timedelta(delay, unit="min")""",
)
to_utc.mistake(
    "a missing clock is taken for a punctual departure",
    fails="cancelled",
    old="pd.to_timedelta(planned + delay,",
    new="pd.to_timedelta(planned + delay.fillna(0),",
)
to_utc.mistake(
    "nobody is more than twelve hours late",
    fails="whole_month",
    old="(left - planned + 60) % 1440 - 60",
    new="(left - planned + 720) % 1440 - 720",
)


to_utc.mistake(
    "half an hour early at most",
    fails="any_departures",
    old="(left - planned + 60) % 1440 - 60",
    new="(left - planned + 30) % 1440 - 30",
)
to_utc.mistake(
    "the days of 2013 on which clocks change, in every year",
    fails="any_departures",
    old=LOCALIZED,
    new="""(
        local + pd.to_timedelta(5 - local.dt.strftime("%m%d%H").between("031002", "110301").astype(int), unit="h")
    ).dt.tz_localize("UTC")""",
)


for _clock in ("sched_dep_time", "dep_time"):
    to_utc.equivalent(
        "minutes go up to 59, so that 2359 holds 23 times 99 as well",
        old=f"flights.{_clock} // 100",
        new=f"flights.{_clock} // 99",
    )


@to_utc.alternative
def departure_by_departure(flights):
    moments = []
    for row in flights.itertuples():
        if pd.isna(row.dep_time):
            moments.append(pd.NaT)
            continue
        hour, minute = divmod(int(row.sched_dep_time), 100)
        clock = int(row.dep_time) // 100 * 60 + int(row.dep_time) % 100
        day = pd.Timestamp(row.year, row.month, row.day)
        if clock < hour * 60 + minute - 60:
            day += pd.Timedelta(days=1)
        local = day + pd.Timedelta(minutes=clock)
        moments.append(local.tz_localize("America/New_York").tz_convert("UTC"))
    return pd.Series(pd.DatetimeIndex(moments, tz="UTC"), index=flights.index)


# -- bytes_touched -----------------------------------------------------------------------------------


@exercise(
    hints=[
        "In a row layout the rows lie one after another, each with all its columns: that is one run of bytes. In "
        "a column layout each column is a run of its own.",
        "A row layout cannot skip the columns that you do not want. How long is its one run?",
        "Storage is read in whole pages: a run of n bytes costs math.ceil(n / page) pages.",
    ]
)
def bytes_touched(layout, widths, wanted, rows, page=4096):
    """How many bytes must storage read to answer a query?

    `layout` is "row" or "column"; `widths` maps each column to its bytes a
    value. The query wants the columns `wanted` (one or more) of `rows`
    neighbouring rows (one or more) whose place is known, so that nothing is
    searched. What lies together is one run of bytes, without gaps: a row or a
    value may begin on one page and end on the next. Each run begins on a page
    of its own, and only whole pages of `page` bytes are read. Give a whole
    number of bytes.
    """
    if layout == "row":
        runs = [rows * sum(widths.values())]  # blank
    else:
        runs = [rows * widths[column] for column in wanted]  # blank
    return sum(math.ceil(run / page) * page for run in runs)  # blank


_WIDTHS = {"flight_id": 24, "carrier": 2, "dest": 3, "dep_delay": 4, "arr_delay": 4, "distance": 4}


@bytes_touched.claim(
    "a mean over one 4-byte column of 1,024 rows touches one page of a column layout"
)
def column_mean(answer: Answer) -> None:
    expect(answer("column", _WIDTHS, ["arr_delay"], 1024), 4096)


@bytes_touched.claim("the same mean in a row layout touches all 41 bytes of each row: 11 pages")
def row_mean(answer: Answer) -> None:
    expect(answer("row", _WIDTHS, ["arr_delay"], 1024), 45056)


@bytes_touched.claim(
    "one whole row costs one page in a row layout, one page a column in a column layout"
)
def one_row(answer: Answer) -> None:
    expect(answer("row", _WIDTHS, list(_WIDTHS), 1), 4096)
    expect(answer("column", _WIDTHS, list(_WIDTHS), 1), 24576)


@bytes_touched.claim("a page that is read for its last byte is read whole, whatever its size")
def page_size(answer: Answer) -> None:
    expect(answer("column", _WIDTHS, ["carrier", "dest"], 100, page=64), 256 + 320)


@bytes_touched.generated(
    "any query",
    marks={
        "in a row layout": lambda layout, widths, wanted, rows, page=4096: layout == "row",
        "a row is longer than a page": lambda layout, widths, wanted, rows, page=4096: (
            sum(widths.values()) > page
        ),
        "the pages do not hold a whole number of rows": lambda layout, widths, wanted, rows, page=4096: (
            page % sum(widths.values()) > 0
        ),
        "a run ends exactly with its page": lambda layout, widths, wanted, rows, page=4096: any(
            rows * width % page == 0
            for width in ([sum(widths.values())] if layout == "row" else widths.values())
        ),
        "pages are not of 4,096 bytes": lambda layout, widths, wanted, rows, page=4096: (
            page != 4096
        ),
        "not all columns are wanted": lambda layout, widths, wanted, rows, page=4096: (
            len(wanted) < len(widths)
        ),
    },
    count=60,
)
def any_query(draw):
    columns = draw(cases.some(cases.names(*_WIDTHS), 1, 6, unique=True))
    widths = {c: draw(cases.whole(1, 40, on=[4, 8])) for c in columns}
    wanted = draw(cases.some(st.sampled_from(columns), 1, len(columns), unique=True))
    page = draw(st.sampled_from([4096, 8192, 512, 64, 100]))
    width = draw(st.sampled_from([sum(widths.values()), *widths.values()]))
    rows = draw(
        cases.whole(1, 5000)
        | st.sampled_from([max(page * n // width + d, 1) for n in (1, 3) for d in (0, 1)])
    )
    layout = draw(st.sampled_from(["row", "column"]))
    asked = layout, widths, wanted, rows
    return cases.call(*asked) if page == 4096 else cases.call(*asked, page=page)


bytes_touched.mistake(
    "a row layout reads only the wanted columns",
    fails="row_mean",
    old="rows * sum(widths.values())",
    new="rows * sum(widths[c] for c in wanted)",
)
bytes_touched.mistake(
    "a column layout reads every column",
    fails="column_mean",
    old="for column in wanted]",
    new="for column in widths]",
)
bytes_touched.mistake(
    "the columns lie together, as one run",
    fails="one_row",
    old="[rows * widths[column] for column in wanted]",
    new="[sum(rows * widths[column] for column in wanted)]",
)
bytes_touched.mistake(
    "bytes are counted, not pages", fails="row_mean", old="math.ceil(run / page) * page", new="run"
)
bytes_touched.mistake(
    "the last, partly filled page is not read",
    fails="row_mean",
    old="math.ceil(run / page)",
    new="(run // page)",
)
bytes_touched.mistake(
    "the page is taken to be 4,096 bytes",
    fails="page_size",
    old="math.ceil(run / page) * page",
    new="math.ceil(run / 4096) * 4096",
)


bytes_touched.mistake(
    "a row that does not fit begins on the next page",
    fails="any_query",
    old="runs = [rows * sum(widths.values())]",
    new="runs = [math.ceil(rows / max(page // sum(widths.values()), 1)) * page]",
)


@bytes_touched.alternative
def page_by_page(layout, widths, wanted, rows, page=4096):
    touched = 0
    for width in [sum(widths.values())] if layout == "row" else [widths[c] for c in wanted]:
        touched += -(-rows * width // page)
    return touched * page


# -- engines -----------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Ask of each workload: does it touch one row or one column, does it write, and who else reads it?",
        "Two engines are databases, two are files. A database gives you durable small writes; a file can be handed over.",
        "The screen looks up and updates single flights. The analyst scans two columns. The other team brings an "
        "engine of its own. The partner's fields are not known beforehand.",
    ]
)
def engines():
    """Which of "SQLite", "DuckDB", "Parquet" or "JSON lines" for each workload?

    screen: the desk shows one flight at a time, hundreds of look-ups a second;
        each report that arrives changes one row and must survive a power cut.
    analyst: late rate by airline and month over two years, many such questions
        a day, by one person, in SQL.
    handover: last year's flights, complete and typed, for a team that trains on
        a cluster with another engine.
    partner: an airport sends messages whose fields differ from one to the next
        and change without notice; keep each as it came.
    """
    return {
        "screen": "SQLite",  # blank
        "analyst": "DuckDB",  # blank
        "handover": "Parquet",  # blank
        "partner": "JSON lines",  # blank
    }


engines.choices(
    {
        "screen": {
            "SQLite": None,
            "DuckDB": "you measured its look-up, and while one process writes, no other may open its file",
            "Parquet": "a file of columns cannot change one row: it is written anew, and a look-up reads whole "
            "column chunks",
            "JSON lines": "a look-up reads the file from the start, and a changed row means another file",
        },
        "analyst": {
            "DuckDB": None,
            "SQLite": "it reads every column of every row to average one of them; you measured what that costs",
            "Parquet": "close, and DuckDB will query it in place; but tables, views and updates want a database",
            "JSON lines": "it parses text, with every field's name repeated in every row, for each question",
        },
        "handover": {
            "Parquet": None,
            "SQLite": "a cluster cannot split it among its workers, and few engines read it without a driver",
            "DuckDB": "its file format belongs to one engine; the other team has another",
            "JSON lines": "many times the size, and its types are whatever the reader guesses",
        },
        "partner": {
            "JSON lines": None,
            "SQLite": "schema on write: a message with an unknown field is refused or cut to fit",
            "DuckDB": "schema on write: a message with an unknown field is refused or cut to fit",
            "Parquet": "one schema a file, and nothing can be appended: each unknown field is a new schema",
        },
    },
    text=lambda workload: f"the choice for the {workload} fits its workload",
)

engines.mistake(
    "the analytical engine for everything",
    fails="screen",
    old='"screen": "SQLite"',
    new='"screen": "DuckDB"',
)
engines.mistake(
    "the database that is there already",
    fails="analyst",
    old='"analyst": "DuckDB"',
    new='"analyst": "SQLite"',
)
engines.mistake(
    "a dump of the database",
    fails="handover",
    old='"handover": "Parquet"',
    new='"handover": "DuckDB"',
)
engines.mistake(
    "a schema for what has none",
    fails="partner",
    old='"partner": "JSON lines"',
    new='"partner": "Parquet"',
)


@engines.alternative
def by_name():
    return dict(
        zip(
            ["partner", "handover", "analyst", "screen"],
            ["JSON lines", "Parquet", "DuckDB", "SQLite"],
            strict=True,
        )
    )


# -- contract ----------------------------------------------------------------------------------------


def utc_hour(flights: pd.DataFrame) -> pd.Series:
    """The scheduled hour of each flight in UTC, from the date and the hour in New York.

    Parameters
    ----------
    flights : pandas.DataFrame of shape (n_flights, n_columns)
        With year, month, day and hour.

    Returns
    -------
    pandas.Series of shape (n_flights,), moments in UTC

    Examples
    --------
    >>> flights, _ = month(2013, 1)
    >>> utc_hour(flights).iloc[0]
    Timestamp('2013-01-01 10:00:00+0000', tz='UTC')
    """
    local = pd.to_datetime(flights[["year", "month", "day", "hour"]].astype(int))
    return local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")


def in_hundredths(inches: pd.Series) -> bool:
    """Whether all amounts are whole hundredths of an inch, as a rain gauge counts them.

    Examples
    --------
    >>> in_hundredths(pd.Series([0, 0.01, 0.57])), in_hundredths(pd.Series([0.0001]))
    (True, False)
    """
    return bool(np.allclose(inches * 100, (inches * 100).round()))


def wet_hours(weather: pd.DataFrame) -> pd.Series:
    """The inches of those hours in which it rained.

    Examples
    --------
    >>> _, weather = month(2013, 1)
    >>> float(wet_hours(weather).min())
    0.01
    """
    wet: pd.Series = weather.precip[weather.precip > 0]
    return wet


def schemas(**rules: Callable[[pd.DataFrame], Any]) -> dict[str, Any]:
    """Two pandera schemas, of flights and of weather, with one check for each column.

    Parameters
    ----------
    **rules : callable
        By the column that each guards: takes the table, says whether the column is sound.

    Returns
    -------
    dict of str to pandera.DataFrameSchema

    Examples
    --------
    >>> july = month(2013, 7)
    >>> broken_columns(schemas(distance=lambda flights: flights.distance.min() > 500), *july)
    ['distance']
    """
    import pandera.pandas as pa

    checks: dict[str, list[Any]] = {"flights": [], "weather": []}
    for column, rule in rules.items():
        table = "flights" if column in _year("flights", 2013) else "weather"
        checks[table].append(pa.Check(rule, name=column))
    return {table: pa.DataFrameSchema(checks=those) for table, those in checks.items()}


@exercise(
    hints=[
        "A range check passes nearly every one of the breaks. Ask instead what the *meaning* of a column implies about its values.",
        "Flight numbers leave wide gaps; codes dealt out leave few. Gusts are measured apart from the wind. Gauges count "
        "hundredths of an inch, from the first on, and wet hours differ. Some pressures are always missing, and the "
        "others are near 1,000 hPa. UTC runs four or five hours ahead of New York, on the same date or the next.",
        "flight: fewer distinct numbers than half of the span from smallest to largest. wind_gust: one wind_speed goes "
        "with several gusts. precip: in_hundredths, 0.01 in the driest of the wet hours, and more than 0.03 inches in "
        "the mean one. pressure: between 2 % and 30 % missing, all others from 900 to 1,100. time_hour: equals "
        "utc_hour in every row.",
    ]
)
def contract():
    """What does each column of a month mean? Write rules that hold it to that.

    A rule takes the flights or the weather of a month, and says True or False.
    Sound months of any year pass, also with a part of the flights missing; of
    others exactly the broken columns fail. A column may be filled (its gaps may
    nearly vanish), derived from another, dealt out anew, or in another unit (by
    any factor) or time; time_hour, precip and pressure in some rows only,
    time_hour and pressure even in a single one.
    """

    def is_hourly(wet):
        return np.isclose(wet.min(), 0.01) and wet.mean() > 0.03  # blank

    def is_barometer(pressure):
        in_hpa = pressure.dropna().between(900, 1100).all()  # blank
        return in_hpa and 0.02 < pressure.isna().mean() < 0.30  # blank

    return schemas(
        flight=lambda t: t.flight.nunique() < 0.5 * (t.flight.max() - t.flight.min()),  # blank
        time_hour=lambda t: (t.time_hour == utc_hour(t)).all(),  # blank
        wind_speed=lambda t: t.wind_speed.dropna().between(0, 150).all(),
        wind_gust=lambda t: t.groupby("wind_speed").wind_gust.nunique().max() > 1,  # blank
        precip=lambda t: in_hundredths(t.precip) and is_hourly(wet_hours(t)),
        pressure=lambda t: is_barometer(t.pressure),
    )


def broken_columns(
    schemas: dict[str, Any], flights: pd.DataFrame, weather: pd.DataFrame
) -> list[str]:
    """The names of the checks that fail, sorted: what a contract says of one month.

    Parameters
    ----------
    schemas : dict of str to pandera.DataFrameSchema
        As `contract` gives them.
    flights, weather : pandas.DataFrame
        One month of the raw tables.

    Returns
    -------
    list of str
        Empty where everything holds.
    """
    from pandera.errors import SchemaErrors

    broken: set[str] = set()
    for table, schema in ((flights, schemas["flights"]), (weather, schemas["weather"])):
        brief = copy.deepcopy(schema)
        for check in brief.checks:
            check.n_failure_cases = 1  # a report of each of thousands of rows takes minutes
        try:
            brief.validate(table, lazy=True)
        except SchemaErrors as error:
            broken |= set(error.failure_cases["check"].astype(str))
    return sorted(broken)


def month(year: int, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One month of the raw flights and weather.

    Parameters
    ----------
    year : int
        2013 or 2023.
    number : int
        1 to 12.

    Returns
    -------
    tuple of two pandas.DataFrame
        Flights and weather.

    Examples
    --------
    >>> [len(table) for table in month(2013, 1)]
    [27004, 2226]
    """
    return _month("flights", year, number), _month("weather", year, number)


def _month(table: str, year: int, number: int) -> pd.DataFrame:
    rows = _year(table, year)
    return rows[rows.month == number].copy()


_year = cache(data.load)


def _names(answer: Answer, flights: pd.DataFrame, weather: pd.DataFrame) -> list[str]:
    return broken_columns(answer(), flights, weather)


@contract.claim("it accepts each month of 2013 but February, as published")
def accepts(answer: Answer) -> None:
    sound = [number for number in range(1, 13) if number != 2]
    named = {f"2013-{number:02}": _names(answer, *month(2013, number)) for number in sound}
    expect({when: names for when, names in named.items() if names}, {})


@contract.claim(
    "it names wind_speed in February 2013, where an anemometer reports more than 1,000 mph"
)
def anemometer(answer: Answer) -> None:
    expect(_names(answer, *month(2013, 2)), ["wind_speed"])


@contract.claim("it catches flight numbers that became codes dealt out from 1")
def dealt_codes(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights["flight"] = pd.factorize(flights.flight)[0] + 1
    expect(_names(answer, flights, weather), ["flight"])


@contract.claim("it catches flight codes that are dealt out from 5,000")
def shifted_codes(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights["flight"] = pd.factorize(flights.flight)[0] + 5000
    expect(_names(answer, flights, weather), ["flight"])


@contract.claim("it catches a time_hour that is local time stamped UTC")
def local_stamp(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights["time_hour"] -= pd.Timedelta(hours=4)
    expect(_names(answer, flights, weather), ["time_hour"])


@contract.claim("it catches a time_hour that forgets daylight saving and is one hour off")
def forgot_summer(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights["time_hour"] += pd.Timedelta(hours=1)
    expect(_names(answer, flights, weather), ["time_hour"])


@contract.claim("it catches a time_hour that is wrong in the last ten days only")
def wrong_at_last(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights.loc[flights.day > 21, "time_hour"] -= pd.Timedelta(hours=4)
    expect(_names(answer, flights, weather), ["time_hour"])


@contract.claim("it catches a time_hour that is an hour late in a single row, in the evening")
def in_one_row(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    row = flights.index[flights.hour == 20][500]
    flights.loc[row, "time_hour"] += pd.Timedelta(hours=1)
    expect(_names(answer, flights, weather), ["time_hour"])


@contract.claim("it catches a time_hour whose clock is right and whose date is the day before")
def a_day_off(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    flights["time_hour"] -= pd.Timedelta(days=1)
    expect(_names(answer, flights, weather), ["time_hour"])


@contract.claim("it catches a wind_gust that is wind_speed in another unit")
def copied_gust(answer: Answer) -> None:
    flights, weather = month(2013, 1)
    weather["wind_gust"] = weather.wind_speed * 1.15078
    expect(_names(answer, flights, weather), ["wind_gust"])


@contract.claim(
    "it catches a wind_gust that is half as much again as wind_speed, in windy hours only"
)
def same_gust(answer: Answer) -> None:
    flights, weather = month(2013, 1)
    weather["wind_gust"] = (weather.wind_speed * 1.5).where(weather.wind_gust.notna())
    expect(_names(answer, flights, weather), ["wind_gust"])


@contract.claim("it catches a wind_gust that is 1.3 times wind_speed, rounded to whole miles")
def rounded_gust(answer: Answer) -> None:
    flights, weather = month(2013, 1)
    weather["wind_gust"] = (weather.wind_speed * 1.3).round().where(weather.wind_gust.notna())
    expect(_names(answer, flights, weather), ["wind_gust"])


@contract.claim("it catches a precip that counts traces as 0.0001 inch")
def traces(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    damp = (weather.precip == 0) & (weather.humid > 85)
    weather["precip"] = weather.precip.mask(damp, 0.0001)
    expect(_names(answer, flights, weather), ["precip"])


@contract.claim("it catches a precip in millimetres")
def millimetres(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather["precip"] *= 25.4
    expect(_names(answer, flights, weather), ["precip"])


@contract.claim("it catches a precip that is ten times what it was")
def tenfold(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather["precip"] *= 10
    expect(_names(answer, flights, weather), ["precip"])


@contract.claim("it catches a precip that holds the first report of an hour instead of its total")
def first_report(answer: Answer) -> None:
    flights, weather = month(2013, 1)
    weather["precip"] = np.ceil((weather.precip * 30).round(6)) / 100
    expect(_names(answer, flights, weather), ["precip"])


@contract.claim("it catches a pressure whose gaps were filled from neighbours")
def filled(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather["pressure"] = weather.pressure.ffill().bfill()
    expect(_names(answer, flights, weather), ["pressure"])


@contract.claim("it catches a pressure in pascals")
def pascals(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather["pressure"] *= 100
    expect(_names(answer, flights, weather), ["pressure"])


@contract.claim("it catches a pressure in mmHg in one hour of seven, which hardly moves the mean")
def some_in_mmhg(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather.loc[weather.index % 7 == 0, "pressure"] *= 0.750062
    expect(_names(answer, flights, weather), ["pressure"])


@contract.claim("it catches a barometer that reports less than half of the time")
def silent_barometer(answer: Answer) -> None:
    flights, weather = month(2013, 7)
    weather["pressure"] = weather.pressure.where(np.arange(len(weather)) % 5 < 2)
    expect(_names(answer, flights, weather), ["pressure"])


@contract.claim("it names the five broken columns of March and August 2023, and no sound one")
def ten_years_later(answer: Answer) -> None:
    for number in (3, 8):
        expect(
            _names(answer, *month(2023, number)),
            ["flight", "precip", "pressure", "time_hour", "wind_gust"],
        )


OF_FLIGHTS = {"flight", "time_hour"}
OF_2023 = {"flight", "precip", "pressure", "time_hour", "wind_gust"}


def _utc_hour(table: pd.DataFrame) -> pd.Series:
    local = pd.to_datetime(table[["year", "month", "day", "hour"]].astype(int))
    # No flight lies in the hours that clocks skip or repeat; of the weather, time_hour is not guarded.
    zoned = local.dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC")


def _dated(table: pd.DataFrame, year: int) -> pd.DataFrame:
    """The same rows as if they were of another year; a time_hour that is off stays off by as much."""
    off = table.time_hour - _utc_hour(table)
    moved = table.assign(year=pd.Series(year, table.index, "Int32"))
    return moved.assign(time_hour=_utc_hour(moved) + off)


def _dealt(start: int, skipped: int) -> Any:
    """Codes from `start` on as flights appear, of which every so manieth is never dealt."""

    def dealt(flights: pd.DataFrame) -> Any:
        place = pd.factorize(flights.flight)[0]
        return start + place + place // (skipped - 1)

    return dealt


def _moved(hours: int) -> Any:
    return lambda flights: flights.time_hour + pd.Timedelta(hours=hours)


def _gust(factor: float, to: float, *, windy: bool) -> Any:
    """A gust that is a multiple of the wind, rounded; in all hours, or where there was a gust."""

    def derived(weather: pd.DataFrame) -> Any:
        gust = (weather.wind_speed * factor / to).round() * to
        return gust.where(weather.wind_gust.notna()) if windy else gust

    return derived


def _trace(weather: pd.DataFrame) -> Any:
    return weather.precip.mask((weather.precip == 0) & (weather.humid > 70), 0.0001)


def _first_report(weather: pd.DataFrame) -> Any:
    """A share of each hour's total, so that the mean wet hour is at about 0.02 inches, whatever the month."""
    share = 0.015 / weather.precip[weather.precip > 0].mean()
    return np.ceil((weather.precip * share * 100).round(6)) / 100


def _silent(share: float) -> Any:
    """A barometer that does not report in this share of the hours."""
    return lambda weather: weather.pressure.where(np.arange(len(weather)) % 25 >= 25 * share)


WHOLE: dict[str, dict[str, Any]] = {
    "flight": {
        "codes from 1": lambda flights: pd.factorize(flights.flight)[0] + 1,
        "codes from 5,000": lambda flights: pd.factorize(flights.flight)[0] + 5000,
        "codes in the order of the numbers": lambda flights: flights.flight.rank(method="dense"),
        "codes from 1, every seventh dropped": _dealt(1, 7),
        "codes from 300, every fourth dropped": _dealt(300, 4),
    },
    "wind_gust": {
        "the wind in knots": _gust(0.868976, 1e-6, windy=False),
        "the wind times 1.4, where there was a gust": _gust(1.4, 1e-6, windy=True),
        "the wind times 1.2, to whole miles": _gust(1.2, 1, windy=False),
        "the wind times 1.5, to two miles, where there was a gust": _gust(1.5, 2, windy=True),
    },
    "precip": {
        "first reports": _first_report,
        "ten times as much": lambda weather: weather.precip * 10,
        "a hundred times as much": lambda weather: weather.precip * 100,
        "0.01 in each wet hour": lambda weather: weather.precip.mask(weather.precip > 0, 0.01),
        "0.05 in each wet hour": lambda weather: weather.precip.mask(weather.precip > 0, 0.05),
    },
    "pressure": {
        "filled from the hour before": lambda weather: weather.pressure.ffill().bfill(),
        "filled with the mean": lambda weather: weather.pressure.fillna(weather.pressure.mean()),
        "half of it missing": _silent(0.52),
        "most of it missing": _silent(0.8),
    },
}
IN_SOME_ROWS: dict[str, dict[str, Any]] = {
    "time_hour": {
        "local time": _moved(-4),
        "an hour early": _moved(-1),
        "an hour late": _moved(1),
        "a day early": _moved(-24),
        "a day late": _moved(24),
        "a week late": _moved(168),
        "an hour early and an hour late by turns": lambda flights: (
            flights.time_hour + pd.to_timedelta(flights.day.astype(int) // 2 % 2 * 2 - 1, unit="h")
        ),
    },
    "precip": {
        "traces as 0.0001": _trace,
        "millimetres": lambda weather: weather.precip * 25.4,
        "centimetres": lambda weather: weather.precip * 2.54,
    },
    "pressure": {
        "pascals": lambda weather: weather.pressure * 100,
        "inches of mercury": lambda weather: weather.pressure * 0.02953,
        "mmHg": lambda weather: weather.pressure * 0.750062,
    },
}
SOME_ROWS: dict[str, Any] = {
    "in all rows": lambda table: table.day >= 1,
    "from the 16th on": lambda table: table.day >= 16,
    "until the 15th": lambda table: table.day <= 15,
    "on odd days": lambda table: table.day % 2 == 1,
    "in every seventh row": lambda table: pd.Series(np.arange(len(table)) % 7 == 3, table.index),
}
# Of rain in one hour no one can tell: half an inch in millimetres is 12.7, and in hundredths as well.
IN_A_SINGLE_ROW = {"time_hour", "pressure"}


def _broken(table: pd.DataFrame, column: str, how: str, where: str) -> pd.DataFrame:
    made = (WHOLE.get(column, {}) | IN_SOME_ROWS.get(column, {}))[how](table)
    made = pd.Series(np.asarray(made), table.index) if not isinstance(made, pd.Series) else made
    if where == "in a single row":
        known = table[column].notna().cumsum()
        hit = known.eq(known.max() // 3) & table[column].notna()
    else:
        hit = SOME_ROWS[where](table).astype(bool)
    return table.assign(**{column: table[column].where(~hit, made)})


def _run_contract(
    answer: Answer,
    months: dict[str, str],
    dated: int | None,
    part: float,
    broken: dict[str, Any],
) -> list[str]:
    """What a contract says of the flights and the weather of two months, dated as of another year if one is given."""
    numbers = {name: tuple(map(int, when.split("-"))) for name, when in months.items()}
    flights, weather = (_month(table, *numbers[table]) for table in ("flights", "weather"))
    if part < 1:
        flights = flights.sample(frac=part, random_state=0).sort_index()
    if dated:
        flights, weather = _dated(flights, dated), _dated(weather, dated)
    for column, (how, where) in broken.items():
        if column in OF_FLIGHTS:
            flights = _broken(flights, column, how, where)
        else:
            weather = _broken(weather, column, how, where)
    return broken_columns(answer(), flights, weather)


def _truly_broken(
    months: dict[str, str], dated: int | None, part: float, broken: dict[str, Any]
) -> list[str]:
    """Which columns are broken, by the way that the month was made."""
    named = set(broken)
    if months["weather"] == "2013-02":
        named.add("wind_speed")
    if months["flights"].startswith("2023"):
        named |= OF_FLIGHTS
    if months["weather"].startswith("2023"):
        named |= OF_2023 - OF_FLIGHTS
    return sorted(named)


@contract.generated(
    "months of both years, dated as of any, with and without breaks",
    run=_run_contract,
    truth=_truly_broken,
    marks={
        "the rows are those of 2013, dated as of 2023": lambda months, dated, part, broken: (
            dated == 2023 and "2013" in months["flights"] and "2013" in months["weather"]
        ),
        "the rows are those of 2023, dated as of 2013": lambda months, dated, part, broken: (
            dated == 2013 and "2023" in months["flights"] + months["weather"]
        ),
        "only a part of the flights is there": lambda months, dated, part, broken: part < 1,
        "only some rows are broken": lambda months, dated, part, broken: any(
            where != "in all rows" for _, where in broken.values()
        ),
        "nothing is broken": lambda *args: not _truly_broken(*args),
        "two columns or more are broken": lambda *args: len(_truly_broken(*args)) > 1,
    },
    count=32,
    steps=60,
)
def any_months(draw):
    """What to make, in place of it: a table of some thousand rows says little in a message."""
    numbers = {table: draw(cases.whole(1, 12)) for table in ("flights", "weather")}
    years = {table: draw(st.sampled_from([2013, 2013, 2013, 2023])) for table in numbers}
    months = {table: f"{years[table]}-{n:02}" for table, n in numbers.items()}
    open_to_breaks = [
        column
        for column in sorted(OF_2023)
        if years["flights" if column in OF_FLIGHTS else "weather"] == 2013
    ]
    columns = (
        draw(cases.some(st.sampled_from(open_to_breaks), 0, 2, unique=True))
        if open_to_breaks
        else []
    )
    broken = {column: draw(_breaks(column)) for column in columns}
    dated, part = draw(st.sampled_from([None, 2023, 2013])), draw(st.sampled_from([1, 0.5, 0.3]))
    return months, dated, part, broken


def _breaks(column: str) -> cases.Strategy:
    """How a column breaks, and in which rows."""
    in_all = st.tuples(st.sampled_from([*WHOLE.get(column, {})]), st.just("in all rows"))
    rows = [*SOME_ROWS, *["in a single row"] * (column in IN_A_SINGLE_ROW)]
    in_some = st.tuples(st.sampled_from([*IN_SOME_ROWS.get(column, {})]), st.sampled_from(rows))
    kinds = [in_all] * (column in WHOLE) + [in_some] * (column in IN_SOME_ROWS)
    return st.one_of(kinds)


contract.mistake(
    "a range for the flight number",
    fails="dealt_codes",
    old="t.flight.nunique() < 0.5 * (t.flight.max() - t.flight.min())",
    new="t.flight.between(1, 9999).all()",
)
contract.mistake(
    "only codes from 1 count as dealt out",
    fails="shifted_codes",
    old="t.flight.nunique() < 0.5 * (t.flight.max() - t.flight.min())",
    new="t.flight.nunique() < t.flight.max()",
)
contract.mistake(
    "time_hour is UTC because its type says so",
    fails="local_stamp",
    old="(t.time_hour == utc_hour(t)).all()",
    new='str(t.time_hour.dt.tz) == "UTC"',
)
contract.mistake(
    "UTC is anything but local time",
    fails="forgot_summer",
    old="(t.time_hour == utc_hour(t)).all()",
    new="(t.time_hour.dt.hour != t.hour).all()",
)
contract.mistake(
    "a gust is at least the wind",
    fails="copied_gust",
    old='t.groupby("wind_speed").wind_gust.nunique().max() > 1',
    new="(t.wind_gust >= t.wind_speed)[t.wind_gust.notna()].all()",
)
contract.mistake(
    "a gust is mostly missing",
    fails="same_gust",
    old='t.groupby("wind_speed").wind_gust.nunique().max() > 1',
    new="t.wind_gust.isna().mean() > 0.5",
)
contract.mistake(
    "rain is between nothing and a flood",
    fails="traces",
    old="in_hundredths(t.precip) and is_hourly(wet_hours(t))",
    new="t.precip.between(0, 5).all()",
)
contract.mistake(
    "the smallest rain is a hundredth",
    fails="millimetres",
    old="in_hundredths(t.precip) and is_hourly(wet_hours(t))",
    new="t.precip[t.precip > 0].min() >= 0.01",
)
contract.mistake(
    "the fewer missing, the better",
    fails="filled",
    old="0.02 < pressure.isna().mean() < 0.30",
    new="pressure.isna().mean() < 0.30",
)
contract.mistake(
    "missing is normal, so any share will do",
    fails="silent_barometer",
    old="0.02 < pressure.isna().mean() < 0.30",
    new="0.02 < pressure.isna().mean()",
)
contract.mistake(
    "a barometer must report nine times in ten",
    fails="accepts",
    old="0.02 < pressure.isna().mean() < 0.30",
    new="0.02 < pressure.isna().mean() < 0.10",
)
contract.mistake(
    "the example is thrown away",
    fails="anemometer",
    old="t.wind_speed.dropna().between(0, 150).all()",
    new="True",
)
contract.mistake(
    "a sound column is accused: an anemometer that cannot tell the direction in a calm",
    fails="ten_years_later",
    old="wind_speed=lambda t",
    new="wind_dir=lambda t: t.wind_dir.isna().mean() < 0.05,\n        wind_speed=lambda t",
)
contract.mistake(
    "hundredths are enough, whatever an hour brings",
    fails="first_report",
    old="in_hundredths(t.precip) and is_hourly(wet_hours(t))",
    new="in_hundredths(t.precip) and np.isclose(wet_hours(t).min(), 0.01)",
)
contract.mistake(
    "a wet hour brings a tenth of an inch: the month decides, not the gauge",
    fails="accepts",
    old="wet.mean() > 0.03",
    new="wet.mean() > 0.042",
)
contract.mistake(
    "inches are whatever is large enough",
    fails="tenfold",
    old="np.isclose(wet.min(), 0.01) and wet.mean()",
    new="wet.mean()",
)
contract.mistake(
    "any pressure will do, if some are missing",
    fails="pascals",
    old="in_hpa and 0.02",
    new="0.02",
)
contract.mistake(
    "a gust that is no multiple of the wind is measured",
    fails="rounded_gust",
    old='t.groupby("wind_speed").wind_gust.nunique().max() > 1',
    new='t.eval("wind_gust / wind_speed").round(3).nunique() > 10',
)
contract.mistake(
    "a code here and there is missing, so they are numbers",
    fails="any_months",
    old="0.5 * (t.flight",
    new="0.9 * (t.flight",
)
contract.mistake(
    "the clock is right, whatever the date",
    fails="a_day_off",
    old="(t.time_hour == utc_hour(t)).all()",
    new="(t.time_hour.dt.hour == utc_hour(t).dt.hour).all()",
)
contract.mistake(
    "2023 is broken, and 2013 is sound",
    fails="any_months",
    old="(t.time_hour == utc_hour(t)).all()",
    new="(t.year == 2013).all() and (t.time_hour == utc_hour(t)).all()",
)
contract.mistake(
    "right on average",
    fails="some_in_mmhg",
    old="pressure.dropna().between(900, 1100).all()",
    new="900 < pressure.mean() < 1100",
)
contract.mistake(
    "nine rows of ten are right",
    fails="in_one_row",
    old="(t.time_hour == utc_hour(t)).all()",
    new="(t.time_hour == utc_hour(t)).mean() > 0.9",
)
contract.mistake(
    "the first flight of each day stands for the day",
    fails="in_one_row",
    old="(t.time_hour == utc_hour(t)).all()",
    new="(t.time_hour == utc_hour(t)).groupby(t.day).first().all()",
)
contract.mistake(
    "one good row stands for the month",
    fails="wrong_at_last",
    old="(t.time_hour == utc_hour(t)).all()",
    new="t.time_hour.iloc[0] == utc_hour(t).iloc[0]",
)


_ANY_LIMIT = "any limit between what sound and broken months have will do"
for _old, _new in {
    "wet.mean() > 0.03": ["wet.mean() >= 0.03"],
    "between(900, 1100)": [
        f"between({limits})" for limits in ("901, 1100", "899, 1100", "900, 1101", "900, 1099")
    ],
    "0.02 < pressure": ["0.02 <= pressure", "0.04 < pressure", "0.01 < pressure"],
    "mean() < 0.30": ["mean() <= 0.30"],
    "t.flight.nunique() < 0.5": ["t.flight.nunique() <= 0.5"],
    "wind_gust.nunique().max() > 1": ["wind_gust.nunique().max() > 2"],
    "between(0, 150)": [f"between({limits})" for limits in ("-1, 150", "0, 151", "0, 149")],
}.items():
    for _one in _new:
        contract.equivalent(_ANY_LIMIT, old=_old, new=_one)
contract.equivalent(
    "of two values that are close either may be called the right one",
    old="np.isclose(wet.min(), 0.01)",
    new="np.isclose(0.01, wet.min())",
)
for _old in ("between(0, 150)", "(t.time_hour == utc_hour(t))"):
    contract.equivalent(
        "pandera takes a rule's answer for each row, and wants them all",
        old=f"{_old}.all()",
        new=_old,
    )


@contract.alternative
def as_table_schemas():
    import pandera.pandas as pa

    def hours_ahead(t):
        offset = pd.to_datetime(t[["year", "month", "day"]].astype(int)).dt.tz_localize(
            "America/New_York"
        )
        noon = offset + pd.Timedelta(hours=12)
        midnight = pd.to_datetime(t[["year", "month", "day"]].astype(int)).dt.tz_localize("UTC")
        ahead = (t.time_hour - midnight) / pd.Timedelta("1h") - t.hour.astype(int)
        return bool((ahead == -noon.map(lambda m: m.utcoffset().total_seconds() / 3600)).all())

    def hourly_totals(t):
        whole = ((t.precip * 100).round(6) % 1 == 0).all()
        rain = t.precip[t.precip >= 0.01]
        return bool(whole and rain.mean() > 0.035 and (rain < 0.03).mean() > 0.1)

    def numbers_leave_gaps(t):
        numbers = np.sort(t.flight.unique().astype(int))
        return bool(np.diff(numbers).max() > 50)

    gust = pa.Check(
        lambda t: (t.wind_gust / t.wind_speed.where(t.wind_speed > 0)).std() > 0.1,
        name="wind_gust",
    )
    rain = pa.Check(hourly_totals, name="precip")
    gaps = pa.Check(
        lambda t: (
            bool(0.03 <= t.pressure.isna().mean() <= 0.25)
            and t.pressure.min() > 950
            and t.pressure.max() < 1060
        ),
        name="pressure",
    )
    storm = pa.Check(lambda t: bool((t.wind_speed.fillna(0) < 200).all()), name="wind_speed")
    return {
        "flights": pa.DataFrameSchema(
            checks=[
                pa.Check(numbers_leave_gaps, name="flight"),
                pa.Check(hours_ahead, name="time_hour"),
            ]
        ),
        "weather": pa.DataFrameSchema(checks=[gust, rain, gaps, storm]),
    }


@contract.alternative
def row_by_row():
    import pandera.pandas as pa

    def has_own_hour(t):
        local = t.time_hour.dt.tz_convert("America/New_York").dt
        date = (local.year == t.year) & (local.month == t.month) & (local.day == t.day)
        return date & (local.hour == t.hour)

    schemas = contract.answer()
    schemas["flights"].checks[1] = pa.Check(has_own_hour, name="time_hour")
    return schemas
