"""Reading the library inside a chapter."""

import ast
import inspect

import pytest

from mlsys_lib import World
from mlsys_lib.metrics import break_even, day_block
from mlsys_lib.source import show_source, without_docstring


def test_what_is_shown_is_what_runs():
    whole = ast.parse(inspect.getsource(day_block))
    del whole.body[0].body[0]  # its docstring
    assert ast.dump(ast.parse(str(show_source(day_block)))) == ast.dump(whole)


def test_a_method_is_shown_at_the_margin_and_named_with_its_class():
    source = show_source(World.labels)
    assert source.text.startswith("def labels(self")
    assert source._repr_markdown_().startswith("`mlsys_lib.world.World.labels`:\n\n```python\n")


def test_a_docstring_that_is_all_there_is_stays():
    text = 'def f():\n    """Waits for its body."""'
    assert without_docstring(text) == text


def test_decorators_and_comments_stay():
    text = '@x\ndef f():\n    """Doc.\n\n    More.\n    """\n    # why\n    return 1'
    assert without_docstring(text) == "@x\ndef f():\n    # why\n    return 1"


def test_what_has_no_source_is_refused():
    with pytest.raises(TypeError, match="has no source in Python"):
        show_source(len)
    assert "def break_even" in repr(show_source(break_even))
