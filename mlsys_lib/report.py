"""One page to open in the morning: how the service runs, how the model does, what fired, and on which rows.

`report` writes a file that needs no server and no network. What it shows are the log of decisions, the
monitors' ratios, and what the service's ``/metrics`` said.
"""

import html
import os
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
import pandas as pd

from mlsys_lib.alerts import Policy, alerts, performance
from mlsys_lib.drift import edges
from mlsys_lib.features import CATEGORIES
from mlsys_lib.plots import Chart, bars, dumbbells, lines
from mlsys_lib.world import local_day

Rows = pd.DataFrame
SHOWN = 40  # rows behind an alert
Curves = Mapping[str, pd.Series]
_SHOWN = ["flight_id", "decided_at", "probability", "late", "labelled_at"]


def report(
    path: str | os.PathLike[str],
    rows: Rows,
    reference: Rows,
    monitors: Mapping[str, pd.DataFrame],
    *,
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
        `probability`, `late` and `labelled_at`.
    monitors : mapping of str to pandas.DataFrame
        The ratios of each, as `mlsys_lib.alerts.standard_monitors` gives them.
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
    """
    target = Path(path)
    if target.exists() and not replace:
        raise FileExistsError(f"{target} exists; choose another name, or say replace=True")
    sent: list[dict[Any, Any]] = [
        {"monitor": name, **alert}
        for name, table in monitors.items()
        for alert in alerts(table, policy=policy).to_dict("records")
    ]
    sent.sort(key=lambda alert: alert["start"])
    told = [_story(n, alert, rows, reference, monitors) for n, alert in enumerate(sent, 1)]
    days = local_day(rows.decided_at)
    title = f"The desk from {days.min():%d %B %Y} to {days.max():%d %B %Y}"
    about = f"{len(rows):,} decisions, {len(sent)} alerts. Days are New York's, times UTC."
    page = [
        f"<h1>{title}</h1><p class=quiet>{about}</p>",
        _service(software(scrapes)) if scrapes else "",
        _model(rows, monitors),
        "<h2>Alerts</h2>" + "".join(story for story, _ in told),
        "<h2>The rows behind them</h2>" + "".join(behind for _, behind in told),
    ]
    text = Template(files("mlsys_lib").joinpath("report.html").read_text("utf-8"))
    scratch = target.with_name(target.name + ".new")
    scratch.write_text(text.substitute(title=title, body="\n".join(page)), encoding="utf-8")
    os.replace(scratch, target)
    return target


def software(scrapes: Mapping[float, str]) -> pd.DataFrame:
    """What ``/metrics`` says about the process, between each scrape and the one before.

    Parameters
    ----------
    scrapes : mapping of float to str
        The text, by the Unix time of the scrape. The first counts from the start of the process.

    Returns
    -------
    pandas.DataFrame of shape (n_scrapes, 6)
        By moment: `requests` for a prediction per second, the shares `refused` (4xx) and `failed` (5xx;
        503 is a request turned away), `p50` and `p99` in milliseconds, `memory` in MB.

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
    from prometheus_client.parser import text_string_to_metric_families as families

    read = {
        at: {
            " ".join([s.name, *(value for _, value in sorted(s.labels.items()))]): s.value
            for family in families(text)
            for s in family.samples
        }
        for at, text in sorted(scrapes.items())
    }
    table = pd.DataFrame(read).T
    gone = table.diff()
    gone = gone.where(gone >= 0, table)  # the first, and the first after a restart
    asked = gone.filter(regex=r"^http_requests_total /predict \d")
    total = asked.sum(axis=1)
    buckets = gone.filter(regex="^http_request_seconds_bucket .* /predict$")
    ends = np.append(0, [float(str(name).split()[1]) for name in buckets])
    ends[-1] = ends[-2]  # beyond the last end, Prometheus says the last end as well
    since = np.append(table.iloc[0]["process_start_time_seconds"], table.index[:-1])
    made = {
        "requests": total / (table.index - since),
        "refused": asked.filter(regex=" 4..$").sum(axis=1) / total,
        "failed": asked.filter(regex=" 5..$").sum(axis=1) / total,
        **{
            f"p{q}": [
                1000 * np.interp(q / 100 * row[-1], [0, *row], ends) for row in buckets.to_numpy()
            ]
            for q in (50, 99)
        },
        "memory": table.get("process_resident_memory_bytes", np.nan) / 1e6,
    }
    return pd.DataFrame(made).set_axis(pd.to_datetime(table.index, unit="s", utc=True).floor("s"))


def _service(table: pd.DataFrame) -> str:
    charts = _drawn(
        (table.index - table.index[0]).total_seconds() / 60,
        "minutes since the first scrape",
        {
            "Time to answer (ms)": {"median": table.p50, "99 %": table.p99},
            "Predictions (a second)": {"": table.requests},
            "Errors (share of requests)": {"refused": table.refused, "failed": table.failed},
            "Memory (MB)": {"": table.memory},
        },
    )
    return "<h2>The service</h2>" + charts + _table(table.reset_index(names="until"))


def _model(rows: Rows, monitors: Mapping[str, pd.DataFrame]) -> str:
    daily = performance(rows, rows.labelled_at.max())
    expected = rows.probability.groupby(local_day(rows.decided_at)).mean()
    judged = daily.assign(expected=expected)[: daily.late.last_valid_index()]
    made: dict[str, Curves] = {
        "Late flights (share)": {"expected": judged.expected, "came": judged.late},
        "Cost (dollars a flight)": {"": judged.cost},
    }
    asked: dict[str, Curves] = {
        "Decisions (a day)": {"": daily.decisions},
        "Outcomes that are known (share)": {"": daily.settled},
    }
    fired = {name: float((table.max(axis=1) >= 1).sum()) for name, table in monitors.items()}
    loud = bars(fired, "Days above the threshold", "days")
    charts = _drawn(judged.index, "", made) + _drawn(daily.index, "", asked, loud)
    return "<h2>The model</h2>" + charts


def _story(
    number: int, alert: Any, rows: Rows, reference: Rows, monitors: Mapping[str, pd.DataFrame]
) -> tuple[str, str]:
    """What fired, since when, how its column looks; and the rows of those days, the strangest first."""
    table, named = monitors[alert["monitor"]], alert["columns"].split(", ")
    loudest = named[0]
    wait = pd.Timedelta(table.attrs.get("wait", "0D")) + pd.Timedelta("12h")
    first, last = local_day(pd.Series([alert["start"] - wait, alert["end"] - wait]))
    here, usual = (
        log.assign(
            residual=log.late - log.probability,
            hours_to_label=(log.labelled_at - log.decided_at) / pd.Timedelta("1h"),
        )
        for log in (rows[local_day(rows.decided_at).between(first, last)], reference)
    )
    column = {"cost": "residual"}.get(loudest, loudest.split()[0])
    if column in set(reference.carrier):
        here, usual = here[here.carrier == column], usual[usual.carrier == column]
        column = "hours_to_label"
    column = column if column in here else "probability"
    now, then = here[column], usual[column]
    if column in CATEGORIES:
        strange = -now.map(then.value_counts()).fillna(0)
    else:
        # Where a feature is missing, that is what is strange; a label may be to come.
        gap = 0 if column == "residual" else np.inf
        strange = (now - then.median()).abs().fillna(gap)
    shown = here.loc[strange.nlargest(SHOWN).index, list(dict.fromkeys([*_SHOWN, column]))]
    ratio = table[loudest].loc[: alert["end"] + pd.Timedelta("7D")].tail(60)
    curves = {f"{loudest} (statistic / threshold)": {"": ratio, "limit": ratio * 0 + 1}}
    ends = ("reference", "alert")
    both = dumbbells(_shares(now, then), ends, f"{column}, then and now", "share of flights", 0)
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""
    title = html.escape(f"{number}. {alert['monitor']}: {', '.join(named[:4])}{more}")
    when = f"{first:%d %B}" + (f" to {last:%d %B}" if last > first else "")
    return (
        f"<article id=alert-{number}><h3>{title}</h3><p>{when}, at its peak {alert['peak']:.2f} times the "
        f"threshold. <a href=#rows-{number}>The rows behind it</a></p>"
        f"{_drawn(ratio.index, '', curves, both)}</article>",
        f"<h3 id=rows-{number}><a href=#alert-{number}>{title}</a></h3>{_table(shown)}",
    )


def _shares(now: pd.Series, then: pd.Series) -> dict[str, tuple[float, float]]:
    """The shares of flights by name or by bin, in the reference and now, where they differ most."""
    if now.name not in CATEGORIES:
        bins = [-np.inf, *edges(then), np.inf]
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(bins)]
        cut: Any = partial(pd.cut, bins=bins, right=False, labels=names, ordered=False)
        now, then = cut(now), cut(then)
    count = partial(pd.Series.value_counts, normalize=True, sort=False)
    shares = pd.DataFrame({"then": count(then), "now": count(now)}).fillna(0)
    shares.index = shares.index.astype(str)
    shares.loc["missing"] = [then.isna().mean(), now.isna().mean()]
    most = (shares.now - shares.then).abs().nlargest(10).index
    shares = shares[shares.index.isin(most)]
    return {_plain(str(name)): (then, now) for name, then, now in shares.itertuples()}


def _drawn(x: Any, xlabel: str, curves: Mapping[str, Curves], *more: Chart) -> str:
    with matplotlib.rc_context({"date.converter": "concise"}):
        charts = [
            lines(x, data, _plain(t), xlabel, "", ylim=(0, None)) for t, data in curves.items()
        ]
    made = []
    for chart in (*charts, *more):
        title = html.escape(chart.figure.get_suptitle())
        source = "data:image/svg+xml," + quote(chart._repr_svg_())
        made.append(f'<figure><img alt="{title}" src="{source}"></figure>')
    return f"<div class=figures>{''.join(made)}</div>"


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # no formula


def _table(table: pd.DataFrame) -> str:
    text = table.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)
    return f"<div class=scroll tabindex=0>{text.replace('+00:00', '')}</div>"
