"""Exercises that check themselves.

One function is all of an exercise: its docstring the statement, its body the solution, and the stub
is derived from it. Lines that end in ``# blank`` are faded in the stub; where no line does, the whole
body is. What must hold is said in *claims*, what goes wrong in *mistakes*; the tests prove that the
solution passes every claim and each mistake fails the claim that it names.

>>> @exercise(hints=["Count what is late.", "Divide by what has landed.", "late.sum() / landed.sum()"])
... def late_rate(late, landed):
...     '''The share of landed flights that were late.'''
...     return late.sum() / landed.sum()
>>> @late_rate.claim("one of two landed flights late is a half")
... def half(answer):
...     expect(answer(np.array([1, 0, 0]), np.array([1, 1, 0])), 0.5)
>>> late_rate.check(lambda late, landed: late.mean())
Not yet: one of two landed flights late is a half.
  called    late_rate(array([1, 0, 0]), array([1, 1, 0]))
  expected  0.5
  got       0.3333333333333333
"""

import ast
import inspect
import json
import linecache
import os
import reprlib
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Exercise", "Mistake", "NotYet", "Result", "exercise", "expect"]

Answer = Callable[..., Any]
BLANK = "# blank"


@dataclass(frozen=True)
class Result:
    """What a check says: `kind` is correct, not yet, raised, not started, interrupted or broken."""

    kind: str
    text: str
    claim: str | None = None

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer: the solution with one piece of its text replaced."""

    text: str
    fails: str
    old: str
    new: str


class Source(str):
    """Python source that shows itself as such."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


class NotYet(Exception):
    """A claim does not hold."""

    def __init__(self, expected: object, got: object, because: str) -> None:
        super().__init__(expected, got, because)
        self.expected, self.got, self.because = expected, got, because


class _Raised(Exception):
    """The reader's code raised; the cause is its exception."""


class Exercise:
    """One exercise, made by `exercise` from its solution."""

    def __init__(self, solution: Answer, hints: Sequence[str]) -> None:
        self.answer, self.hints = solution, list(hints)
        self.name, self.module = solution.__name__, solution.__module__.rpartition(".")[2]
        self.claims: dict[str, tuple[str, Callable[[Answer], None]]] = {}
        self.mistakes: list[Mistake] = []
        self.alternatives: list[Answer] = []
        self._hinted = 0

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}: try .check({self.name}), .hint() or .solution()"

    def claim(self, text: str) -> Callable[[Callable[[Answer], None]], Callable[[Answer], None]]:
        """Add what must hold: a sentence for the reader, and a function that calls the answer and `expect` on it."""

        def add(test: Callable[[Answer], None]) -> Callable[[Answer], None]:
            self.claims[test.__name__] = (text, test)
            return test

        return add

    def mistake(self, text: str, fails: str, old: str, new: str) -> None:
        """Add a wrong answer that must be rejected by the claim named `fails`."""
        self.mistakes.append(Mistake(text, fails, old, new))

    def alternative(self, answer: Answer) -> Answer:
        """Add a right answer in another style."""
        self.alternatives.append(answer)
        return answer

    @property
    def solution_source(self) -> str:
        """The solution as the reader would have written it."""
        lines = _source(self.answer).splitlines()
        return "\n".join(line.partition("  " + BLANK)[0].rstrip() for line in lines)

    @property
    def stub(self) -> str:
        """What the reader starts from, which is the solution with its blanks faded."""
        return _stub(_source(self.answer))

    def wrong(self, mistake: Mistake) -> Answer:
        """The wrong answer that a mistake describes, as a function."""
        if self.solution_source.count(mistake.old) != 1:
            raise ValueError(f"{mistake.old!r} must stand once in the solution of {self.name}")
        return _defined(self.solution_source.replace(mistake.old, mistake.new), self.answer)

    def check(self, answer: object) -> Result:
        """Check an answer; say one of five things, and never raise.

        Parameters
        ----------
        answer : callable
            Your function: ``check(to_utc)``, not ``check(to_utc(...))``.

        Returns
        -------
        Result
            Its text is what the notebook shows.
        """
        try:
            result = self._judge(answer)
            if result.kind == "correct":
                note = _record(f"{self.module}.{self.name}")
                result = Result(result.kind, result.text + note)
            return result
        except KeyboardInterrupt:
            return Result(
                "interrupted",
                "Interrupted: nothing was judged. Run the check again when you are ready.",
            )
        except Exception as error:
            lines = "".join(traceback.format_exception_only(error)).strip()
            text = f"The checker itself broke, which is our fault, not yours: {lines}\nPlease report it with the name {self.module}.{self.name}."
            return Result("broken", text)

    def hint(self, number: int | None = None) -> Source:
        """Show the next hint, or the one with that number (from 1)."""
        chosen = self._hinted + 1 if number is None else number
        self._hinted = min(max(chosen, 1), len(self.hints))
        return Source(f"Hint {self._hinted} of {len(self.hints)}: {self.hints[self._hinted - 1]}")

    def solution(self) -> Source:
        """Show the solution."""
        return Source(self.solution_source)

    def _judge(self, answer: object) -> Result:
        if not callable(answer):
            text = f"Not yet: check the function itself, without calling it: {self.name}.check({self.name}). Got {_short(answer)}."
            return Result("not yet", text)
        if line := _ellipsis_line(answer):
            return Result(
                "not started",
                f"Not started: line {line} still holds the `...` that is yours to write.",
            )
        for name, (text, test) in self.claims.items():
            recorder = _Recorder(answer)
            try:
                test(recorder)
            except NotYet as failed:
                shown = {
                    "called": recorder.call(self.name),
                    "expected": _short(failed.expected),
                    "got": _short(failed.got),
                }
                if failed.because:
                    shown = {"got": _short(failed.got), "because": failed.because}
                return Result("not yet", "\n".join([f"Not yet: {text}.", *_table(shown)]), name)
            except _Raised as raised:
                error = raised.__cause__
                assert error is not None
                shown = {
                    "called": recorder.call(self.name),
                    "raised": _brief(error),
                    "at": _where(error, answer),
                }
                return Result(
                    "raised",
                    "\n".join(
                        [
                            f"Your code raised an error where it should hold that {text}.",
                            *_table(shown),
                        ]
                    ),
                    name,
                )
            except Exception as error:
                test(self.answer)  # a claim that fails on the solution too is broken, and raises
                shown = {
                    "called": recorder.call(self.name),
                    "got": _short(recorder.returned),
                    "because": f"it is not of the kind asked for; reading it gave {_brief(error)}",
                }
                return Result("not yet", "\n".join([f"Not yet: {text}.", *_table(shown)]), name)
        return Result("correct", f"Correct: all {len(self.claims)} claims hold.")


def exercise(hints: Sequence[str]) -> Callable[[Answer], Exercise]:
    """Make an exercise of the function that solves it.

    Parameters
    ----------
    hints : sequence of str
        From vague to nearly the line.

    Returns
    -------
    callable
        A decorator that gives an `Exercise`.
    """
    return lambda solution: Exercise(solution, hints)


def expect(got: object, expected: object, tolerance: float = 1e-9, because: str = "") -> None:
    """Say what a claim expects; numbers may differ by `tolerance`, relative or absolute.

    Of a choice, `because` says why it is wrong; it is shown instead of the right one.

    Raises
    ------
    NotYet
        If `got` is something else.

    Examples
    --------
    >>> expect(0.1 + 0.2, 0.3)
    >>> expect(np.array([1, 2]), [1, 2])
    """
    if not _same(got, expected, tolerance):
        raise NotYet(expected, got, because)


def _same(got: Any, expected: Any, tolerance: float) -> bool:
    if got is Ellipsis or got is None or expected is None:
        return got is expected
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and got.keys() == expected.keys()
            and all(_same(got[k], v, tolerance) for k, v in expected.items())
        )
    if isinstance(expected, str | bool | set | frozenset | pd.Timestamp):
        return isinstance(got, type(expected)) and bool(got == expected)
    try:
        left, right = np.asarray(got), np.asarray(expected)
        if left.shape != right.shape:
            return False
        if right.dtype.kind in "fiub":
            return bool(
                np.allclose(
                    left.astype(float),
                    right.astype(float),
                    rtol=tolerance,
                    atol=tolerance,
                    equal_nan=True,
                )
            )
        missing = pd.isna(left) & pd.isna(right)
        return bool(np.all((left == right) | missing))
    except (TypeError, ValueError):
        return False


class _Recorder:
    """Calls the answer, remembers the call, and tells the answer's errors from the claim's."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.returned = answer, None  # type: tuple[Answer, Any]
        self.last = (), {}  # type: tuple[tuple[Any, ...], dict[str, Any]]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Remembered as text now: the answer may change what it was given.
        self.last = tuple(_short(a) for a in args), {k: _short(v) for k, v in kwargs.items()}
        try:
            self.returned = self.answer(*args, **kwargs)
            return self.returned
        except Exception as error:
            raise _Raised from error

    def call(self, name: str) -> str:
        args, kwargs = self.last
        return f"{name}({', '.join([*args, *(f'{k}={v}' for k, v in kwargs.items())])})"


def _source(function: Answer) -> str:
    """The source of a function without its decorators."""
    text = textwrap.dedent(inspect.getsource(function))
    first = ast.parse(text).body[0]
    return "\n".join(text.splitlines()[first.lineno - 1 :])


def _stub(source: str) -> str:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = source.splitlines()
    body = function.body[1].lineno - 1  # the statement after the docstring
    if not any(BLANK in line for line in lines):
        return "\n".join([*lines[:body], "    ..."])
    return "\n".join(_fade(line) if BLANK in line else line for line in lines)


def _fade(line: str) -> str:
    """``x = f(y)`` becomes ``x = ...``, ``return f(y)`` ``return ...``, ``"key": f(y),`` ``"key": ...,``."""
    code = line.partition("  " + BLANK)[0]
    if code.lstrip().startswith("return "):
        return code.partition("return ")[0] + "return ..."
    for mark in (" = ", ": "):
        head, found, _ = code.partition(mark)
        if found:
            return head + mark + "..." + ("," if code.endswith(",") else "")
    raise ValueError(
        f"a blank stands on `x = ...`, `return ...` or `key: ...`, not on {line.strip()!r}"
    )


def _ellipsis_line(answer: Answer) -> int | None:
    """The first line of the answer that is still ``...``, counted from its ``def``; indexing with ``...`` does not count."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except (OSError, TypeError, SyntaxError):
        return (
            None  # a lambda in an expression, or typed at a prompt: there is no stub to recognise
        )
    indexed = {
        id(leaf)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        for leaf in ast.walk(node.slice)
    }
    lines = [
        n.lineno
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and n.value is Ellipsis and id(n) not in indexed
    ]
    return min(lines, default=None)


def _defined(source: str, original: Answer) -> Answer:
    # Known to linecache, so that the text of a wrong answer can be read back like any reader's.
    file = f"<wrong answer {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = dict(original.__globals__)
    exec(compile(source, file, "exec"), scope)
    answer: Answer = scope[original.__name__]
    return answer


def _where(error: BaseException, answer: Answer) -> str:
    """The line of the reader's own code in which the error came up."""
    own = getattr(getattr(answer, "__code__", None), "co_filename", None)
    frames = [f for f in traceback.walk_tb(error.__traceback__) if f[0].f_code.co_filename == own]
    if not frames:
        return "a line that cannot be shown"
    frame, line = frames[-1]
    text = linecache.getline(frame.f_code.co_filename, line).strip()
    return f"line {line - _first_line(answer, frames[0])} of your function: {text}"


def _first_line(answer: Answer, outermost: tuple[Any, int]) -> int:
    code = getattr(answer, "__code__", outermost[0].f_code)
    return int(code.co_firstlineno) - 1


def _brief(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else 'without a message'}"


def _short(value: object) -> str:
    if isinstance(value, pd.DataFrame):
        return f"<table of {len(value)} rows: {', '.join(map(str, value.columns[:4]))}{', ...' if value.shape[1] > 4 else ''}>"
    if isinstance(value, pd.Series):
        return f"Series({_short(value.tolist())})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray):
        return f"array({_short(value.tolist())})"
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 120
    shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxdict = 8
    return shortener.repr(value)


def _table(rows: dict[str, str]) -> list[str]:
    return [f"  {name:9} {value}" for name, value in rows.items()]


def progress(file: Path) -> list[str]:
    """The names of the exercises solved so far, as recorded in `file`.

    Raises
    ------
    ValueError
        If the file cannot be read; it is left as it is.
    """
    if not file.exists():
        return []
    try:
        solved = json.loads(file.read_text(encoding="utf-8"))["solved"]
        return [str(name) for name in solved]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} cannot be read as a record of progress; move it away and checks start a new one"
        ) from error


def _record(name: str) -> str:
    """Note a solved exercise where `make lab` asked for it; return what to tell the reader if that failed."""
    if not (place := os.environ.get("MLSYS_PROGRESS")):
        return ""
    file = Path(place)
    try:
        solved = sorted({*progress(file), name})
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, delete=False, encoding="utf-8"
        ) as scratch:
            json.dump({"solved": solved}, scratch, indent=2)
        os.replace(scratch.name, file)
    except (OSError, ValueError) as error:
        return f"\nYour progress was not recorded: {error}"
    return ""
