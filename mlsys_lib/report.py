"""One page to open in the morning: how the service runs, how the model does, what fired, and on which rows.

`report` writes a file that needs no server and no network. What it shows are the log of decisions, the
monitors' ratios, and what the service's ``/metrics`` said.
"""

import os
from collections.abc import Mapping
from functools import partial
from importlib.resources import files as resources
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup

from mlsys_lib import checks
from mlsys_lib.alerts import Policy, alerts, performance, standard_detectors
from mlsys_lib.distances import edges
from mlsys_lib.drift import Detector
from mlsys_lib.features import CATEGORIES
from mlsys_lib.files import write
from mlsys_lib.plots import Chart, bars, dumbbells, lines
from mlsys_lib.world import local_day

Rows = pd.DataFrame
SHOWN = 40  # rows behind an alert
Curves = Mapping[str, pd.Series]
_ALWAYS = ["flight_id", "decided_at", "probability"]
_CHECKED = ("gaps", "outside", "unseen", "stuck")  # what `Quality` says of a column


def report(
    path: str | os.PathLike[str],
    rows: Rows,
    reference: Rows,
    monitors: Mapping[str, pd.DataFrame],
    *,
    detectors: Mapping[str, Detector] | None = None,
    policy: Policy | None = None,
    scrapes: Mapping[float, str] | None = None,
    replace: bool = False,
) -> Path:
    """Write the page.

    Parameters
    ----------
    path : path
        The HTML file. It is written beside its place and then moved there: all of it or nothing.
    rows, reference : pandas.DataFrame of shape (n_decisions, n_columns)
        The log that was watched, and the undisturbed days that the monitors were fitted on: features,
        `probability`, and as far as they are known `late` and `labelled_at`.
    monitors : mapping of str to pandas.DataFrame
        The ratios of each, as `mlsys_lib.alerts.standard_monitors` gives them.
    detectors : mapping of str to Detector, optional
        Theirs, by the same names: how long they wait says on which days the rows behind an alert were
        decided. The `standard_detectors` unless you say otherwise; one that is not named does not wait.
    policy : Policy, optional
        What makes alerts of them.
    scrapes : mapping of float to str, optional
        What ``/metrics`` said, by the Unix time at which it was asked.
    replace : bool, default False
        Whether a file of that name may go.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileExistsError
        If there is a file of that name, unless `replace`.
    ValueError
        If a column is missing that every decision has.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise FileExistsError(f"{target} exists; choose another name, or say replace=True")
    rows, reference = _complete(rows), _complete(reference)
    sent: list[dict[Any, Any]] = [
        {"monitor": name, **alert}
        for name, table in monitors.items()
        for alert in alerts(table, policy=policy).to_dict("records")
    ]
    sent.sort(key=lambda alert: alert["start"])
    waits = {name: detector.wait for name, detector in (detectors or standard_detectors()).items()}
    page = {
        "days": sorted(set(rows.day)),
        "decisions": len(rows),
        "service": _service(software(scrapes)) if scrapes else None,
        "model": _model(rows, monitors) if len(rows) else [],
        "alerts": [
            _story(alert, monitors[alert["monitor"]], rows, reference, waits) for alert in sent
        ],
    }
    text = resources("mlsys_lib").joinpath("report.html").read_text("utf-8")
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    write(target, made.render(page).encode())
    return target


def software(scrapes: Mapping[float, str]) -> pd.DataFrame:
    """What ``/metrics`` says about the process, between each scrape and the one before.

    Parameters
    ----------
    scrapes : mapping of float to str
        The text, by the Unix time of the scrape. The first counts from the start of the process, and so
        does the first after a restart, which sets back all counters at once.

    Returns
    -------
    pandas.DataFrame of shape (n_scrapes, 6)
        By moment: `requests` for a prediction per second, the shares `refused` (4xx) and `failed` (5xx;
        503 is a request turned away), `p50` and `p99` in milliseconds, `memory` in MB. Shares and times are
        missing where nothing was asked.

    Raises
    ------
    ValueError
        If there is no scrape.

    Examples
    --------
    >>> text = '''# TYPE process_start_time_seconds gauge
    ... process_start_time_seconds 0
    ... # TYPE http_requests_total counter
    ... http_requests_total{path="/predict",status="200"} 90
    ... http_requests_total{path="/predict",status="503"} 10
    ... # TYPE http_request_seconds histogram
    ... http_request_seconds_bucket{le="0.001",path="/predict"} 50
    ... http_request_seconds_bucket{le="0.01",path="/predict"} 100
    ... http_request_seconds_bucket{le="+Inf",path="/predict"} 100
    ... '''
    >>> software({10.0: text}).iloc[0].round(2).to_dict()
    {'requests': 10.0, 'refused': 0.0, 'failed': 0.1, 'p50': 1.0, 'p99': 9.82, 'memory': nan}
    """
    checks.same_length(scrapes=scrapes)
    samples = _samples(scrapes)
    at = pd.Series(sorted(scrapes), sorted(scrapes), dtype=float)
    ours = samples[samples.path == "/predict"]
    asked = _by(ours[ours.name == "http_requests_total"], "status", at)
    buckets = _by(ours[ours.name == "http_request_seconds_bucket"], "le", at)
    process = _by(samples[samples.path.isna()], "name", at)
    started = process.get("process_start_time_seconds", pd.Series(np.nan, at.index))
    counters = asked.join(buckets)
    restarted = (started.diff() > 0) | (counters.diff() < 0).any(axis=1)
    restarted.iloc[0] = True
    seconds = at.diff().mask(restarted & started.notna(), at - started)
    asked, buckets = (
        table.diff().mask(restarted, table, axis=0)
        for table in (asked.fillna(0), buckets.fillna(0))
    )
    total = asked.sum(axis=1)
    made = {
        "requests": total / seconds,
        "refused": asked.filter(regex="^4").sum(axis=1) / total,
        "failed": asked.filter(regex="^5").sum(axis=1) / total,
        "p50": _quantile(buckets, 0.5),
        "p99": _quantile(buckets, 0.99),
        "memory": process.get("process_resident_memory_bytes", np.nan) / 1e6,
    }
    return pd.DataFrame(made).set_axis(pd.to_datetime(at.index, unit="s", utc=True).floor("s"))


def _samples(scrapes: Mapping[float, str]) -> pd.DataFrame:
    """A row a sample: when, its name, its labels, its value."""
    from prometheus_client.parser import text_string_to_metric_families as families

    samples = [
        {"at": at, "name": sample.name, **sample.labels, "value": sample.value}
        for at, text in scrapes.items()
        for family in families(text)
        for sample in family.samples
    ]
    return pd.DataFrame(samples, columns=["at", "name", "path", "status", "le", "value"])


def _by(samples: pd.DataFrame, label: str, at: pd.Series) -> pd.DataFrame:
    table = samples.pivot_table(index="at", columns=label, values="value", aggfunc="sum")
    return table.reindex(at.index)


def _quantile(buckets: pd.DataFrame, share: float) -> list[float]:
    """In milliseconds, spread evenly over its bucket, as Prometheus does; missing without a request."""
    ends = buckets.columns.astype(float).to_numpy()
    order = np.argsort(ends)
    bounds = np.append(0, ends[order])
    bounds[-1] = bounds[-2:][0]  # beyond the last end, Prometheus says the last end as well
    return [
        1000 * float(np.interp(share * row[-1], [0, *row], bounds)) if row.any() else np.nan
        for row in buckets.to_numpy()[:, order]
    ]


def _complete(rows: Rows) -> Rows:
    """A log with what is not known yet as missing, and with what follows from it."""
    checks.columns(rows, _ALWAYS, remedy="the desk's log has them")
    rows = rows.reindex(columns=list(dict.fromkeys([*rows, "late", "labelled_at"])))
    decided = checks.moments(rows.decided_at, "decided_at")
    labelled, late = pd.to_datetime(rows.labelled_at, utc=True), rows.late.astype(float)
    return rows.assign(
        decided_at=decided,
        labelled_at=labelled,
        late=late,
        day=local_day(decided),
        residual=late - rows.probability,
        hours_to_label=(labelled - decided) / pd.Timedelta("1h"),
    )


def _service(table: pd.DataFrame) -> dict[str, Any]:
    figures = _drawn(
        (table.index - table.index[0]).total_seconds() / 60,
        "minutes since the first scrape",
        {
            "Time to answer (ms)": {"median": table.p50, "99 %": table.p99},
            "Predictions (a second)": {"": table.requests},
            "Errors (share of requests)": {"refused": table.refused, "failed": table.failed},
            "Memory (MB)": {"": table.memory},
        },
    )
    return {"figures": figures, "table": _table(table.reset_index(names="until"))}


def _model(rows: Rows, monitors: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    daily = performance(rows, pd.concat([rows.decided_at, rows.labelled_at]).max())
    judged = daily.assign(expected=rows.groupby("day").probability.mean())
    judged = judged[: daily.late.last_valid_index()] if daily.late.notna().any() else judged[:0]
    made: dict[str, Curves] = {
        "Late flights (share)": {"expected": judged.expected, "came": judged.late},
        "Cost (dollars a flight)": {"": judged.cost},
    }
    asked: dict[str, Curves] = {
        "Decisions (a day)": {"": daily.decisions},
        "Outcomes that are known (share)": {"": daily.settled},
    }
    fired = {name: float((table.max(axis=1) >= 1).sum()) for name, table in monitors.items()}
    loud = [bars(fired, "Days above the threshold", "days")] if fired else []
    known = _drawn(judged.index, "", made) if len(judged) else []
    return [*known, *_drawn(daily.index, "", asked, *loud)]


def _story(
    alert: Any, table: pd.DataFrame, rows: Rows, reference: Rows, waits: Mapping[str, pd.Timedelta]
) -> dict[str, Any]:
    """What fired, since when, how its column looks; and the rows of those days, the strangest first."""
    loudest, more = alert["columns"][0], len(alert["columns"]) - 4
    wait = waits.get(alert["monitor"], pd.Timedelta(0)) + pd.Timedelta("12h")
    first, last = local_day(pd.Series([alert["start"] - wait, alert["end"] - wait]))
    here, usual = _airline(loudest, rows[rows.day.between(first, last)], reference)
    column = _about(loudest, here, usual)
    ratio = table[loudest].loc[: alert["end"] + pd.Timedelta("7D")].tail(60)
    # What is infinitely far is drawn at the top.
    highest = max([2.0, *ratio[np.isfinite(ratio)]])
    ratio = ratio.clip(upper=1.2 * highest)
    curves = {f"{loudest} (statistic / threshold)": {"": ratio, "limit": ratio * 0 + 1}}
    both = []
    if len(here) and len(usual):
        shares = _shares(here[column], usual[column])
        title = f"{column}, then and now"
        both = [dumbbells(shares, ("reference", "alert"), title, "share of flights", 0)]
    return {
        "title": f"{alert['monitor']}: {', '.join(alert['columns'][:4])}"
        + (f" and {more} more" if more > 0 else ""),
        "days": sorted({first, last}),
        "peak": alert["peak"] if np.isfinite(alert["peak"]) else None,
        "figures": _drawn(ratio.index, "", curves, *both),
        "rows": _table(_strangest(here, usual, column)) if len(here) else None,
    }


def _airline(statistic: str, here: Rows, usual: Rows) -> tuple[Rows, Rows]:
    """The flights of the airline that a statistic of `Labels` is about; all, for the others."""
    if "carrier" not in here or "carrier" not in usual:
        return here, usual
    known = set(usual.carrier)
    if statistic == "new":
        return here[~here.carrier.isin(known)], usual
    if statistic in known:
        return here[here.carrier == statistic], usual[usual.carrier == statistic]
    return here, usual


def _about(statistic: str, here: Rows, usual: Rows) -> str:
    """The column of the log that a statistic is about."""
    names = {f"{column} {check}": str(column) for column in here for check in _CHECKED}
    names |= dict.fromkeys(["new", *usual.get("carrier", [])], "hours_to_label")
    column = (names | {"cost": "residual"}).get(statistic, statistic)
    return column if column in here and column in usual else "probability"


def _strangest(here: Rows, usual: Rows, column: str) -> Rows:
    now, then = here[column], usual[column]
    if _named(then):
        strange = -now.map(then.value_counts()).astype(float).fillna(0).to_numpy()
    else:
        # Where a feature is missing, that is what is strange; a label may be to come.
        gap = 0.0 if column == "residual" else np.inf
        apart = np.abs(checks.floats(now) - pd.Series(checks.floats(then)).median())
        strange = np.where(np.isnan(apart), gap, apart)
    first = np.argsort(-strange, kind="stable")[:SHOWN]
    return here.iloc[first][list(dict.fromkeys([*_ALWAYS, "late", "labelled_at", column]))]


def _named(column: pd.Series) -> bool:
    return column.name in CATEGORIES or not pd.api.types.is_numeric_dtype(column)


def _shares(now: pd.Series, then: pd.Series) -> dict[str, tuple[float, float]]:
    """The shares of flights by name or by bin, in the reference and now, where they differ most."""
    if not _named(then):
        limit = np.finfo(float).max  # what is infinite belongs to the last bin
        now, then = (pd.Series(np.minimum(checks.floats(column), limit)) for column in (now, then))
        bins = [-np.inf, *edges(then), np.inf]
        names = [_span(low, high) for low, high in pairwise(bins)]
        cut: Any = partial(pd.cut, bins=bins, right=False, labels=names, ordered=False)
        now, then = cut(now), cut(then)
    count = partial(pd.Series.value_counts, normalize=True, sort=False)
    shares = pd.DataFrame({"then": count(then), "now": count(now)}).fillna(0)
    shares.index = shares.index.astype(str)
    shares.loc["missing"] = [then.isna().mean(), now.isna().mean()]
    most = (shares.now - shares.then).abs().nlargest(10).index
    shares = shares[shares.index.isin(most)]
    return {_plain(str(name)): (then, now) for name, then, now in shares.itertuples()}


def _span(low: float, high: float) -> str:
    """What a bin from one end to another is called."""
    if high == np.nextafter(low, np.inf):
        return f"{low:.4g}"
    if np.isinf(low):
        return f"below {high:.4g}" if np.isfinite(high) else "known"
    return f"{low:.4g} to {high:.4g}" if np.isfinite(high) else f"{low:.4g} and more"


def _drawn(x: Any, xlabel: str, curves: Mapping[str, Curves], *more: Chart) -> list[dict[str, str]]:
    with matplotlib.rc_context({"date.converter": "concise"}):
        charts = [
            lines(x, data, _plain(t), xlabel, "", ylim=(0, None)) for t, data in curves.items()
        ]
    return [
        {
            "title": chart.figure.get_suptitle(),
            "source": "data:image/svg+xml," + quote(chart._repr_svg_()),
        }
        for chart in (*charts, *more)
    ]


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # no formula


def _table(table: pd.DataFrame) -> Markup:
    # pandas escapes what is in the cells.
    text = table.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)
    return Markup(text.replace("+00:00", ""))
