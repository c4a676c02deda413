"""House style that code can check: sizes, arguments, docstrings, no assertions for what users cause."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("probe", "surgery", "adaptors", "encoder_surgery")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MOST_LINES, MOST_FUNCTION_LINES, MOST_ARGUMENTS, MOST_BY_POSITION = 300, 60, 8, 3
# Named and called by libraries, which decide their arguments.
CALLED_BY_LIBRARIES = {"__call__", "__torch_function__", "on_evaluate", "on_log", "end"}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def is_command(function: ast.FunctionDef) -> bool:
    """Return whether a function is a command, whose parameters are its options, as typer wants it."""
    return any("friendly" in ast.unparse(decorator) for decorator in function.decorator_list)


@each_file
def test_files_and_functions_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < MOST_FUNCTION_LINES, function.name


@each_file
def test_arguments_are_few_and_named_from_the_fourth_on(path: Path) -> None:
    for function in functions(path):
        if is_command(function) or function.name in CALLED_BY_LIBRARIES:
            continue
        positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
        assert len(positional) <= MOST_BY_POSITION, function.name
        assert len(positional) + len(function.args.kwonlyargs) <= MOST_ARGUMENTS, function.name


@each_file
def test_public_functions_have_docstrings_and_nothing_asserts(path: Path) -> None:
    for function in functions(path):
        nested_or_private = function.name.startswith("_") or function.col_offset > 4
        assert nested_or_private or ast.get_docstring(function), function.name
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(function)), function.name
