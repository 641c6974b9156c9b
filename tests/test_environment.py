"""The environment: its interpreter, its locks, its folder; and the files that speak of it agree."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import setup_env

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
COURSE = ["{}.{}".format(*version) for version in setup_env.COURSE_VERSIONS]
NEWER = ["{}.{}".format(*version) for version in setup_env.NEWER_VERSIONS]
LOCKS = [setup_env.LOCK, setup_env.NEWER_LOCK]


def locked(lock):
    """name -> [(version, marker or None)]; a universal lock may hold several."""
    pins = {}
    for line in re.findall(r"^\w.*?(?= \\$|$)", lock.read_text(), re.MULTILINE):
        pin = Requirement(line)
        (exact,) = pin.specifier
        assert exact.operator == "=="
        pins.setdefault(canonicalize_name(pin.name), []).append((exact.version, pin.marker))
    return pins


@pytest.mark.parametrize(
    ("python", "lock"),
    [(python, setup_env.LOCK) for python in COURSE]
    + [(python, setup_env.NEWER_LOCK) for python in NEWER],
)
def test_the_lock_satisfies_every_requirement_of_every_extra(python, lock):
    environment = {**default_environment(), "python_version": python}
    environment["python_full_version"] = f"{python}.0"
    pins = locked(lock)
    texts = PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra]
    for requirement in map(Requirement, texts):
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        versions = [
            version
            for version, marker in pins.get(canonicalize_name(requirement.name), [])
            if marker is None or marker.evaluate(environment)
        ]
        assert len(versions) == 1, f"{requirement} is not in the lock: run `make lock`"
        assert requirement.specifier.contains(versions[0]), requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_has_hashes_and_no_address(lock):
    text = lock.read_text()
    pins = re.split(r"\n(?=\w)", text.strip())
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert re.findall(r"^\s*-(?!-hash).*$", text, re.MULTILINE) == []


def test_the_newer_lock_leaves_out_alibi_detect_and_keeps_the_models_and_statistics():
    course, newer = map(locked, LOCKS)
    assert "alibi-detect" in course
    assert "alibi-detect" not in newer
    for name in setup_env.SAME_IN_BOTH:
        assert [version for version, _ in newer[name]] == [version for version, _ in course[name]]
    for name, major in {"numpy": "2", "pandas": "3"}.items():
        assert newer[name][0][0].split(".")[0] == major


def test_the_conda_face_installs_this_project_on_a_python_of_the_course():
    (pin,) = [d for d in CONDA["dependencies"] if str(d).startswith("python=")]
    python = pin.removeprefix("python=")
    assert python in COURSE
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")
    assert "pip" in CONDA["dependencies"]
    (by_pip,) = [d["pip"] for d in CONDA["dependencies"] if isinstance(d, dict)]
    (line,) = by_pip
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", line)[1].split(",")
    assert set(extras) <= set(EXTRAS)


def test_every_python_of_the_course_is_allowed_by_the_project():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert all(allowed.contains(f"{python}.0") for python in COURSE + NEWER)


@pytest.mark.weekly
def test_repo2docker_detects_the_conda_face():
    name = "jupyter-repo2docker"
    command = shutil.which(name, path=ROOT / ".venv-repo2docker" / "bin")
    command = command or shutil.which(name)
    if command is None:
        pytest.skip(f"Binder's view of environment.yml is not checked: no {name} here")
    done = subprocess.run(
        [command, "--no-build", "--debug", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '--file "environment.yml"' in said


@pytest.fixture
def machine(monkeypatch):
    """A machine with these interpreters: {how it is called: version}; python3 is the first."""

    def with_interpreters(versions, by_pyenv=(), by_uv=None, by_network=None):
        monkeypatch.delenv("PYTHON", raising=False)
        monkeypatch.setattr(setup_env.sys, "executable", next(iter(versions)))
        monkeypatch.setattr(setup_env, "version_of", versions.get)
        monkeypatch.setattr(setup_env, "real", lambda python: python)
        monkeypatch.setattr(
            setup_env,
            "pyenv",
            lambda pattern: [path for path in by_pyenv if path.startswith(pattern.rstrip("*"))],
        )
        monkeypatch.setattr(setup_env.shutil, "which", lambda name, path=None: by_uv and name)
        monkeypatch.setattr(setup_env, "found", lambda name: (by_uv or {}).get(name))
        monkeypatch.setattr(setup_env, "fetched", lambda name: by_network)

    return with_interpreters


@pytest.mark.parametrize("version", [(3, 11), (3, 12)])
def test_a_python3_of_the_course_is_used_without_a_word(version, machine, capsys):
    machine({"python3": version, "python3.12": (3, 12)})
    assert setup_env.course_python() == "python3"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("python3", [(3, 14), (3, 10)])
@pytest.mark.parametrize(
    ("more", "chosen"),
    [
        ({"versions": {"python3.12": (3, 12), "python3.11": (3, 11)}}, "python3.12"),
        ({"versions": {"python3.12": None, "python3.11": (3, 11)}}, "python3.11"),
        ({"versions": {"3.12.1": (3, 12)}, "by_pyenv": ["3.12.1"]}, "3.12.1"),
        ({"versions": {"3.11.7": (3, 11)}, "by_pyenv": ["3.12.0", "3.11.7"]}, "3.11.7"),
        ({"versions": {"uv's": (3, 11)}, "by_uv": {"3.11": "uv's"}}, "uv's"),
        ({"versions": {"new": (3, 12)}, "by_uv": {"3.13": "x"}, "by_network": "new"}, "new"),
    ],
)
def test_a_python_of_the_course_that_is_at_hand_is_used_and_named(
    python3, more, chosen, machine, capsys
):
    versions = {"python3": python3, "python3.13": (3, 13), **more["versions"]}
    machine(**{**more, "versions": versions})
    assert setup_env.course_python() == chosen
    (line,) = capsys.readouterr().out.splitlines()
    assert chosen in line


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3": (3, 13)}, "python3"),
        ({"python3": (3, 14)}, "python3"),
        ({"python3": (3, 15), "python3.14": (3, 14)}, "python3.14"),
        ({"python3": (3, 9), "python3.13": (3, 13)}, "python3.13"),
        ({"python3": (3, 9), "python3.12": None, "3.13.0": (3, 13)}, "3.13.0"),
    ],
)
def test_where_there_is_no_other_a_newer_python_serves(versions, chosen, machine):
    machine(versions, by_pyenv=["3.13.0"], by_uv={"3.13": "x"})
    assert setup_env.course_python() == chosen


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_the_python_that_is_asked_for_is_used_whatever_else_there_is(version, machine, monkeypatch):
    machine({"python3": (3, 11), "mine": version})
    monkeypatch.setenv("PYTHON", "mine")
    assert setup_env.course_python() == "mine"


@pytest.mark.parametrize(
    ("version", "message"),
    [((3, 10), "is Python 3.10"), ((3, 15), "is Python 3.15"), (None, "does not run")],
)
@pytest.mark.parametrize("asked", [True, False])
def test_a_python_that_does_not_fit_gets_one_line_that_says_why(
    version, message, asked, machine, monkeypatch
):
    machine({"python3": version})
    if asked:
        monkeypatch.setenv("PYTHON", "python3")
    with pytest.raises(SystemExit) as stop:
        setup_env.course_python()
    said = str(stop.value)
    assert said.startswith(f"python3 {message}; ")
    assert "3.12 or 3.11" in said
    assert "make PYTHON=" in said
    assert "\n" not in said


def program(path, text):
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_that_fails_stalls_or_chatters_is_none(tmp_path):
    assert setup_env.version_of(sys.executable) == sys.version_info[:2]
    assert setup_env.version_of(tmp_path / "absent") is None
    assert setup_env.version_of(program(tmp_path / "shim", "echo 3 12; exit 127")) is None
    assert setup_env.version_of(program(tmp_path / "chatter", "echo hello")) is None
    stalled = program(tmp_path / "stalled", "exec sleep 600")
    assert setup_env.output_of(stalled, seconds=0.2) is None


def test_the_interpreter_behind_an_environment_is_named_for_it_outlives_it(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    behind = Path(setup_env.real(tmp_path / "bin" / "python"))
    assert tmp_path not in behind.parents
    assert setup_env.version_of(behind) == sys.version_info[:2]


@pytest.mark.parametrize("network", ["exit 2", "exec sleep 600", "touch $0.has"])
def test_uv_is_asked_for_a_python_and_a_network_that_fails_or_stalls_is_no_error(
    network, tmp_path, monkeypatch
):
    find = f'[ -e $0.has ] && echo "{sys.executable}"'
    program(tmp_path / "uv", f'case "$2" in install) {network};; find) {find};; esac')
    path = f"{tmp_path}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setitem(setup_env.ENVIRON, "PATH", path)
    monkeypatch.setitem(setup_env.FETCH, "PATH", path)
    monkeypatch.setattr(setup_env, "FETCH_SECONDS", 0.5)
    expected = sys.executable if "touch" in network else None
    assert setup_env.fetched("3.12") == expected


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of the course, with odd letters in its name, and the installs asked of it."""
    root = tmp_path / "o'brien =ü x"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]")
    installs = []
    monkeypatch.setattr(setup_env, "ROOT", root)
    monkeypatch.setattr(setup_env, "fill", lambda venv, install: installs.append(venv))
    real_run = setup_env.run

    def quick(*command):
        """Make the environment without pip, which takes most of the time."""
        real_run(*command, "--without-pip")
        (Path(command[-1]) / "bin" / "pip").touch()

    monkeypatch.setattr(setup_env, "run", quick)
    return root, installs


def make_ready(root):
    """Bring .venv of that folder up to date, with this interpreter."""
    return setup_env.ready(
        root / ".venv",
        [sys.version_info[:2]],
        lambda: sys.executable,
        lambda: [root / "pyproject.toml"],
        None,
    )


def test_an_environment_is_made_once_and_filled_again_when_its_files_change(here):
    root, installs = here
    assert make_ready(root)
    assert not make_ready(root)
    (root / ".venv" / "mark").touch()
    (root / "pyproject.toml").write_text("[project] # changed")
    assert make_ready(root)
    assert (root / ".venv" / "mark").exists()
    assert len(installs) == 2


def test_an_environment_whose_filling_broke_off_is_filled_again(here, monkeypatch):
    root, installs = here
    with monkeypatch.context() as broken:
        broken.setattr(setup_env, "fill", lambda venv, install: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make_ready(root)
    assert make_ready(root)
    assert len(installs) == 1


@pytest.mark.parametrize(
    "stamp", [b"", b'{"place": "/so', b'["place", "files"]', b"null", b"\xff\xfe", b"{}}"]
)
def test_an_environment_with_a_broken_stamp_is_made_anew(stamp, here):
    root, installs = here
    make_ready(root)
    (root / ".venv" / "mark").touch()
    (root / ".venv" / "stamp.json").write_bytes(stamp)
    assert make_ready(root)
    assert not (root / ".venv" / "mark").exists()
    assert json.loads((root / ".venv" / "stamp.json").read_text())["place"] == str(root)
    assert len(installs) == 2


def test_a_stamp_is_written_whole_or_not_at_all(here, monkeypatch):
    root, _ = here
    make_ready(root)
    before = (root / ".venv" / "stamp.json").read_text()
    with monkeypatch.context() as crash:
        crash.setattr(setup_env.os, "replace", lambda source, target: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            setup_env.write_stamp(root / ".venv", "other")
    assert (root / ".venv" / "stamp.json").read_text() == before


def test_an_environment_that_moved_with_its_folder_is_made_anew(here, monkeypatch):
    root, _ = here
    make_ready(root)
    (root / ".venv" / "mark").touch()
    moved = root.rename(root.parent / "moved")
    monkeypatch.setattr(setup_env, "ROOT", moved)
    assert make_ready(moved)
    assert not (moved / ".venv" / "mark").exists()


def test_a_link_to_an_empty_folder_is_used(here):
    root, installs = here
    elsewhere = root.parent / "another disk"
    elsewhere.mkdir()
    (root / ".venv").symlink_to(elsewhere)
    assert make_ready(root)
    assert not make_ready(root)
    assert (root / ".venv").is_symlink()
    assert (elsewhere / "bin" / "python").exists()
    assert len(installs) == 1


def test_a_link_to_what_is_not_ours_is_refused_and_nothing_there_is_touched(here):
    root, installs = here
    foreign = root.parent / "foreign"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", foreign], check=True)
    (foreign / "bin" / "pip").touch()
    before = sorted(foreign.rglob("*"))
    (root / ".venv").symlink_to(foreign)
    with pytest.raises(SystemExit, match=r"\.venv is a link to .*foreign.*rm \.venv"):
        make_ready(root)
    assert sorted(foreign.rglob("*")) == before
    assert installs == []


def test_a_link_that_leads_nowhere_and_a_file_in_the_way_are_refused(here):
    root, _ = here
    (root / ".venv").symlink_to(root / "nowhere")
    with pytest.raises(SystemExit, match=r"\.venv is a link to .*nowhere"):
        make_ready(root)
    (root / ".venv").unlink()
    (root / ".venv").write_text("not an environment")
    with pytest.raises(SystemExit, match=r"\.venv is a file"):
        make_ready(root)
    assert (root / ".venv").read_text() == "not an environment"


@pytest.mark.parametrize("version", [*COURSE, *NEWER])
def test_what_a_newer_python_lacks_is_said_in_one_line(version, monkeypatch, capsys):
    python = tuple(map(int, version.split(".")))
    monkeypatch.setattr(setup_env, "version_of", lambda python_of_venv: python)
    setup_env.left_out()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == (version in NEWER)
    assert all(f"on Python {version}: alibi-detect" in line for line in said)


def test_notebooks_run_without_a_network_where_the_machine_allows():
    code = (
        "import socket; socket.create_server(('127.0.0.1', 0)); "
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9))"
    )
    command = [
        sys.executable,
        ROOT / "tools" / "offline.py",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if "loopback only" not in done.stdout:
        pytest.skip("this machine allows no network namespace")
    assert "Network is unreachable" in done.stderr


def test_readme_says_how_each_command_reads_without_make():
    helped = re.findall(r"^([a-z-]+):.*## (?!- )", (ROOT / "Makefile").read_text(), re.MULTILINE)
    rows = re.findall(
        r"^\| `make ([a-z-]+)` \| .*`", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert set(helped) - {"help"} == set(rows)


def test_contributing_gives_a_reason_for_every_dependency():
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Dependencies")[1]
    texts = PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra]
    named = set(re.findall(r"`([\w-]+)[<=.\d]*`", table))
    assert {Requirement(text).name for text in texts} <= named
