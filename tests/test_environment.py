"""pyproject.toml, requirements.lock, environment.yml and CONTRIBUTING agree."""

import ast
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
LOCK = (ROOT / "requirements.lock").read_text()
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
COURSE = [f"{major}.{minor}" for major, minor in setup_env.COURSE_VERSIONS]


def locked():
    """name -> [(version, marker or None)]; a universal lock may hold several."""
    pins = {}
    for line in re.findall(r"^\w.*?(?= \\$|$)", LOCK, re.MULTILINE):
        pin = Requirement(line)
        (exact,) = pin.specifier
        assert exact.operator == "=="
        pins.setdefault(canonicalize_name(pin.name), []).append((exact.version, pin.marker))
    return pins


@pytest.mark.parametrize("python", COURSE)
def test_the_lock_satisfies_every_requirement_of_every_extra(python):
    environment = {**default_environment(), "python_version": python}
    environment["python_full_version"] = f"{python}.0"
    pins = locked()
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


def test_the_lock_has_hashes_and_no_address():
    pins = re.split(r"\n(?=\w)", LOCK.strip())
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in LOCK
    assert re.findall(r"^\s*-(?!-hash).*$", LOCK, re.MULTILINE) == []


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
    assert all(allowed.contains(f"{python}.0") for python in COURSE)


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


@pytest.mark.parametrize(
    ("version", "message"),
    [((3, 13), "is Python 3.13"), ((3, 10), "is Python 3.10"), (None, "does not run")],
)
def test_a_python_that_does_not_fit_gets_one_line_that_says_why(version, message, monkeypatch):
    monkeypatch.setattr(setup_env, "version_of", lambda python: version)
    monkeypatch.setenv("PYTHON", "python3")
    with pytest.raises(SystemExit) as stop:
        setup_env.course_python()
    said = str(stop.value)
    assert message in said
    assert "3.11 or 3.12" in said
    assert "numba" in said
    assert "make PYTHON=" in said
    assert "\n" not in said


def test_another_python_on_the_path_is_used_where_the_first_does_not_fit(monkeypatch):
    versions = {sys.executable: (3, 13), "python3.11": (3, 11)}
    monkeypatch.setattr(setup_env, "version_of", versions.get)
    monkeypatch.setattr(setup_env.shutil, "which", lambda python: f"/bin/{python}")
    monkeypatch.delenv("PYTHON", raising=False)
    assert setup_env.course_python() == "/bin/python3.11"


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


def the_house():
    """The modules in the order in which CONTRIBUTING draws them."""
    drawing = (ROOT / "CONTRIBUTING.md").read_text().split("```")[1]
    return re.findall(r"^  (\w+)(?:\.py|/)", drawing, re.MULTILINE)


def test_contributing_draws_the_modules_that_exist():
    modules = {path.stem for path in (ROOT / "mlsys_lib").glob("[a-z]*.py")}
    packages = {p.parent.name for p in (ROOT / "mlsys_lib").glob("*/__init__.py")}
    assert set(the_house()) == modules | packages


def test_a_module_imports_only_from_those_above_it():
    order = the_house()
    for position, name in enumerate(order):
        path = ROOT / "mlsys_lib" / f"{name}.py"
        sources = [path] if path.exists() else (ROOT / "mlsys_lib" / name).glob("*.py")
        for source in sources:
            imported = imports_of(source) & set(order)
            assert imported <= set(order[: position + 1]), f"{source.name}: {imported}"


def test_contributing_gives_a_reason_for_every_dependency():
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Dependencies")[1]
    texts = PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra]
    named = set(re.findall(r"`([\w-]+)[<=.\d]*`", table))
    assert {Requirement(text).name for text in texts} <= named


def imports_of(source):
    """The names right under mlsys_lib that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "mlsys_lib":
                names |= {alias.name for alias in node.names}
            elif module.startswith("mlsys_lib."):
                names.add(module.split(".")[1])
        elif isinstance(node, ast.Import):
            found = [alias.name.split(".") for alias in node.names]
            names |= {parts[1] for parts in found if parts[0] == "mlsys_lib" and parts[1:]}
    return names
