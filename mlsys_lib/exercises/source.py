"""The text of a function: the stub that a solution gives, the blanks that are left, the line that raised."""

import ast
import inspect
import linecache
import textwrap
import traceback
import zlib
from collections.abc import Callable
from typing import Any

__all__ = ["BLANK", "Source", "brief", "defined", "ellipsis_line", "stub", "text", "where"]

Answer = Callable[..., Any]
BLANK = "# blank"


class Source(str):
    """Python source that shows itself as such."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def text(function: Answer) -> str:
    """The source of a function without its decorators."""
    whole = textwrap.dedent(inspect.getsource(function))
    first = ast.parse(whole).body[0]
    return "\n".join(whole.splitlines()[first.lineno - 1 :])


def stub(solution: str) -> str:
    """A solution with the lines that are marked as blanks faded; without its body where none is."""
    function = ast.parse(solution).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = solution.splitlines()
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


def ellipsis_line(answer: Answer) -> int | None:
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


def defined(written: str, original: Answer) -> Answer:
    """The function that a text defines, among the names that another function sees."""
    # Known to linecache, so that the text of a wrong answer can be read back like any reader's.
    file = f"<wrong answer {zlib.crc32(written.encode())}>"
    linecache.cache[file] = (len(written), None, written.splitlines(keepends=True), file)
    scope = dict(original.__globals__)
    exec(compile(written, file, "exec"), scope)
    answer: Answer = scope[original.__name__]
    return answer


def where(error: BaseException, answer: Answer) -> str:
    """The line of the reader's own code in which the error came up."""
    own = getattr(getattr(answer, "__code__", None), "co_filename", None)
    frames = [f for f in traceback.walk_tb(error.__traceback__) if f[0].f_code.co_filename == own]
    if not frames:
        return "a line that cannot be shown"
    frame, line = frames[-1]
    code = linecache.getline(frame.f_code.co_filename, line).strip()
    return f"line {line - _first_line(answer, frames[0])} of your function: {code}"


def _first_line(answer: Answer, outermost: tuple[Any, int]) -> int:
    code = getattr(answer, "__code__", outermost[0].f_code)
    return int(code.co_firstlineno) - 1


def brief(error: BaseException) -> str:
    """An error in one line."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an answer may raise what cannot even be shown
        lines = []
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'without a message'}"
