"""The rules for Prometheus: each fires in the state that it is for, and in no other."""

import json
import os
import re
import shutil
import subprocess
from importlib.resources import files

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlsys_lib import World
from mlsys_lib.desk import Desk, Models
from mlsys_lib.features import published
from mlsys_lib.serving import Service

RULES = files("mlsys_lib") / "rules.yml"
GROUPS = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
MADE = [rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule]

# Series of an hour in which all is well, a value a minute: 0+60x60 grows by 60, sixty times.
WELL = {
    "desk_now_seconds": "0+60x60",
    "log_quiet_seconds": "0.2x60",
    'feature_age_seconds{feed="weather"}': "60x60",
    'feature_age_seconds{feed="arrivals"}': "60x60",
    "reports_refused": "3x60",
    "rung_failures": "0x60",
    "answers_unwritten": "5x60",
    "process_resident_memory_bytes": "200000000x60",
    'http_requests_total{path="/predict",status="200"}': "0+600x60",
    'http_requests_total{path="/predict",status="500"}': "0x60",
    'http_requests_total{path="/predict",status="503"}': "0x60",
    'http_request_seconds_bucket{path="/predict",le="0.01"}': "0+600x60",
    'http_request_seconds_bucket{path="/predict",le="0.1"}': "0+600x60",
    'http_request_seconds_bucket{path="/predict",le="+Inf"}': "0+600x60",
    'predictions_total{rung="fresh"}': "0+600x60",
    'predictions_total{rung="schedule"}': "0x60",
    'unknown_names_total{column="carrier"}': "0x60",
    'prediction_probability_bucket{le="0.2"}': "0+400x60",
    'prediction_probability_bucket{le="+Inf"}': "0+600x60",
    "prediction_probability_count": "0+600x60",
}
STATES = {
    "all is well": ({}, set()),
    "nobody asks at night": (
        dict.fromkeys(
            [name for name in WELL if "_total" in name or "_seconds_b" in name], "600x60"
        ),
        set(),
    ),
    "no service": (dict.fromkeys(WELL, "_x60"), {"DeskIsGone"}),
    "2 % slow": (
        {'http_request_seconds_bucket{path="/predict",le="0.01"}': "0+588x60"},
        {"AnswersAreSlow"},
    ),
    "half a percent slow": (
        {'http_request_seconds_bucket{path="/predict",le="0.01"}': "0+597x60"},
        set(),
    ),
    "shedding": (
        {'http_requests_total{path="/predict",status="503"}': "0+60x60"},
        {"RequestsAreTurnedAway"},
    ),
    "an error": (
        {'http_requests_total{path="/predict",status="500"}': "0+1x60"},
        {"AnswersFail"},
    ),
    "a leak": (
        {"process_resident_memory_bytes": "200000000+1000000x60 260000000+1000000x60"},
        {"MemoryGrows"},
    ),
    "a full disk": ({"answers_unwritten": "0+600x60"}, {"AnswersAreNotWritten"}),
    "weather late": ({'feature_age_seconds{feed="weather"}': "0+60x60"}, {"FeedIsBehind"}),
    "weather lost": (
        {
            'feature_age_seconds{feed="weather"}': "9000+60x60",
            'predictions_total{rung="fresh"}': "0+600x30 18000x30",
            'predictions_total{rung="schedule"}': "0x30 0+600x30",
        },
        {"FeedIsBehind", "FeedIsLost", "AnswersStandLower"},
    ),
    "no clock": ({"log_quiet_seconds": "0+60x60"}, {"LogIsQuiet"}),
    "a new schema": ({"reports_refused": "3+2x60"}, {"ReportsAreRefused"}),
    "a broken model": (
        {"rung_failures": "0+10x60", 'predictions_total{rung="schedule"}': "0+60x60"},
        {"RungsBreak", "AnswersStandLower"},
    ),
    "an airline renamed": ({'unknown_names_total{column="carrier"}': "0+90x60"}, {"NamesAreNew"}),
}
TWO_WEEKS = {  # in steps of an hour
    "scores as ever": ("0+300x336", set()),
    "scores moved": ("0+300x168 50400x168", {"ScoresMoved"}),
}


def promtool(*arguments):
    if not shutil.which("promtool"):
        how = "promtool IS NOT INSTALLED, so no rule was tested: apt-get install prometheus"
        pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def holds(folder, series, fires, at="1h", interval="1m"):
    """Exactly these alerts fire at the end."""
    wanted = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fires)]
    fired = 'count by (alertname) (count by (alertname, severity) (ALERTS{alertstate="firing"}))'
    test = {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": fired, "eval_time": at, "exp_samples": wanted}],
    }
    path = folder / "test.yml"
    path.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": [test]})
    )
    promtool("test", "rules", path)


def test_the_rules_are_rules():
    promtool("check", "rules", RULES)


@pytest.mark.parametrize("name", STATES)
def test_the_right_alerts_fire(name, tmp_path):
    change, fires = STATES[name]
    assert change.keys() <= WELL.keys()
    holds(tmp_path, WELL | change, fires)


@pytest.mark.parametrize("name", TWO_WEEKS)
def test_scores_are_held_against_the_week_before(name, tmp_path):
    low, fires = TWO_WEEKS[name]
    series = {
        'prediction_probability_bucket{le="0.2"}': low,
        'prediction_probability_bucket{le="+Inf"}': "0+600x336",
        "prediction_probability_count": "0+600x336",
        "desk_now_seconds": "0+3600x336",
    }
    holds(tmp_path, series, fires, at="336h", interval="1h")


def test_each_alert_fires_somewhere_in_this_test():
    assert set().union(*(fires for _, fires in [*STATES.values(), *TWO_WEEKS.values()])) == set(
        ALERTS
    )


def test_each_alert_says_how_urgent_it_is_and_what_to_do():
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert rule["annotations"]["summary"].endswith("."), name
        assert len(rule["annotations"]["runbook"].split()) > 3, name


def test_each_series_of_a_rule_is_one_that_the_service_has(tmp_path):
    world = World("2013-04-22 12:00")
    desk = Desk(published(world), Models(None, None, 0.24))
    service = Service(desk, tmp_path / "log.db", tmp_path, 1)
    text = generate_latest(service.metrics.registry).decode()
    had = {s.name for family in text_string_to_metric_families(text) for s in family.samples}
    for group in GROUPS:
        for rule in group["rules"]:
            bare = re.sub(
                r'\{[^}]*\}|\[[^]]*\]|"[^"]*"|\b(by|on|group_left) \([^)]*\)', "", rule["expr"]
            )
            words = set(re.findall(r"\b[a-z][a-z_:]*_[a-z_:]*[a-z0-9]*", bare))
            functions = {"histogram_quantile", "predict_linear", "group_left"}
            assert words - functions - set(MADE) <= had, rule
