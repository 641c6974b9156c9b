"""The library stays small enough to read in an evening, and is laid out as CONTRIBUTING draws it."""

import ast
import importlib
import inspect
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "mlsys_lib").glob("*.py"))
# Lines of code: without docstrings, comments and blanks. Growth is a decision, taken here.
LINES_A_MODULE = 250
LINES_IN_ALL = 3440  # may only fall: the aim is 2,600
# Nor exercises/, which is no module of this folder.
NOT_THE_LESSON = {"plots", "explore", "report", "source"}


def the_house():
    """The modules in the order in which CONTRIBUTING draws them."""
    drawing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
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


def imports_of(source):
    """The names right under mlsys_lib that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
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


def lines_of_code(source):
    """How many lines hold code: no docstring, no comment, no blank."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            docstrings |= set(range(text.lineno, text.end_lineno + 1))
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*layout, tokenize.ENDMARKER):
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_the_counter_counts_code_alone():
    source = '''"Docstring"
import os  # a comment beside code counts as code

# a comment


def f(a,
      b):
    """Docstring
    of two lines."""
    return """text
of two lines"""
'''
    assert lines_of_code(source) == 1 + 2 + 2


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_is_too_long_to_be_read_at_once(path):
    lines = lines_of_code(path.read_text(encoding="utf-8"))
    assert lines <= LINES_A_MODULE


def test_the_library_is_read_in_an_evening():
    lines = {
        path.stem: lines_of_code(path.read_text(encoding="utf-8"))
        for path in MODULES
        if path.stem not in NOT_THE_LESSON
    }
    total = sum(lines.values())
    assert total <= LINES_IN_ALL, lines


def public_functions(module):
    """Each public function of a module, and each public method of its public classes."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, member in vars(value).items():
                function = getattr(member, "__func__", member)
                if not method.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize("name", [path.stem for path in MODULES if path.stem != "__init__"])
def test_a_parameter_with_a_default_is_passed_by_name(name):
    """So a call says what it changes, and a parameter may join without breaking one."""
    module = importlib.import_module(f"mlsys_lib.{name}")
    by_position = [
        f"{function_name}({parameter.name}=)"
        for function_name, function in public_functions(module)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not parameter.empty and parameter.kind != parameter.KEYWORD_ONLY
    ]
    assert not by_position, ", ".join(by_position)
