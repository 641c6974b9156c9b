"""Derive wrong answers from each solution, and see that its check rejects them: `make mutants`.

    python tools/mutants.py [ch01 | ch01.expected_cost ...] [--workers 2] [--seconds 30]
    python tools/mutants.py --since HEAD~1 --limit 120

A mutant is the solution with one small change: a comparison, a boundary, a constant, an operator, a
dropped statement or keyword, swapped arguments, `mean` for `median`, no sort. One that changes nothing
which the statement asks for stands beside the exercise with its reason: `exercise.equivalent(...)`.
The exit code is 1 where a mutant survives, breaks the checker, or was called equivalent and is rejected.
`--since` takes only the chapters whose file has changed since a commit, `--limit` that many seconds of
each: what is left out by then is drawn from all its exercises, and counted.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import difflib
import importlib
import itertools
import multiprocessing as mp
import os
import queue
import random
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEMORY = 8 << 30  # bytes of address space; a mutant may ask for more without end

COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = (
    "mean median, min max, minimum maximum, argmin argmax, idxmin idxmax, any all, floor ceil, "
    "first last, head tail, ffill bfill, cummax cummin, left right, inner outer, lower upper, le lt, "
    "ge gt, low high, union intersection, isna notna, log exp"
)
OTHER = {"sum": "mean", "std": "var", "size": "count", "count": "size", "nunique": "count"}
for pair in PAIRS.split(", "):
    one, other = pair.split()
    OTHER |= {one: other, other: one}
# Casts and copies: without them the values are the same, and statements ask for values.
HARMLESS = {"bool", "float", "int", "str", "list", "tuple", "copy", "to_numpy", "tolist", "asarray"}
DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.For, ast.Continue, ast.Break)


def mutants(source: str) -> Iterator[str]:
    """Every other function that one change makes of this one, as source without its docstring."""
    tree = bare(source)
    seen = {ast.unparse(tree)}
    nodes = _Nodes()
    nodes.visit(tree)
    for place, node in enumerate(nodes.found):
        for new in variants(node, nodes):
            made = _Replaced(place, new).visit(copy.deepcopy(tree))
            text = ast.unparse(ast.fix_missing_locations(made))
            if text not in seen:
                seen.add(text)
                yield text


def bare(source: str) -> ast.Module:
    """The tree of a function without its docstring."""
    tree = ast.parse(source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    if ast.get_docstring(function) is not None:
        del function.body[0]
    return tree


class _Nodes(ast.NodeVisitor):
    """The nodes in the order of a walk, the strings among them, and the function's parameters."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []
        self.strings: list[str] = []
        self.parameters: list[str] = []

    def visit(self, node: ast.AST) -> None:
        self.found.append(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.strings += [node.value] * (node.value not in self.strings)
        if isinstance(node, ast.FunctionDef) and not self.parameters:
            self.parameters = [a.arg for a in node.args.args]
        self.generic_visit(node)


class _Replaced(ast.NodeTransformer):
    """Puts another node in the place of one, counted as `_Nodes` does."""

    def __init__(self, place: int, new: ast.AST) -> None:
        self.left, self.new = place, new

    def visit(self, node: ast.AST) -> ast.AST:
        self.left -= 1
        return self.new if self.left == -1 else self.generic_visit(node)


def variants(node: ast.AST, nodes: _Nodes) -> Iterator[ast.AST]:
    """What may stand in the place of a node by mistake."""
    for name, kinds in _VARIANTS.items():
        if isinstance(node, kinds):
            yield from name(node, nodes)


def changed(node: Any, **fields: Any) -> Any:
    """A copy of a node with other fields."""
    made = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def without(many: list[Any], place: int) -> list[Any]:
    return [one for i, one in enumerate(many) if i != place]


def _comparison(node: ast.Compare, nodes: _Nodes) -> Iterator[ast.AST]:
    for i, op in enumerate(node.ops):
        for new in COMPARISONS[type(op)]:
            yield changed(node, ops=[new() if j == i else o for j, o in enumerate(node.ops)])


def _operator(node: ast.BinOp | ast.AugAssign, nodes: _Nodes) -> Iterator[ast.AST]:
    if type(node.op) in OPERATORS:
        yield changed(node, op=OPERATORS[type(node.op)]())


def _logic(node: ast.BoolOp, nodes: _Nodes) -> Iterator[ast.AST]:
    yield changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for i in range(len(node.values)):
        left = without(node.values, i)
        yield left[0] if len(left) == 1 else changed(node, values=left)


def _unary(node: ast.UnaryOp, nodes: _Nodes) -> Iterator[ast.AST]:
    yield node.operand


def _constant(node: ast.Constant, nodes: _Nodes) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield from (ast.Constant(value * 2 or 1.0), ast.Constant(value / 2 or -1.0))
    elif isinstance(value, str):
        if value in OTHER:
            yield ast.Constant(OTHER[value])
        place = nodes.strings.index(value)
        yield ast.Constant(nodes.strings[(place + 1) % len(nodes.strings)])


def _call(node: ast.Call, nodes: _Nodes) -> Iterator[ast.AST]:
    for i in range(len(node.keywords)):
        yield changed(node, keywords=without(node.keywords, i))
    for i in range(len(node.args) - 1):
        swapped = [*node.args[:i], node.args[i + 1], node.args[i], *node.args[i + 2 :]]
        yield changed(node, args=swapped)
    if len(node.args) > 1:
        yield changed(node, args=node.args[:-1])
    yield from _uncalled(node)


def _uncalled(node: ast.Call) -> Iterator[ast.AST]:
    """What a function was given, or a method was called on, as if it had not been called."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in HARMLESS:
        return
    is_module = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    if is_module and function.value.id in ("np", "pd", "math"):  # type: ignore[attr-defined]
        is_method = False
    else:
        is_method = isinstance(function, ast.Attribute)
    if is_method:
        yield function.value  # type: ignore[attr-defined]
    elif node.args and not isinstance(node.args[0], ast.Starred):
        yield node.args[0]


def _name(node: ast.Attribute | ast.Name, nodes: _Nodes) -> Iterator[ast.AST]:
    field = "attr" if isinstance(node, ast.Attribute) else "id"
    name = getattr(node, field)
    if name in OTHER and isinstance(node.ctx, ast.Load):
        yield changed(node, **{field: OTHER[name]})
    if isinstance(node, ast.Name) and name in nodes.parameters and isinstance(node.ctx, ast.Load):
        place = nodes.parameters.index(name)
        yield changed(node, id=nodes.parameters[(place + 1) % len(nodes.parameters)])


def _slice(node: ast.Slice, nodes: _Nodes) -> Iterator[ast.AST]:
    for bound in ("lower", "upper", "step"):
        if getattr(node, bound) is not None:
            yield changed(node, **{bound: None})


def _either(node: ast.IfExp, nodes: _Nodes) -> Iterator[ast.AST]:
    yield from (node.body, node.orelse)


def _condition(node: ast.If | ast.While, nodes: _Nodes) -> Iterator[ast.AST]:
    yield from (changed(node, test=ast.Constant(value)) for value in (True, False))


def _filter(node: ast.comprehension, nodes: _Nodes) -> Iterator[ast.AST]:
    for i in range(len(node.ifs)):
        yield changed(node, ifs=without(node.ifs, i))


def _elements(node: ast.List | ast.Tuple | ast.Set, nodes: _Nodes) -> Iterator[ast.AST]:
    if isinstance(getattr(node, "ctx", ast.Load()), ast.Load) and len(node.elts) > 1:
        for i in range(len(node.elts)):
            yield changed(node, elts=without(node.elts, i))


def _items(node: ast.Dict, nodes: _Nodes) -> Iterator[ast.AST]:
    for i in range(len(node.keys)):
        yield changed(node, keys=without(node.keys, i), values=without(node.values, i))


def _statement(node: ast.stmt, nodes: _Nodes) -> Iterator[ast.AST]:
    yield ast.Pass()
    if isinstance(node, ast.Continue | ast.Break):
        yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


def _block(node: ast.With | ast.Try, nodes: _Nodes) -> Iterator[ast.AST]:
    yield ast.If(test=ast.Constant(True), body=node.body, orelse=[])


_VARIANTS: dict[Any, Any] = {
    _comparison: ast.Compare,
    _operator: (ast.BinOp, ast.AugAssign),
    _logic: ast.BoolOp,
    _unary: ast.UnaryOp,
    _constant: ast.Constant,
    _call: ast.Call,
    _name: (ast.Attribute, ast.Name),
    _slice: ast.Slice,
    _either: ast.IfExp,
    _condition: (ast.If, ast.While),
    _filter: ast.comprehension,
    _elements: (ast.List, ast.Tuple, ast.Set),
    _items: ast.Dict,
    _statement: DROPPED,
    _block: (ast.With, ast.Try),
}


# -- judging them in processes of their own ----------------------------------------------------------


@dataclass
class Task:
    """One answer to judge."""

    chapter: str
    name: str
    text: str
    score: Score
    said: str = ""
    seconds: float = 0.0


def work(pipe: Any) -> None:
    """Judge what comes through the pipe, and send back what the check said."""
    _limit_memory()
    warnings.simplefilter("ignore")
    while True:
        try:
            chapter, name, text = pipe.recv()
        except EOFError:  # whoever asked is gone
            return
        exercise = getattr(importlib.import_module(f"mlsys_lib.exercises.{chapter}"), name)
        started = time.perf_counter()
        with open(os.devnull, "w") as void, contextlib.redirect_stdout(void):
            said = exercise.judge(exercise.defined(text), shrink=False)
        pipe.send((said.kind, time.perf_counter() - started))


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with contextlib.suppress(ValueError, OSError):  # nor does macOS keep this one
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


_ONE_AT_A_TIME = threading.Lock()


class Worker(threading.Thread):
    """Hands tasks to a process, and starts another one where it does not come back in time."""

    def __init__(self, tasks: queue.Queue[Task], seconds: float, until: float) -> None:
        super().__init__(daemon=True)
        self.tasks, self.seconds, self.until = tasks, seconds, until
        self.process: Any = None

    def run(self) -> None:
        while True:
            try:
                task = self.tasks.get_nowait()
            except queue.Empty:
                break
            is_late = time.perf_counter() > self.until and task is not task.score.right
            task.said = LEFT_OUT if is_late else self.judged(task)
            with _ONE_AT_A_TIME:
                task.score.left -= 1
                if not task.score.left:
                    task.score.report()
        self.stop()

    def judged(self, task: Task) -> str:
        if self.process is None:
            self.start_process()
        self.pipe.send((task.chapter, task.name, task.text))
        try:
            # The first task of a process waits for its imports too.
            if self.pipe.poll(self.seconds + 60 * self.is_new):
                said, task.seconds = self.pipe.recv()
                self.is_new = False
                return str(said)
            said = "never ended"
        except (EOFError, ConnectionError):
            said = "ended the process"
        self.stop()
        return said

    def start_process(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.is_new = True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


ACCEPTED, LEFT_OUT = ("correct", "broken"), "left out"


class Score:
    """The tasks of one exercise, the unchanged solution first; reported when the last one is judged."""

    def __init__(self, chapter: str, exercise: Any) -> None:
        self.where, self.source = exercise.where, exercise.solution_source
        self.claims = len(exercise.claims)
        self.cases = sum(g.count for g in exercise.cases.values())
        self.argued = {ast.unparse(bare(exercise.changed(e))): e for e in exercise.equivalents}
        texts = [ast.unparse(bare(self.source)), *mutants(self.source)]
        self.right, *self.tasks = (Task(chapter, exercise.name, text, self) for text in texts)
        self.left = len(texts)

    def report(self) -> None:
        """Print the score, and what survives."""
        if self.right.said != "correct":
            print(f"{self.where}: its check says {self.right.said!r} of the solution itself")
            return
        count = Counter(task.said for task in self.tasks)
        killed = sum(task.said not in (*ACCEPTED, LEFT_OUT) for task in self.tasks)
        equivalent = count["correct"] + count["broken"] - len(self.alive)
        print(
            f"{self.where}: {self.claims} claims, {self.cases} cases, check {self.right.seconds:.2f} s; "
            f"{len(self.tasks)} mutants, {killed} killed ({count['never ended']} never ended), "
            f"{equivalent} equivalent, {len(self.alive)} alive, "
            f"{f'{count[LEFT_OUT]} left out, ' if count[LEFT_OUT] else ''}"
            f"{sum(task.seconds for task in self.tasks):.0f} s",
        )
        for task in self.alive:
            print(f"  alive ({task.said}):\n{change(self.source, task.text)}")
        for e in self.stale:
            print(f"  called equivalent, and it is not: {e.old!r} -> {e.new!r} ({e.reason})")
        sys.stdout.flush()

    @property
    def alive(self) -> list[Task]:
        """What is accepted without a reason, or breaks the checker."""
        return [t for t in self.tasks if t.said in ACCEPTED and t.text not in self.argued]

    @property
    def stale(self) -> list[Any]:
        """What is called equivalent, and is rejected or is no mutant."""
        fine = {task.text for task in self.tasks if task.said in ("correct", LEFT_OUT)}
        return [e for text, e in self.argued.items() if text not in fine]

    @property
    def is_whole(self) -> bool:
        return self.right.said == "correct" and not self.alive and not self.stale


def judge(scores: list[Score], workers: int, seconds: float, limit: float | None = None) -> None:
    """Judge the tasks of all exercises, and report each when it is done; after `limit` seconds leave out the rest."""
    waiting: queue.Queue[Task] = queue.Queue()
    tasks = [task for score in scores for task in [score.right, *score.tasks]]
    if limit is not None:
        random.Random(0).shuffle(tasks)
        tasks.sort(key=lambda task: task is not task.score.right)
    for task in tasks:
        waiting.put(task)
    until = float("inf") if limit is None else time.perf_counter() + limit
    threads = [Worker(waiting, seconds, until) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def change(source: str, text: str) -> str:
    """The lines in which a mutant differs from its source; of long ones the neighbourhood of the change."""
    old, new = ast.unparse(bare(source)).splitlines(), text.splitlines()
    lines = difflib.unified_diff(old, new, lineterm="", n=0)
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    if len(changed) == 2 and max(map(len, changed)) > 100:
        start = max(_common(*(line[1:] for line in changed)) - 30, 1)
        end = max(_common(*(line[::-1] for line in changed)) - 30, 0)
        changed = [f"{line[0]}...{line[start : len(line) - end]}..." for line in changed]
    return "\n".join(f"    {line}" for line in changed)


def changed_chapters(since: str) -> set[str]:
    """The chapters whose exercises differ from those of a commit, as in "ch01"."""
    command = ["git", "diff", "--name-only", since, "--", "mlsys_lib/exercises"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {Path(name).stem[:4] for name in done.stdout.split() if Path(name).stem[2:4].isdigit()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", nargs="*", help="chapters or exercises: ch01, ch01.expected_cost")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30, help="the most that a check may take")
    parser.add_argument("--since", help="only chapters whose file has changed since this commit")
    parser.add_argument("--limit", type=float, help="the most seconds that a chapter may take")
    asked = parser.parse_args()
    from mlsys_lib.exercises import chapters

    started = time.perf_counter()
    if asked.since:
        asked.which = sorted(changed_chapters(asked.since))
        if not asked.which:
            print(f"no exercise has changed since {asked.since}")
            return
    scores = [
        Score(chapter, exercise)
        for chapter, exercises in chapters().items()
        for exercise in exercises
        if not asked.which or {exercise.where, exercise.where.partition(".")[0]} & {*asked.which}
    ]
    if not scores:
        sys.exit(f"no exercise is called {' or '.join(asked.which)}; ask for ch01, or ch01.metric")
    for _, of_chapter in itertools.groupby(scores, key=lambda score: score.where[:4]):
        judge(list(of_chapter), asked.workers, asked.seconds, asked.limit)
    total, alive = sum(len(s.tasks) for s in scores), sum(len(s.alive) for s in scores)
    print(f"{total} mutants, {alive} alive, in {time.perf_counter() - started:.0f} s")
    sys.exit(not all(score.is_whole for score in scores))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
