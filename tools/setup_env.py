"""Make or update the course environment, .venv, from a lock.

    python3 tools/setup_env.py                     .venv; nothing to do takes a moment
    python3 tools/setup_env.py left-out            what .venv lacks on a newer Python, if it is one
    python3 tools/setup_env.py newest -m pytest    .venv-newest, then run that in it
    python3 tools/setup_env.py lock [--upgrade]    resolve both locks anew

The course is for Python 3.12 or 3.11 (requirements.lock). Where neither is at hand nor to
be had, a newer Python gets all but alibi-detect (requirements-newer.lock).

Runs before anything is installed and on any Python 3, to say what is missing:
so only the standard library, and no annotations.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
NEWER_LOCK = ROOT / "requirements-newer.lock"
COURSE_VERSIONS = [(3, 12), (3, 11)]
# Later ones wait for onnxruntime's wheels.
NEWER_VERSIONS = [(3, 13), (3, 14)]
WHY = "alibi-detect 0.13 needs numba < 0.60, which stops at Python 3.12"
# What pyproject.toml says to uv of the first lock.
COURSE_ONLY = """environments = ["python_version < '3.13'"]"""
# The models and the statistics of both locks are the same, so that their numbers are.
SAME_IN_BOTH = ["onnxruntime", "scikit-learn", "scipy"]
# uv must use the interpreters that are here; only `fetched` lets it go to the network for one.
ENVIRON = dict(os.environ, UV_PYTHON_DOWNLOADS="never", PIP_DISABLE_PIP_VERSION_CHECK="1")
# An offline machine must not wait long for an interpreter that it can do without.
FETCH = dict(ENVIRON, UV_PYTHON_DOWNLOADS="manual", UV_HTTP_TIMEOUT="15", UV_PYTHON_INSTALL_BIN="0")
FETCH_SECONDS = 120


def run(*command):
    """Run a command with its output in view; raise if it fails."""
    print("+", " ".join(map(str, command)), flush=True)
    subprocess.run([str(part) for part in command], cwd=str(ROOT), env=ENVIRON, check=True)


def output_of(*command, seconds=30, env=ENVIRON):
    """What a command prints, or None where it does not run, fails or takes too long."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(done.stdout).strip()


def version_of(python):
    """(major, minor) of an interpreter, or None where it does not run.

    A shim of pyenv does not where its version is not selected.
    """
    said = output_of(python, "-c", "import sys; print(*sys.version_info[:2])") or ""
    return tuple(map(int, said.split())) if re.fullmatch(r"\d+ \d+", said) else None


def real(python):
    """The interpreter behind a shim or an environment, which may be .venv, soon to go."""
    code = "import sys; print(getattr(sys, '_base_executable', None) or sys.executable)"
    return output_of(python, "-c", code)


def pyenv(pattern):
    """The interpreters that pyenv keeps, newest name first."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    return map(str, sorted(root.glob(f"versions/{pattern}/bin/python"), reverse=True))


def fetched(version):
    """An interpreter that uv brings from the network; None where it cannot."""
    print(f"Asking uv for Python {version}.", flush=True)
    output_of("uv", "python", "install", version, seconds=FETCH_SECONDS, env=FETCH)
    return found(version)


def found(version):
    """An interpreter that uv knows on this machine; None where there is none."""
    return output_of("uv", "python", "find", "--system", "--no-project", version)


def course_candidates():
    """Interpreters that may be of the course's versions, the cheapest to find first."""
    names = ["{}.{}".format(*version) for version in COURSE_VERSIONS]
    yield sys.executable
    yield from (f"python{name}" for name in names)
    for name in names:
        yield from pyenv(f"{name}*")
    if shutil.which("uv"):
        yield from map(found, names)
        yield fetched(names[0])


def newer_candidates():
    """Interpreters that may be newer than the course's."""
    names = ["{}.{}".format(*version) for version in NEWER_VERSIONS]
    yield from (f"python{name}" for name in names)
    yield sys.executable
    for name in names:
        yield from pyenv(f"{name}*")


def asked_python(asked):
    """The interpreter that was asked for by name, if the course runs on its version."""
    version = version_of(asked)
    if version in COURSE_VERSIONS + NEWER_VERSIONS:
        return real(asked)
    what = "is Python {}.{}".format(*version) if version else "does not run"
    return sys.exit(
        f"{asked} {what}; the course needs Python 3.12 or 3.11 (or, without alibi-detect, "
        "3.13 or 3.14): install one and name it, as in `make PYTHON=python3.12 book`."
    )


def course_python():
    """The interpreter for .venv: the one asked for, else 3.12 or 3.11, else a newer one."""
    asked = os.environ.get("PYTHON")
    if asked:
        return asked_python(asked)
    for python in filter(None, course_candidates()):
        version = version_of(python)
        if version in COURSE_VERSIONS:
            if python != sys.executable:
                print("Using Python {}.{}, found here: {}".format(*version, real(python)))
            return real(python)
    return newest_python() or asked_python(sys.executable)


def newest_python():
    """A Python newer than the course's: on the PATH, or one that pyenv has; else None."""
    for python in newer_candidates():
        if version_of(python) in NEWER_VERSIONS:
            return real(python)
    return None


def lock_of(venv):
    """The lock for the Python that an environment has."""
    return NEWER_LOCK if version_of(venv / "bin" / "python") in NEWER_VERSIONS else LOCK


def left_out():
    """Say in one line what .venv lacks, if its Python is newer than the course's."""
    if lock_of(ROOT / ".venv") == NEWER_LOCK:
        version = "{}.{}".format(*version_of(ROOT / ".venv" / "bin" / "python"))
        print(
            f"Left out on Python {version}: alibi-detect ({WHY}). Where it is needed, the course "
            "says so. For all of it: install Python 3.12, then `make PYTHON=python3.12 book`.",
            flush=True,
        )


def refuse_foreign(venv):
    """Stop where `venv` cannot be made anew without touching what is elsewhere."""
    if venv.is_symlink() and not (venv.is_dir() and not os.listdir(str(venv))):
        sys.exit(
            f"{venv.name} is a link to {os.readlink(str(venv))}, which is no environment of this "
            f"folder and Python: remove the link (rm {venv.name}), or let it name an empty folder."
        )
    if venv.exists() and not venv.is_dir():
        sys.exit(f"{venv.name} is a file; the environment goes there: move that file away.")


def create(venv, python):
    """An empty environment with pip in it, in place of what is there."""
    if venv.exists() and not venv.is_symlink():
        print(f"{venv.name} is unfinished, or of another Python or folder: making it anew.")
        shutil.rmtree(str(venv))
    try:
        run(python, "-m", "venv", venv.resolve())  # it refuses a link
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


def read_stamp(venv):
    """What `venv` was made from: {} without a stamp, None where the stamp is no such thing."""
    try:
        made = json.loads((venv / "stamp.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return made if isinstance(made, dict) else None


def write_stamp(venv, files):
    """Say what `venv` was made from; all of it or nothing."""
    temporary = venv / "stamp.json.tmp"
    temporary.write_text(json.dumps({"place": str(ROOT), "files": files}))
    os.replace(str(temporary), str(venv / "stamp.json"))


def usable(venv, versions):
    """Whether `venv` can be brought up to date as it is.

    Not if its Python does not fit, its stamp is broken, or the folder has moved (an
    environment holds absolute paths). One behind a link must say that it is this folder's.
    """
    made = read_stamp(venv)
    unsaid = None if venv.is_symlink() else str(ROOT)
    return (
        made is not None
        and made.get("place", unsaid) == str(ROOT)
        and version_of(venv / "bin" / "python") in versions
        and bool(shutil.which("uv") or (venv / "bin" / "pip").exists())
    )


def digest(files):
    """One sha256 of all the files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def ready(venv, versions, choose, files, install):
    """Bring `venv` up to date; False if it was, for it was made from these very `files()`.

    Where it is of no use as it is, it is made anew with the interpreter that `choose()` names.
    """
    anew = not usable(venv, versions)
    if not anew and read_stamp(venv).get("files") == digest(files()):
        return False
    if anew:
        refuse_foreign(venv)
        python = choose()
    print(f"Setting up {venv.name}; the first time takes a minute or two.", flush=True)
    if anew:
        create(venv, python)
    write_stamp(venv, "unfinished")
    fill(venv, install)
    write_stamp(venv, digest(files()))
    return True


def course():
    """Bring .venv up to date with the lock for its Python."""
    venv = ROOT / ".venv"

    def install(*pip_install):
        run(*pip_install, "--require-hashes", "-r", lock_of(venv))
        # setuptools came with the lock: building the project needs no network.
        run(*pip_install, "--no-deps", "--no-build-isolation", "-e", ".")

    def files():
        return [lock_of(venv), ROOT / "pyproject.toml"]

    asked = os.environ.get("PYTHON")
    versions = [version_of(asked_python(asked))] if asked else COURSE_VERSIONS + NEWER_VERSIONS
    if ready(venv, versions, course_python, files, install):
        left_out()


def newest(*arguments):
    """Run Python with `arguments` in .venv-newest: the library and its service, no lock."""
    python = newest_python()
    if python is None:
        print("SKIPPED: no Python 3.13 or 3.14 at hand to test the newest versions on.")
        return

    def install(*pip_install):
        run(*pip_install, "--upgrade", "-e", ".[serving]", "pytest", "hypothesis")

    venv = ROOT / ".venv-newest"
    files = [ROOT / "pyproject.toml"]
    ready(venv, [version_of(python)], lambda: python, lambda: files, install)
    names = "numpy|pandas|pyarrow|duckdb|ibis-framework|scikit-learn"
    code = "import sys, importlib.metadata as m; print('Python', sys.version.split()[0])"
    code += f"; [print(n, m.version(n)) for n in {names.split('|')}]"
    subprocess.run([str(venv / "bin" / "python"), "-c", code], check=True)
    run(venv / "bin" / "python", *arguments)


def lock(*options):
    """Resolve both locks for every platform: Python 3.11 and 3.12, and what is newer."""
    uv = uv_for(ROOT / ".venv") or sys.exit("Only uv can resolve the lock; see above.")
    what = "pip compile --all-extras --universal"
    how = "--generate-hashes --no-annotate --no-header --quiet"
    resolve = [uv, *what.split(), *how.split(), *options]
    run(*resolve, "--python-version", "3.11", "-o", LOCK, "pyproject.toml")
    pins = rf"^(?:{'|'.join(SAME_IN_BOTH)})==\S+"
    same = re.findall(pins, LOCK.read_text(), re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text()
    if COURSE_ONLY not in project:
        sys.exit(f"pyproject.toml must say {COURSE_ONLY}, for the first lock.")
    # uv takes that setting from the folder that it runs in: the second lock needs one of its own.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(
            project.replace(COURSE_ONLY, COURSE_ONLY.replace("<", ">="))
        )
        Path(folder, "same.txt").write_text("\n".join(same))
        there = ["--directory", folder, "--python-version", "3.13", "-c", "same.txt"]
        run(*resolve, *there, "-o", NEWER_LOCK, "pyproject.toml")


def main(task="course", *arguments):
    """Do one of the four tasks; where a command fails, its output stays in view."""
    tasks = {"course": course, "left-out": left_out, "newest": newest, "lock": lock}
    try:
        tasks[task](*arguments)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"That failed (exit code {failure.returncode}); see what it said above.")


if __name__ == "__main__":
    main(*sys.argv[1:])
