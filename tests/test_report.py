"""The morning page: what it says is in the log, it stands alone, and it never half replaces another."""

import os
import re
import shutil
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from prometheus_client import generate_latest

from mlsys_lib import World
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
            metrics.seconds.labels("/predict").observe(0.003)
        made[4e9 + 10 * n] = generate_latest(metrics.registry).decode()
    return made


@pytest.fixture
def page(told, scrapes, tmp_path):
    path = report(tmp_path / "morning.html", *told, detectors=DETECTORS, scrapes=scrapes)
    return path.read_text(encoding="utf-8")


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
    path = tmp_path / "morning.html"
    path.write_text("yesterday")
    with pytest.raises(FileExistsError, match="replace=True"):
        report(path, *told)
    assert path.read_text() == "yesterday"

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        with pytest.raises(OSError, match="no space"):
            report(path, *told, replace=True)
    assert path.read_text() == "yesterday"
    assert "The service" not in report(path, *told, replace=True).read_text(encoding="utf-8")


def test_a_quiet_week_is_a_page_as_well(told, tmp_path):
    rows, reference, monitors = told
    silent = {name: table * 0 for name, table in monitors.items()}
    assert "0 alerts" in report(tmp_path / "quiet.html", rows, reference, silent).read_text()


def test_days_that_cannot_be_judged_yet_are_no_gap_in_the_figures(told, tmp_path, caplog):
    rows, reference, monitors = told
    pending = local_day(rows.decided_at) >= "2013-08-20"
    waiting = rows.assign(late=rows.late.mask(pending), labelled_at=rows.labelled_at.mask(pending))
    page = unquote(report(tmp_path / "today.html", waiting, reference, monitors).read_text("utf-8"))
    assert ">came<" in page and ">expected<" in page
    assert not caplog.records  # matplotlib logs what it cannot place


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


def test_a_reader_sees_it_light_and_dark_and_on_a_phone(told, scrapes, tmp_path):
    sync = pytest.importorskip("playwright.sync_api", reason="needs the extra 'test'")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if chromium is None:
        how = "no Chromium here, so the page is NOT looked at: apt-get install chromium"
        pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)
    path = report(tmp_path / "morning.html", *told, detectors=DETECTORS, scrapes=scrapes)
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
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(
                "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
            )
            assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
            found = axe.run(page)
            assert found.violations_count == 0 and not said, (
                theme,
                width,
                found.generate_report(),
                said,
            )
        browser.close()
