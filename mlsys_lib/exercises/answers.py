"""Running an answer: on copies, sealed off, with its errors told from the checker's."""

import contextlib
import copy
import functools
import io
import random
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib.exercises import cases, shown
from mlsys_lib.exercises.same import Same, difference

__all__ = [
    "Answer",
    "Generated",
    "Outcome",
    "Pressed",
    "Raised",
    "Recorder",
    "outcome",
    "printing",
    "sealed",
    "shrunk",
    "special",
]

Answer = Callable[..., Any]
_MOST_PRINTED = 1_000_000


class Raised(BaseException):
    """The reader's code raised; the cause is its exception. No claim may catch it by catching `Exception`."""


class Pressed(KeyboardInterrupt):
    """The reader pressed Ctrl-C, or stopped the kernel: no doing of his answer."""


@dataclass(frozen=True)
class Generated:
    """Cases that are made by `make`, and how an answer is judged by them."""

    text: str
    make: Callable[[cases.Draw], Any]
    run: Callable[..., Any]
    oracle: Callable[..., Any]
    marks: Mapping[str, Callable[..., Any]]
    same: Same
    count: int
    steps: int
    names: Sequence[str]
    is_call: bool
    _known: list[tuple[cases.Call, Any]] = field(default_factory=list)

    def known(self) -> list[tuple[cases.Call, Any]]:
        """The cases with what is expected of them; drawn once."""
        if not self._known:
            made = cases.drawn(self.make, self.count)
            self._known.extend((case, self.expected(case)) for case in made)
        return self._known

    def rows(self, name: str, case: cases.Call) -> dict[str, str]:
        """A case as a call of the answer; where `run` calls it, as the values that `run` is given."""
        if self.is_call:
            return {"called": shown.call(name, case.args, case.kwargs, self.names)}
        given = [*zip(self.names, case.args, strict=False), *case.kwargs.items()]
        return {n: shown.value(v) for n, v in given}

    def expected(self, case: cases.Call) -> Any:
        """What is right."""
        return _given(self.oracle, case)


@dataclass(frozen=True)
class Outcome:
    """What came of one case: a value, an error of the answer, or one in reading what the answer gave."""

    case: cases.Call
    expected: Any
    got: Any
    recorder: "Recorder"
    differs: str = ""
    error: BaseException | None = None
    unread: BaseException | None = None

    @property
    def failed(self) -> bool:
        return bool(self.differs) or self.error is not None or self.unread is not None


def outcome(generated: Generated, answer: Answer, case: cases.Call, expected: Any) -> Outcome:
    """Try an answer on one case."""
    recorder = Recorder(answer)
    try:
        with _quiet():
            got = _given(functools.partial(generated.run, recorder), case)
    except Raised as raised:
        return Outcome(case, expected, None, recorder, error=raised.__cause__)
    except Pressed:
        raise
    except BaseException as error:
        return Outcome(case, expected, recorder.returned, recorder, unread=error)
    return Outcome(case, expected, got, recorder, differs=difference(got, expected, generated.same))


def _given(function: Callable[..., Any], case: cases.Call) -> Any:
    """What a function gives for copies of the arguments."""
    fresh = copy.deepcopy(case)
    return function(*fresh.args, **fresh.kwargs)


def shrunk(generated: Generated, answer: Answer, first: Outcome) -> Outcome:
    """The outcome on the smallest case found that fails in the same way."""
    best = first

    def fails(case: cases.Call) -> bool:
        nonlocal best
        now = outcome(generated, answer, case, generated.expected(case))
        alike = now.failed and (now.error is None) == (first.error is None)
        best = now if alike else best
        return alike

    cases.smallest(generated.make, generated.count, fails, generated.steps)
    return best


def special(generated: Generated, answer: Answer, case: cases.Call) -> str:
    """What holds for this case and seldom for those that pass, as a sentence; empty if nothing does."""
    passing = [
        known
        for known, expected in generated.known()
        if not outcome(generated, answer, known, expected).failed
    ]
    share = {said: _share(holds, passing) for said, holds in _true(generated.marks, case).items()}
    own = [said for said in sorted(share, key=share.__getitem__) if share[said] < 0.5]
    if own or not passing:
        return ", and ".join(own[:2])
    of_others = [shown.special(known.args, generated.names) for known in passing]
    for said, holds in shown.special(case.args, generated.names).items():
        if holds and np.mean([others.get(said, False) for others in of_others]) < 0.5:
            return said
    return ""


def _true(
    marks: Mapping[str, Callable[..., Any]], case: cases.Call
) -> dict[str, Callable[..., Any]]:
    return {said: holds for said, holds in marks.items() if _given(holds, case)}


def _share(holds: Callable[..., Any], of: Sequence[cases.Call]) -> float:
    """The share of cases for which it holds; 1 of none, since nothing is special where nothing passes."""
    return sum(bool(_given(holds, case)) for case in of) / len(of) if of else 1.0


class Recorder:
    """Calls the answer on copies, remembers the call, and tells the answer's errors from the claim's."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.returned = answer, None  # type: tuple[Answer, Any]
        self.last: cases.Call | None = None
        self.heard: list[tuple[Any, Any]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.heard = []
        self.last = cases.Call(
            tuple(map(shown.kept, args)), {k: shown.kept(v) for k, v in kwargs.items()}
        )
        fresh = [self._fresh(a) for a in args], {k: self._fresh(v) for k, v in kwargs.items()}
        try:
            self.returned = self.answer(*fresh[0], **fresh[1])
        except Pressed:
            raise
        except (Exception, SystemExit, GeneratorExit, KeyboardInterrupt) as error:
            raise Raised from error
        return self.returned

    def rows(self, name: str, names: Sequence[str]) -> dict[str, str]:
        """The last call, and what functions that it was given have returned."""
        if self.last is None:
            return {}
        return {"called": shown.call(name, self.last.args, self.last.kwargs, names)} | self.where()

    def where(self) -> dict[str, str]:
        """What functions that the answer was given have returned to it, at first."""
        said = [f"{shown.value(f)} returned {shown.value(returned)}" for f, returned in self.heard]
        return {"where": "\n".join(dict.fromkeys(said))} if said else {}

    def _fresh(self, given: Any) -> Any:
        """A copy of data, however deep; what is no data stays what it is."""
        if isinstance(given, types.FunctionType):
            return self._heard(given)
        if isinstance(given, pd.DataFrame | pd.Series | pd.Index | np.ndarray):
            return copy.deepcopy(given)
        if isinstance(given, dict):
            made = copy.copy(given)
            made.update({k: self._fresh(v) for k, v in given.items()})
            return made
        if isinstance(given, tuple) and hasattr(given, "_make"):
            return given._make(map(self._fresh, given))
        if type(given) in (list, tuple, set):
            return type(given)(map(self._fresh, given))
        return given

    def _heard(self, given: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(given)
        def heard(*args: Any, **kwargs: Any) -> Any:
            returned = given(*args, **kwargs)
            if len(self.heard) < 4:
                self.heard.append((given, returned))
            return returned

        return heard


class _Printed(io.TextIOBase):
    """Passes on what an answer prints, if to anywhere; one that never stops printing is stopped."""

    def __init__(self, target: Any = None) -> None:
        self.target, self.count = target, 0

    def write(self, text: str) -> int:
        self.count += len(text)
        if self.count > _MOST_PRINTED:
            raise RuntimeError(f"your code printed more than {_MOST_PRINTED:,} characters")
        if self.target is not None:
            self.target.write(text)
        return len(text)

    def flush(self) -> None:
        if self.target is not None:
            self.target.flush()


@contextlib.contextmanager
def printing() -> Iterator[None]:
    with contextlib.redirect_stdout(_Printed(sys.stdout)):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Some hundred calls: what each prints or warns of would bury the message."""
    with contextlib.redirect_stdout(_Printed()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def sealed() -> Iterator[None]:
    """The same answer gives the same text: a check takes no state from outside, and leaves none."""

    def pressed(*_: object) -> None:
        raise Pressed

    before, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002  # an answer may use it
    handler = signal.getsignal(signal.SIGINT)
    takes_signals = threading.current_thread() is threading.main_thread() and callable(handler)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if takes_signals:
        signal.signal(signal.SIGINT, pressed)
    try:
        with np.errstate():
            yield
    finally:
        if takes_signals:
            signal.signal(signal.SIGINT, handler)
        random.setstate(before)
        np.random.set_state(numpys)  # noqa: NPY002
