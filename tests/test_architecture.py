"""The house rules that code can check: arrows between packages, sizes, prints, docstrings."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("probe", "surgery", "adaptors", "commands")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# Who may import whom: cli (and its shells in commands) -> adaptors -> surgery -> probe.
FORBIDDEN = {
    "probe": {"surgery", "adaptors", "commands", "cli"},
    "surgery": {"adaptors", "commands", "cli"},
    "adaptors": {"commands", "cli"},
    "commands": {"cli"},
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imported_packages(path: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return {name.partition(".")[0] for name in names}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def test_the_check_of_arrows_sees_imports_inside_functions() -> None:
    assert "transformers" in imported_packages(ROOT / "probe" / "loading.py")


@each_file
def test_imports_go_one_way(path: Path) -> None:
    assert not imported_packages(path) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


@each_file
def test_files_and_functions_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    for function in functions(path):
        parameters = [a.arg for a in (*function.args.args, *function.args.kwonlyargs) if a.arg not in ("self", "cls")]
        assert (function.end_lineno or 0) - function.lineno < 60, function.name
        # A command's parameters are its options, as typer wants it.
        assert len(parameters) <= 6 or path.parent.name == "commands", function.name


@each_file
def test_public_functions_have_docstrings_and_nothing_asserts(path: Path) -> None:
    for function in functions(path):
        nested_or_private = function.name.startswith("_") or function.col_offset > 4
        assert nested_or_private or ast.get_docstring(function), function.name
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(function)), function.name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there(package: str) -> None:
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError):
        module.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_no_exported_name_is_hidden_by_a_module_of_that_name(package: str) -> None:
    # Importing a module sets it as an attribute of its package.
    modules = {path.stem for path in (ROOT / package).glob("*.py")}
    assert not modules & set(import_module(package).__all__)
