"""The morning page: what it says is in the log, it stands alone, and it never half replaces another."""

import os
import re
import shutil
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from prometheus_client import generate_latest

from mlsys_lib import World, examples
from mlsys_lib.alerts import alerts
from mlsys_lib.desk import Desk, Models
from mlsys_lib.drift import Labels, Quality, Univariate
from mlsys_lib.faults import renamed, silent_airline
from mlsys_lib.features import published
from mlsys_lib.report import SHOWN, report, software
from mlsys_lib.serving import Metrics
from mlsys_lib.thresholds import calibrate, ratios
from mlsys_lib.world import local_day

ODD = "<b>$x</b>"
DETECTORS = {
    "checks": Quality(columns=["carrier", "visib"]),
    "KS & <chi>": Univariate(columns=["carrier", "temp"]),
    "labels": Labels(),
}


@pytest.fixture(scope="module")
def told(served, quiet):
    """Three weeks with two simulated faults, one of them a name that is no name."""
    reference = quiet[0][local_day(quiet[0].decided_at) < "2013-08-01"]
    rows = served[local_day(served.decided_at).between("2013-08-01", "2013-08-21")]
    rows, _ = renamed(rows, "2013-08-05 04:00", "2013-08-08 04:00", "carrier", "UA", ODD)
    rows, _ = silent_airline(rows, "2013-08-12 04:00", "2013-08-17 04:00", carrier="EV")
    return (
        rows,
        reference,
        {
            name: ratios(detector, calibrate(detector, reference, rate=0.1), rows)
            for name, detector in DETECTORS.items()
        },
    )


@pytest.fixture(scope="module")
def scrapes():
    """What a service says at four moments: the more often asked, the more it refuses, 3 ms each."""
    world = World("2013-04-22 12:00")
    metrics = Metrics(Desk(published(world), Models(None, None, 0.24)))
    made = {}
    for n in range(4):
        for status in [200] * 9 + [404] * n:
            metrics.requests.labels("/predict", status).inc()
            metrics.seconds["/predict"].observe(0.003)
        made[4e9 + 10 * n] = generate_latest(metrics.registry).decode()
    return made


@pytest.fixture(scope="module")
def written(told, scrapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "morning.html"
    return report(path, *told, detectors=DETECTORS, scrapes=scrapes)


@pytest.fixture(scope="module")
def page(written):
    return written.read_text(encoding="utf-8")


def loud(days, **ratios):
    """Simulated: the ratios of one monitor, checked at the midnights after so many days of August."""
    checked = pd.date_range("2013-08-02 04:00", periods=days, tz="UTC")
    return {"checks": pd.DataFrame(0.0, checked, ["visib"]).assign(**ratios)}


def test_each_alert_has_its_story_and_the_rows_behind_it(told, page):
    rows, _, monitors = told
    sent = sum(len(alerts(table)) for table in monitors.values())
    assert sent >= 2
    for number in range(1, sent + 1):
        assert page.count(f'id="alert-{number}">') == page.count(f'id="rows-{number}">') == 1
        assert f'href="#rows-{number}">' in page and f'href="#alert-{number}">' in page
    assert f"{len(rows):,} decisions, {sent} alerts" in page
    heading = r'<h3 id="rows-\d+"><a [^>]*>\d+\. ([^<]*)</a></h3>((?:(?!<h3).)*)'
    behind = dict(re.findall(heading, page, re.S))
    rows_shown = {title: max(0, text.count("<tr>") - 1) for title, text in behind.items()}
    assert all(n <= SHOWN for n in rows_shown.values())
    # Of an airline that is renamed there is no row to show.
    assert [title for title, n in rows_shown.items() if not n] == ["labels: UA"]
    unseen = behind["checks: carrier unseen"]
    assert unseen.count("&lt;b&gt;$x&lt;/b&gt;") == min(SHOWN, (rows.carrier == ODD).sum())
    rows_of_labels = next(text for title, text in behind.items() if title.startswith("labels: EV"))
    silent = set(re.findall(r"2013-\d\d-\d\d/(\w\w)", rows_of_labels))
    assert silent == {"EV"}


def test_the_rows_of_labels_that_lack_are_of_the_days_that_were_judged(told, page):
    _, _, monitors = told
    sent = next(a for _, a in alerts(monitors["labels"]).iterrows() if a["columns"][0] == "EV")
    judged = local_day(pd.Series([sent["start"]]) - pd.Timedelta("2D 12h"))[0]
    assert judged == pd.Timestamp("2013-08-12")
    assert f"{judged:%d %B}" in page.split("labels: EV")[1][:60]


def test_nothing_from_the_log_becomes_markup(page):
    assert "<b>" not in page and "KS &amp; &lt;chi&gt;" in page
    assert "$x" in unquote(page)


def test_it_needs_nothing_from_elsewhere(page):
    linked = re.findall(r"""(?:src|href)=["']?([^\s"'>]+)""", page)
    assert linked and all(link.startswith(("#", "data:")) for link in linked)
    assert "<script" not in page and "url(" not in page.split("<body>")[0]


def test_a_page_that_exists_stays_unless_told_otherwise(told, tmp_path, monkeypatch):
    rows, reference, _ = told
    path = tmp_path / "morning.html"
    path.write_text("yesterday")
    with pytest.raises(FileExistsError, match="replace=True"):
        report(path, rows, reference, loud(3))
    assert path.read_text() == "yesterday"

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        with pytest.raises(OSError, match="no space"):
            report(path, rows, reference, loud(3), replace=True)
    assert path.read_text() == "yesterday" and os.listdir(tmp_path) == ["morning.html"]
    quiet = report(path, rows, reference, loud(3), replace=True).read_text(encoding="utf-8")
    assert "The service" not in quiet and "0 alerts" in quiet


def test_days_that_cannot_be_judged_yet_are_no_gap_in_the_figures(told, tmp_path, caplog):
    rows, reference, _ = told
    pending = local_day(rows.decided_at) >= "2013-08-20"
    waiting = rows.assign(late=rows.late.mask(pending), labelled_at=rows.labelled_at.mask(pending))
    page = report(tmp_path / "today.html", waiting, reference, loud(3)).read_text("utf-8")
    assert ">came<" in unquote(page) and ">expected<" in unquote(page)
    assert not caplog.records  # matplotlib logs what it cannot place


def test_on_the_first_morning_no_outcome_is_known_and_the_page_is_written(tmp_path, caplog):
    world = World("2013-02-01")
    asked = world.decisions(since="2013-01-10")
    rows = examples(world, asked[["flight_id", "decided_at"]]).assign(probability=0.2)
    usual, live = rows[rows.decided_at < "2013-01-28"], rows[rows.decided_at >= "2013-01-28"]
    live = live.assign(late=np.nan, labelled_at=live.labelled_at.where(live.labelled_at.isna()))
    fired = pd.DataFrame({"visib": [1.5]}, pd.to_datetime(["2013-01-30 05:00"], utc=True))
    page = report(tmp_path / "a.html", live, usual, {"checks": fired})
    assert page.stat().st_size > 10_000
    # ... and where the log has no such column yet, and neither has the reference.
    bare = [table.drop(columns=["late", "labelled_at"]) for table in (live, usual)]
    text = report(tmp_path / "b.html", *bare, {"checks": fired}).read_text("utf-8")
    assert "1 alerts" in text and ">came<" not in unquote(text)
    assert not caplog.records


def test_an_hour_without_a_decision_is_a_page(told, tmp_path, caplog):
    rows, reference, _ = told
    checks = {"volume": [np.inf, 0.5], "visib": [0.0, 2.0]}
    for name, table in (("rows", rows[:0]), ("neither", rows[:0])):
        usual = reference if name == "rows" else reference[:0]
        page = report(tmp_path / f"{name}.html", table, usual, loud(2, **checks)).read_text("utf-8")
        assert "The desk, without a decision" in page and "0 decisions, 2 alerts" in page
        assert page.count("Nothing was decided on these days.") == 2
    assert not caplog.records


def test_an_alert_on_a_day_without_rows_is_told(told, tmp_path, caplog):
    rows, reference, _ = told
    kept = rows[local_day(rows.decided_at) != "2013-08-09"]
    detector = Quality(columns=["visib"])
    table = ratios(detector, calibrate(detector, reference, rate=0.1), kept)
    page = report(tmp_path / "dark.html", kept, reference, {"checks": table}).read_text("utf-8")
    story = page.split("09 August")[1][:200]
    assert "beyond any threshold" in story and "Nothing was decided on these days." in page
    assert not caplog.records


@pytest.mark.parametrize(
    ("statistic", "column"),
    [
        ("visib gaps", "visib"),
        ("temp", "temp"),
        ("cost", "residual"),
        ("volume", "probability"),
        ("EV", "hours_to_label"),
        ("no such column", "probability"),
        ("carrier unseen", "carrier"),
        ("new", "hours_to_label"),
    ],
)
def test_a_story_shows_the_column_that_fired(statistic, column, told, tmp_path):
    rows, reference, _ = told
    rows = rows.assign(carrier=rows.carrier.replace("DL", "XX"))
    fired = loud(2, **{statistic: [2.0, 0.0]})
    page = unquote(report(tmp_path / "a.html", rows, reference, fired).read_text("utf-8"))
    assert f"{column}, then and now" in page
    carriers = set(re.findall(r"2013-08-0\d/(\w\w)", page.split("rows-1")[-1]))
    assert {"EV": carriers == {"EV"}, "new": carriers <= {"DL"}}.get(statistic, len(carriers) > 2)


@pytest.mark.parametrize("lacking", ["visib", "carrier"])
def test_a_column_that_is_missing_or_full_of_nonsense_stops_no_page(
    lacking, told, tmp_path, caplog
):
    rows, reference, _ = told
    fired = loud(2, **{lacking: [2.0, 0.0], "EV": [3.0, 0.0]})
    for name, live, usual in (
        ("rows", rows.drop(columns=lacking), reference),
        ("reference", rows, reference.drop(columns=lacking)),
        ("gone", rows.assign(**{lacking: None}), reference),
        ("never", rows, reference.assign(**{lacking: np.nan})),
        ("infinite", rows.assign(visib=np.inf), reference.assign(visib=-np.inf)),
    ):
        path = report(tmp_path / f"{name}.html", live, usual, fired)
        assert "1 alerts" in path.read_text("utf-8"), name
    assert not caplog.records


def test_what_every_decision_has_must_be_there(told, tmp_path):
    rows, reference, _ = told
    with pytest.raises(ValueError, match=r"lacks \['probability'\]"):
        report(tmp_path / "a.html", rows.drop(columns="probability"), reference, loud(2))
    with pytest.raises(ValueError, match="scrapes must have one length of one or more"):
        software({})


def test_monitors_that_are_known_wait_as_they_do_without_being_told(told, tmp_path):
    rows, reference, monitors = told
    table = {"labels that lack": monitors["labels"][["EV"]]}
    page = report(tmp_path / "a.html", rows, reference, table).read_text("utf-8")
    assert "12 August" in page.split("labels that lack: EV")[1][:60]


def test_the_services_figures_are_what_it_was_asked(scrapes):
    table = software(scrapes)
    assert table.requests.iloc[1:].to_list() == pytest.approx([1.0, 1.1, 1.2])
    assert table.refused.to_list() == pytest.approx([0, 1 / 10, 2 / 11, 3 / 12])
    assert (table.failed == 0).all() and table.memory.gt(10).all()
    # The bucket ends at 2 and 5 ms, and within it Prometheus counts evenly, too.
    assert table.p50.to_list() == pytest.approx([3.5] * 4)
    assert table.p99.to_list() == pytest.approx([4.97] * 4)


def test_counters_that_begin_again_are_no_negative_rate(scrapes):
    times = [*scrapes, 4e9 + 100]
    again = dict(zip(times, [*scrapes.values(), scrapes[times[0]]], strict=True))
    last = software(again).iloc[-1]
    assert last.requests > 0 and np.isfinite(last.p99)


def scrape(start, fast, every, started=True):
    """Simulated: what a process says that began at `start`; so many answers within 1 ms, of so many."""
    began = f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {start}\n"
    return f"""{began if started else ""}# TYPE http_requests counter
http_requests_total{{path="/predict",status="200"}} {every}
# TYPE http_request_seconds histogram
http_request_seconds_bucket{{le="0.001",path="/predict"}} {fast}
http_request_seconds_bucket{{le="0.01",path="/predict"}} {every}
http_request_seconds_bucket{{le="+Inf",path="/predict"}} {every}
"""


def test_an_interval_without_a_request_has_no_latency():
    text = """# TYPE process_start_time_seconds gauge
process_start_time_seconds 0
# TYPE http_requests counter
http_requests_total{path="/predict",status="200"} 100
# TYPE http_request_seconds histogram
http_request_seconds_bucket{le="0.001",path="/predict"} 90
http_request_seconds_bucket{le="0.5",path="/predict"} 100
http_request_seconds_bucket{le="+Inf",path="/predict"} 100
"""
    row = software({10.0: text, 20.0: text}).iloc[1]
    assert np.isnan(row.p50) and np.isnan(row.p99)
    assert row.requests == 0 and np.isnan(row.refused) and np.isnan(row.failed)


def test_a_restart_sets_back_all_series_at_once():
    # The old process answered slowly; the new one, since 15 s, 60 requests, all within 1 ms.
    slow, fast = {10.0: scrape(0, 10, 100), 20.0: scrape(15, 60, 60)}, 12.0
    row = software(slow).iloc[1]
    assert row.p99 <= 1.0 and row.requests == fast
    # The new one has answered more than the old one ever had.
    row = software({10.0: scrape(0, 100, 100), 20.0: scrape(15, 150, 150)}).iloc[1]
    assert row.requests == 30 and row.p99 <= 1.0


def test_where_a_process_does_not_say_when_it_began_a_counter_that_falls_does():
    texts = [scrape(0, n, n, started=False) for n in (100, 150, 30)]
    table = software(dict(zip((10.0, 20.0, 30.0), texts, strict=True)))
    assert np.isnan(table.requests.iloc[0])  # since when, nobody knows
    assert table.requests.iloc[1:].to_list() == [5, 3]


def test_a_series_that_appears_later_began_at_nothing():
    late = scrape(0, 50, 100).replace(
        "# TYPE http_request_seconds",
        'http_requests_total{path="/predict",status="503"} 25\n# TYPE http_request_seconds',
    )
    row = software({10.0: scrape(0, 25, 25), 20.0: late}).iloc[1]
    assert row.requests == 10 and row.failed == 0.25


def test_a_service_that_nobody_asked_yet_has_a_page(told, tmp_path, caplog):
    rows, reference, _ = told
    silent = "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 0\n"
    table = software({10.0: silent, 20.0: silent})
    assert (table.requests == 0).all() and table.p50.isna().all()
    page = report(tmp_path / "a.html", rows, reference, loud(2), scrapes={10.0: silent})
    assert "The service" in page.read_text("utf-8") and not caplog.records


def test_a_reader_sees_it_light_and_dark_and_on_a_phone(written):
    sync = pytest.importorskip("playwright.sync_api", reason="needs the extra 'test'")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if chromium is None:
        how = "no Chromium here, so the page is NOT looked at: apt-get install chromium"
        pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for theme, width in (("light", 1400), ("dark", 1400), ("light", 390), ("dark", 390)):
            page = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme
            ).new_page()
            asked, said = [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("console", lambda message, said=said: said.append(message.text))
            page.goto(written.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(
                "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
            )
            assert [url for url in asked if not url.startswith("data:")] == [written.as_uri()]
            found = axe.run(page)
            assert found.violations_count == 0 and not said, (
                theme,
                width,
                found.generate_report(),
                said,
            )
        browser.close()
