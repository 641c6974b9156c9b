"""Make or update the course environment, .venv, from requirements.lock.

    python3 tools/setup_env.py                     .venv; nothing to do takes a moment
    python3 tools/setup_env.py newest -m pytest    .venv-newest, then run that in it
    python3 tools/setup_env.py lock [--upgrade]    resolve requirements.lock anew

Runs before anything is installed and on any Python 3, to say what is missing:
so only the standard library, and no annotations.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
COURSE_VERSIONS = [(3, 12), (3, 11)]
WHY = "alibi-detect 0.13 needs numba < 0.60, which stops at Python 3.12"
# uv must use the interpreters that are here, not fetch one from the network.
ENVIRON = dict(os.environ, UV_PYTHON_DOWNLOADS="never", PIP_DISABLE_PIP_VERSION_CHECK="1")


def run(*command):
    """Run a command with its output in view; raise if it fails."""
    print("+", " ".join(map(str, command)), flush=True)
    subprocess.run([str(part) for part in command], cwd=str(ROOT), env=ENVIRON, check=True)


def version_of(python):
    """(major, minor) of an interpreter, or None where it does not run."""
    try:
        code = "import sys; print(*sys.version_info[:2])"
        answer = subprocess.run(
            [str(python), "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, answer.split()))


def course_python():
    """The interpreter for .venv: the one asked for, else the first that fits."""
    asked = os.environ.get("PYTHON")
    candidates = [asked] if asked else [sys.executable, "python3.12", "python3.11"]
    for python in candidates:
        if version_of(python) in COURSE_VERSIONS:
            return shutil.which(python)
    found = version_of(candidates[0])
    what = "is Python {}.{}".format(*found) if found else "does not run"
    sys.exit(
        f"{candidates[0]} {what}; the course environment needs 3.11 or 3.12 ({WHY}): "
        "install one and name it, as in `make PYTHON=python3.12 book`."
    )


def newest_python():
    """An interpreter of 3.13 or later: on the PATH, or one that pyenv has; else None."""
    candidates = ["python3.13", sys.executable, "python3.14"]
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates += sorted(pyenv.glob("versions/3.1[3-9]*/bin/python"))
    for python in candidates:
        if (version_of(python) or (0, 0)) >= (3, 13):
            return shutil.which(str(python))
    return None


def create(venv, python):
    """An empty environment with pip in it, in place of what is there."""
    if venv.exists():
        print(f"{venv.name} is of another Python or another folder: making it anew.")
        shutil.rmtree(str(venv))
    try:
        run(python, "-m", "venv", venv)
    except subprocess.CalledProcessError:
        sys.exit(
            f"{python} could not make an environment (see above). "
            "On Debian or Ubuntu: sudo apt-get install python3-venv"
        )


def uv_for(venv):
    """The uv on the PATH, else the one in `venv`, put there if need be; else None."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(venv / "bin"))
    if uv is None:
        try:
            run(venv / "bin" / "python", "-m", "pip", "install", "uv")
        except subprocess.CalledProcessError:
            return None
    return uv or venv / "bin" / "uv"


def fill(venv, install):
    """Call `install` with uv's `pip install`, and with pip's own where that fails."""
    python, uv = venv / "bin" / "python", uv_for(venv)
    if uv:
        try:
            return install(uv, "pip", "install", "--python", python)
        except subprocess.CalledProcessError:
            print("uv failed, for the reason above.")
    print("pip does the same, only slower, and its last step is silent for a minute.", flush=True)
    return install(python, "-m", "pip", "install")


def ready(venv, versions, choose, files, install):
    """Bring `venv` up to date; nothing to do if it was made from these very files.

    It is made anew, with the interpreter that `choose()` names, where its Python is not
    one of `versions` or the folder has moved (an environment holds absolute paths).
    """
    stamp = venv / "stamp.json"
    made = json.loads(stamp.read_text()) if stamp.exists() else {}
    usable = (
        version_of(venv / "bin" / "python") in versions
        and made.get("place", str(ROOT)) == str(ROOT)
        and bool(shutil.which("uv") or (venv / "bin" / "pip").exists())
    )
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    if usable and made.get("files") == digest:
        return
    python = None if usable else choose()
    print(f"Setting up {venv.name}; the first time takes a minute or two.", flush=True)
    if python:
        create(venv, python)
    stamp.write_text(json.dumps({"place": str(ROOT), "files": "unfinished"}))
    fill(venv, install)
    stamp.write_text(json.dumps({"place": str(ROOT), "files": digest}))


def course():
    """Bring .venv up to date with requirements.lock."""

    def install(*pip_install):
        run(*pip_install, "--require-hashes", "-r", LOCK)
        # setuptools came with the lock: building the project needs no network.
        run(*pip_install, "--no-deps", "--no-build-isolation", "-e", ".")

    asked = os.environ.get("PYTHON")
    versions = [version_of(course_python())] if asked else COURSE_VERSIONS
    files = [LOCK, ROOT / "pyproject.toml"]
    ready(ROOT / ".venv", versions, course_python, files, install)


def newest(*arguments):
    """Run Python with `arguments` in .venv-newest: the library and its service, no lock."""
    python = newest_python()
    if python is None:
        print("SKIPPED: no Python 3.13 or later at hand to test the newest versions on.")
        return

    def install(*pip_install):
        run(*pip_install, "--upgrade", "-e", ".[serving]", "pytest", "hypothesis")

    venv = ROOT / ".venv-newest"
    files = [ROOT / "pyproject.toml"]
    ready(venv, [version_of(python)], lambda: python, files, install)
    names = "numpy|pandas|pyarrow|duckdb|ibis-framework|scikit-learn"
    code = "import sys, importlib.metadata as m; print('Python', sys.version.split()[0])"
    code += f"; [print(n, m.version(n)) for n in {names.split('|')}]"
    subprocess.run([str(venv / "bin" / "python"), "-c", code], check=True)
    run(venv / "bin" / "python", *arguments)


def lock(*options):
    """Resolve requirements.lock for every platform and Python from 3.11 on."""
    uv = uv_for(ROOT / ".venv") or sys.exit("Only uv can resolve the lock; see above.")
    what = "pip compile pyproject.toml --all-extras --universal --python-version 3.11"
    how = "--generate-hashes --no-annotate --no-header --quiet"
    run(uv, *what.split(), *how.split(), "-o", LOCK, *options)


def main(task="course", *arguments):
    """Do one of the three tasks; where a command fails, its output stays in view."""
    tasks = {"course": course, "newest": newest, "lock": lock}
    try:
        tasks[task](*arguments)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"That failed (exit code {failure.returncode}); see what it said above.")


if __name__ == "__main__":
    main(*sys.argv[1:])
