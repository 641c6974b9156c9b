'''Exercises that check themselves.

One function is all of an exercise: its docstring the statement, its body the solution, and the stub
is derived from it. Lines that end in ``# blank`` are faded in the stub; where no line does, the whole
body is. What must hold is said in *claims*, which teach; *generated* cases judge, with the solution as
the oracle. What goes wrong is said in *mistakes*: the tests prove that the solution passes, and that
each mistake is rejected by the claim that it names.

>>> import numpy as np
>>> @exercise(hints=["Count what is late.", "Divide by what has landed.", "late.sum() / landed.sum()"])
... def late_rate(late, landed):
...     """The share of landed flights that were late."""
...     return late.sum() / landed.sum()
>>> @late_rate.claim("one of two landed flights late is a half")
... def half(answer):
...     expect(answer(np.array([1, 0, 0]), np.array([1, 1, 0])), 0.5)
>>> late_rate.check(lambda late, landed: late.mean())
Not yet: one of two landed flights late is a half.
  called    late_rate(array([1, 0, 0]), array([1, 1, 0]))
  expected  0.5
  got       0.3333333333333333
Stuck? checker.late_rate.hint() gives the next of 3 hints, checker.late_rate.solution() the solution.

**Generated cases.** A function of `draw` makes the arguments of one call from the strategies in
`mlsys_lib.exercises.cases` (or Hypothesis's own): a tuple, or `cases.call(...)` where some go by name.
The answer must give what the solution gives, compared as `same` says; say in the statement what counts.
`marks` name what may be special about the arguments: those that hold for the smallest failing case, and
seldom for cases that pass, are told to the reader. That a table is empty, has one row, a missing value
or an odd index is told without a mark.

>>> @late_rate.generated("any flights", marks={"one has landed": lambda late, landed: landed.sum() == 1})
... def any_flights(draw):
...     landed = draw(cases.labels(draw(cases.whole(1, 6))).filter(np.any))
...     return landed * draw(cases.labels(len(landed))), landed
>>> late_rate.check(lambda late, landed: late.sum() / max(landed.sum(), 2))
Not yet: it must be right for any flights. The smallest case found on which it is not:
  called    late_rate(array([1]), array([1]))
  expected  1.0
  got       0.5
  special   one has landed
Stuck? checker.late_rate.hint() gives the next of 3 hints, checker.late_rate.solution() the solution.

Where the answer takes what cannot be drawn (an open database), or gives what must be used before it can
be compared (a rule, a contract), `run` says how: it gets the answer and the arguments, and returns what
must be equal. Where the solution is not the only right answer, `truth` says of the arguments what is.

>>> @exercise(hints=["What is no rate?", "Below 0, above 1.", "((rates < 0) | (rates > 1)).any()"])
... def alarm():
...     """A rule that takes an array of rates and says whether one of them cannot be a rate."""
...     return lambda rates: bool(((rates < 0) | (rates > 1)).any())
>>> @alarm.generated(
...     "rates of which one may be broken",
...     run=lambda answer, rates, broken: answer()(rates),
...     truth=lambda rates, broken: broken,
... )
... def any_rates(draw):
...     rates, broken = draw(cases.array(cases.probabilities(), 3)), draw(cases.st.booleans())
...     return rates + [1.01 * broken, 0, 0], broken
>>> alarm.judge(lambda: lambda rates: bool((rates >= 1).any()))
Not yet: it must be right for rates of which one may be broken. The smallest case found on which it is not:
  rates     array([0.0, 0.0, 1.0])
  broken    False
  expected  False
  got       True

**Choices.** An exercise that asks for decisions has `choices`: for each question, its options with the
reason why each wrong one is wrong, and None for the right one. All wrong combinations are tested.

>>> @exercise(hints=["Who wakes up?"])
... def urgency():
...     """Is a dead feed worth a "page" or a "ticket"?"""
...     return {"dead feed": "page"}
>>> urgency.choices({"dead feed": {"page": None, "ticket": "it grows by the hour"}}, lambda q: f"the {q} fits")
>>> urgency.judge(lambda: {"dead feed": "ticket"})
Not yet: the dead feed fits.
  got       'ticket'
  because   it grows by the hour

**Mutants.** ``python tools/mutants.py ch01`` derives wrong answers from each solution. One that is no
wrong answer is named with its reason, as the solution's text and what stands in its place:

>>> late_rate.equivalent("late is 0 or 1", old="late.sum()", new="(late > 0).sum()")

What a claim hands to the answer is a copy, so that a try which changes it spoils nothing; an object of your
own is not copied: make it anew in each claim. What `cached` functions give a reader must be a copy too.
'''

import functools
import inspect
import itertools
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsys_lib.exercises import answers, cases, record, shown, source
from mlsys_lib.exercises.answers import Answer
from mlsys_lib.exercises.same import Same, difference, differing

__all__ = [
    "Answer",
    "Exercise",
    "Mistake",
    "NotYet",
    "Result",
    "Same",
    "exercise",
    "expect",
]


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


@dataclass(frozen=True)
class Equivalent:
    """A change of the solution that changes nothing which the statement asks for."""

    reason: str
    old: str
    new: str


class NotYet(Exception):
    """A claim does not hold."""

    def __init__(
        self, expected: object, got: object, because: str = "", how: Same | None = None
    ) -> None:
        super().__init__(expected, got, because)
        self.expected, self.got, self.because, self.how = expected, got, because, how or Same()


class Exercise:
    """One exercise, made by `exercise` from its solution."""

    def __init__(self, solution: Answer, hints: Sequence[str]) -> None:
        self.answer, self.hints = solution, list(hints)
        self.name, self.module = solution.__name__, solution.__module__.rpartition(".")[2]
        self.claims: dict[str, tuple[str, Callable[[Answer], None]]] = {}
        self.cases: dict[str, answers.Generated] = {}
        self.options: dict[str, dict[str, str | None]] = {}
        self.mistakes: list[Mistake] = []
        self.equivalents: list[Equivalent] = []
        self.alternatives: list[Answer] = []
        self._hinted = 0

    def __repr__(self) -> str:
        return f"{self.where}: try .check({self.name}), .hint() or .solution()"

    @property
    def where(self) -> str:
        """What the reader types before ``.check``: the exercise in its chapter, as the notebooks import it."""
        chapter = self.module.partition("_")[0] if self.module[2:4].isdigit() else self.module
        return f"{chapter}.{self.name}"

    def claim(self, text: str) -> Callable[[Callable[[Answer], None]], Callable[[Answer], None]]:
        """Add what must hold: a sentence for the reader, and a function that calls the answer and `expect` on it."""

        def add(test: Callable[[Answer], None]) -> Callable[[Answer], None]:
            self.claims[test.__name__] = (text, test)
            return test

        return add

    def generated(
        self,
        text: str,
        *,
        marks: Mapping[str, Callable[..., Any]] | None = None,
        same: Same | None = None,
        run: Callable[..., Any] | None = None,
        truth: Callable[..., Any] | None = None,
        count: int = 40,
        steps: int = cases.STEPS,
    ) -> Callable[[Callable[[cases.Draw], Any]], Callable[[cases.Draw], Any]]:
        """Add generated cases, which judge after all claims hold.

        Parameters
        ----------
        text : str
            What they are, after "for": "any flights at any prices".
        marks : mapping of str to callable, optional
            Sentences, and whether they hold for the arguments.
        same : Same, optional
            How the answer and what is right are compared; by default to 1e-9, in order, without the index.
        run : callable, optional
            ``run(answer, *args)`` returns what must be equal; by default ``answer(*args)``.
        truth : callable, optional
            ``truth(*args)`` returns what is right; by default what `run` returns of the solution.
        count, steps : int, default 40 and 300
            How many cases are drawn, and how many more are tried to find the smallest that fails.
        """
        called = run or (lambda answer, *args, **kwargs: answer(*args, **kwargs))
        names = self.parameters if run is None else list(inspect.signature(run).parameters)[1:]

        def add(make: Callable[[cases.Draw], Any]) -> Callable[[cases.Draw], Any]:
            self.cases[make.__name__] = answers.Generated(
                text=text,
                make=make,
                run=called,
                oracle=truth or functools.partial(called, self.answer),
                marks=marks or {},
                same=same or Same(),
                count=count,
                steps=steps,
                names=names,
                is_call=run is None,
            )
            return make

        return add

    def choices(
        self, options: Mapping[str, Mapping[str, str | None]], text: Callable[[str], str]
    ) -> None:
        """Add a claim for each question: its options, with the reason why a wrong one is wrong, and None for the right one.

        `text` makes the claim's sentence of the name of the question.
        """
        for question, reasons in options.items():
            self.options[question] = dict(reasons)
            self.claims[question] = (text(question), _choice(question, reasons))

    def mistake(self, text: str, fails: str, old: str, new: str) -> None:
        """Add a wrong answer that must be rejected by the claim named `fails`."""
        self.mistakes.append(Mistake(text, fails, old, new))

    def equivalent(self, reason: str, *, old: str, new: str) -> None:
        """Add a change of the solution that is no mistake, and say why; `tools/mutants.py` leaves it alone."""
        self.equivalents.append(Equivalent(reason, old, new))

    def alternative(self, answer: Answer) -> Answer:
        """Add a right answer in another style."""
        self.alternatives.append(answer)
        return answer

    @property
    def solution_source(self) -> str:
        """The solution as the reader would have written it."""
        lines = source.text(self.answer).splitlines()
        return "\n".join(line.partition("  " + source.BLANK)[0].rstrip() for line in lines)

    @property
    def stub(self) -> str:
        """What the reader starts from, which is the solution with its blanks faded."""
        return source.stub(source.text(self.answer))

    def changed(self, change: Mistake | Equivalent) -> str:
        """The solution's source with one piece of it replaced."""
        if self.solution_source.count(change.old) != 1:
            raise ValueError(f"{change.old!r} must stand once in the solution of {self.name}")
        return self.solution_source.replace(change.old, change.new)

    def defined(self, written: str) -> Answer:
        """The function that this source defines, among the names that the solution sees."""
        return source.defined(written, self.answer)

    def wrong(self, mistake: Mistake) -> Answer:
        """The wrong answer that a mistake describes, as a function."""
        return self.defined(self.changed(mistake))

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
        result = self.judge(answer)
        text = result.text
        if result.kind in ("correct", "not yet", "raised"):
            text += record.note(f"{self.module}.{self.name}", solved=result.kind == "correct")
        if result.kind in ("not started", "not yet", "raised"):
            text += (
                f"\nStuck? {self.where}.hint() gives the next of {len(self.hints)} hints, "
                f"{self.where}.solution() the solution."
            )
        return Result(result.kind, text, result.claim)

    def judge(self, answer: object, *, shrink: bool = True) -> Result:
        """Check an answer without recording it; without `shrink`, the first case that fails is enough."""
        try:
            with answers.sealed():
                return self._judge(answer, shrink)
        except answers.Pressed:
            text = "Interrupted: nothing was judged. Run the check again when you are ready."
            return Result("interrupted", text)
        except BaseException as error:
            return self._broken("".join(traceback.format_exception_only(error)).strip())

    def hint(self, number: int | None = None) -> source.Source:
        """Show the next hint, or the one with that number (from 1)."""
        chosen = self._hinted + 1 if number is None else number
        self._hinted = min(max(chosen, 1), len(self.hints))
        return source.Source(
            f"Hint {self._hinted} of {len(self.hints)}: {self.hints[self._hinted - 1]}"
        )

    def solution(self) -> source.Source:
        """Show the solution."""
        return source.Source(self.solution_source)

    def _broken(self, what: str) -> Result:
        text = f"The checker itself broke, which is our fault, not yours: {what}\nPlease report it with the name {self.module}.{self.name}."
        return Result("broken", text)

    def _judge(self, answer: object, shrink: bool) -> Result:
        if not callable(answer):
            text = f"Not yet: check the function itself, without calling it: {self.name}.check({self.name}). Got {shown.value(answer)}."
            return Result("not yet", text)
        if line := source.ellipsis_line(answer):
            text = f"Not started: line {line} still holds the `...` that is yours to write."
            return Result("not started", text)
        for name in self.claims:
            if failed := self._claimed(name, answer):
                return failed
        for name in self.cases:
            if failed := self._tried(name, answer, shrink):
                return failed
        count = sum(len(g.known()) for g in self.cases.values())
        also = f", and {count} generated cases agree" if count else ""
        return Result("correct", f"Correct: all {len(self.claims)} claims hold{also}.")

    def _claimed(self, name: str, answer: Answer) -> Result | None:
        """What is wrong by a claim, if anything is."""
        text, test = self.claims[name]
        recorder = answers.Recorder(answer)
        try:
            with answers.printing():
                test(recorder)
        except NotYet as failed:
            rows = self._unmet(failed, recorder)
            return _result("not yet", f"Not yet: {text}.", rows, name)
        except answers.Raised as raised:
            rows = self._called(recorder) | _error(raised.__cause__, answer)
            head = f"Your code raised an error where it should hold that {text}."
            return _result("raised", head, rows, name)
        except answers.Pressed:
            raise
        except BaseException as error:
            test(self.answer)  # a claim that fails on the solution too is broken, and raises
            rows = self._called(recorder) | _unread(recorder.returned, error)
            return _result("not yet", f"Not yet: {text}.", rows, name)
        return None

    def _called(self, recorder: answers.Recorder) -> dict[str, str]:
        return recorder.rows(self.name, self.parameters)

    def _unmet(self, failed: NotYet, recorder: answers.Recorder) -> dict[str, str]:
        """What to show of a claim that fails: what the answer returned too, where the claim looks at a part of it."""
        if failed.because:
            return {"got": shown.value(failed.got), "because": failed.because}
        rows = self._called(recorder) | _values(failed)
        returned = shown.value(recorder.returned)
        whole = failed.got is recorder.returned or rows.get("got") == returned
        return rows if whole else rows | {"returned": returned}

    def _tried(self, name: str, answer: Answer, shrink: bool) -> Result | None:
        """What is wrong on generated cases, if anything is; shown on the smallest one found."""
        generated = self.cases[name]
        outcomes = (answers.outcome(generated, answer, *known) for known in generated.known())
        first = next((outcome for outcome in outcomes if outcome.failed), None)
        if first is None:
            return None
        if shrink:
            first = answers.shrunk(generated, answer, first)
        rows = self._shown(generated, first, answer)
        if shrink and (said := answers.special(generated, answer, first.case)):
            rows |= {"special": said}
        if first.error is not None:
            head = f"Your code raised an error, and it must hold for {generated.text}. The smallest case found:"
            return _result("raised", head, rows, name)
        head = f"Not yet: it must be right for {generated.text}. The smallest case found on which it is not:"
        return _result("not yet", head, rows, name)

    def _shown(
        self, generated: answers.Generated, outcome: answers.Outcome, answer: Answer
    ) -> dict[str, str]:
        rows = generated.rows(self.name, outcome.case) | outcome.recorder.where()
        if outcome.error is not None:
            return rows | _error(outcome.error, answer)
        if outcome.unread is not None:
            return rows | _unread(outcome.got, outcome.unread)
        return rows | _values(NotYet(outcome.expected, outcome.got, how=generated.same))

    @property
    def parameters(self) -> list[str]:
        """The names of the solution's parameters."""
        return list(inspect.signature(self.answer).parameters)

    def wrong_choices(self) -> Iterator[tuple[dict[str, str], str, str]]:
        """All wrong combinations of the choices: each with the first question that it gets wrong, and why that is."""
        for chosen in itertools.product(*self.options.values()):
            made = dict(zip(self.options, chosen, strict=True))
            for question, choice in made.items():
                if reason := self.options[question][choice]:
                    yield made, question, reason
                    break


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


def expect(
    got: object,
    expected: object,
    tolerance: float = Same.tolerance,
    because: str = "",
    *,
    order: bool = True,
    index: bool = False,
    kind: bool = False,
) -> None:
    """Say what a claim expects; `tolerance`, `order`, `index` and `kind` are those of `Same`.

    Of a choice, `because` says why it is wrong; it is shown instead of the right one.

    Raises
    ------
    NotYet
        If `got` is something else.

    Examples
    --------
    >>> expect(0.1 + 0.2, 0.3)
    >>> expect((1, 2), [1, 2])
    """
    how = Same(tolerance, order=order, index=index, kind=kind)
    if difference(got, expected, how):
        raise NotYet(expected, got, because, how)


def _choice(question: str, reasons: Mapping[str, str | None]) -> Callable[[Answer], None]:
    right = next(option for option, reason in reasons.items() if reason is None)

    def test(answer: Answer) -> None:
        made = answer()
        choice = made.get(question) if isinstance(made, Mapping) else None
        reason = reasons.get(choice) if isinstance(choice, str) else None
        expect(choice, right, because=reason or f"choose one of {', '.join(sorted(reasons))}")

    return test


def _result(kind: str, head: str, rows: Mapping[str, str], claim: str) -> Result:
    return Result(kind, "\n".join([head, *shown.lines(rows)]), claim)


def _values(failed: NotYet) -> dict[str, str]:
    """What was expected and what came; of long ones what differs; and how it differs, where that is not seen at once."""
    if shown.is_large(failed.expected) and (
        apart := differing(failed.got, failed.expected, failed.how)
    ):
        return {"differs": apart}
    rows = {"expected": shown.value(failed.expected), "got": shown.value(failed.got)}
    said = difference(failed.got, failed.expected, failed.how)
    is_seen = max(map(len, rows.values())) < 60 and rows["expected"] != rows["got"]
    return rows if is_seen and not _OF_ANOTHER_KIND.match(said) else rows | {"differs": said}


_OF_ANOTHER_KIND = re.compile("(at .* )?it is .*, not |it bears|its index|in column")


def _error(error: BaseException | None, answer: Answer) -> dict[str, str]:
    assert error is not None
    return {"raised": source.brief(error), "at": source.where(error, answer)}


def _unread(got: object, error: BaseException) -> dict[str, str]:
    because = f"it is not of the kind asked for; reading it gave {source.brief(error)}"
    return {"got": shown.value(got), "because": because}
