"""The house: imports go one way and never in a circle, rooms are small, and no room hides a public function."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_FILES, MOST_ENTRIES = 16, 18
# `python -m package` looks for it inside the package, so it stands above everything instead of in a room.
ENTRY_POINT = "__main__"
# The marker of PEP 561 has to stand in the package; nobody opens it.
MARKER = "py.typed"

# Lowest first. A package imports from itself and from those before it.
PACKAGES = ("probe", "surgery", "adaptors", "encoder_surgery", "cli")
# Lowest first, too; rooms of one line do not know each other. A file beside the rooms is a room of its own.
ROOMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "probe": (
        ("errors",),
        ("io",),
        ("data",),
        ("sources",),
        ("formats",),
        ("metrics",),
        ("layers",),
        ("models",),
        ("store",),
        ("encoding",),
        ("results",),
        ("evaluation",),
        ("experiments",),
        ("documents",),
        ("plots", "report", "scale"),
    ),
    "surgery": (
        ("cutting",),
        ("saving",),
        ("vocabulary", "pairing"),
        ("fusing",),
        ("inspection", "scoring", "speed"),
        ("fused_module",),
    ),
    "adaptors": (
        ("modules",),
        ("losses", "quantizing"),
        ("training",),
        ("encoders",),
        ("fitting",),
        ("choosing",),
        ("rows",),
        ("finetuning",),
        ("healing",),
        ("static", "maps"),
        ("candidates",),
        ("slimming",),
        ("adaptor_module",),
    ),
    "encoder_surgery": (
        ("shell",),
        ("probe_commands", "surgery_commands", "adaptors_commands"),
    ),
    "cli": (),
}


@dataclass(frozen=True)
class Import:
    """One import of one file, at its top, inside a function or for type checking alone."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


def modules(root: Path) -> dict[str, Path]:
    """Return every module of the product by its dotted name."""
    files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
    files += [file for package in PACKAGES if (file := root / f"{package}.py").is_file()]
    return {name_of(file.relative_to(root)): file for file in files}


def name_of(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def imports(root: Path) -> list[Import]:
    """Return all imports among the product's modules; a package's lazy names are not among them."""
    files = modules(root)
    return [
        Import(importer, imported)
        for importer, file in files.items()
        for imported in dict.fromkeys(imported_names(ast.parse(file.read_text(encoding="utf-8")), files))
        if imported != importer
    ]


def imported_names(tree: ast.Module, files: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from filter(None, (nearest_module(name, files) for name in names))


def nearest_module(name: str, files: dict[str, Path]) -> str | None:
    """Return the module that a dotted name is, or is in."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name or None


def height(module: str) -> tuple[int, int]:
    """Return how high a module stands: its package, and its room therein. A package itself stands on its rooms."""
    package, _, rest = module.partition(".")
    if rest == ENTRY_POINT:
        return len(PACKAGES), 0
    rooms = ROOMS[package]
    room = rest.partition(".")[0]
    level = next((level for level, names in enumerate(rooms) if room in names), None) if room else len(rooms)
    assert level is not None, f"{module}: the room '{room}' has no place in the order of {package}"
    return PACKAGES.index(package), level


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def wrong_way(found: list[Import]) -> list[str]:
    """Return the imports that go up, or from a room to another of the same height."""
    return [
        str(one)
        for one in found
        if height(one.imported) > height(one.importer)
        or (height(one.imported) == height(one.importer) and room_of(one.imported) != room_of(one.importer))
    ]


def circle(found: list[Import]) -> list[str]:
    """Return the modules of a circle of imports, or nothing."""
    graph: dict[str, set[str]] = {}
    for one in found:
        graph.setdefault(one.importer, set()).add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def entries(folder: Path) -> list[Path]:
    """Return what `ls` shows of a folder, caches aside."""
    return sorted(path for path in folder.iterdir() if path.name != "__pycache__" and not path.name.startswith("."))


def rooms(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        if (root / package).is_dir():
            yield from (path for path in entries(root / package) if path.is_dir())


def test_every_import_goes_down() -> None:
    assert wrong_way(imports(ROOT)) == []


def test_no_import_goes_in_a_circle() -> None:
    assert circle(imports(ROOT)) == []


def test_rooms_and_packages_are_small_and_two_levels_deep() -> None:
    for package in PACKAGES:
        if (ROOT / package).is_dir():
            shown = [path for path in entries(ROOT / package) if path.stem != ENTRY_POINT and path.name != MARKER]
            assert len(shown) <= MOST_ENTRIES, package
    for room in rooms(ROOT):
        shown = [path for path in entries(room) if path.name != "__init__.py"]
        assert len(shown) <= MOST_FILES, room
        assert [path for path in shown if path.is_dir()] == [], room


@pytest.mark.parametrize("package", ["probe", "surgery", "adaptors"])
def test_an_entry_point_calls_one_app_and_does_nothing_else(package: str) -> None:
    app = f"{package}_app"
    text = (ROOT / package / f"{ENTRY_POINT}.py").read_text(encoding="utf-8")
    docstring, *statements = ast.parse(text).body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(one) for one in statements] == [
        f"from encoder_surgery.{package}_commands.app import {app}",
        f"if __name__ == '__main__':\n    {app}(prog_name='{package}')",
    ]


def test_the_page_of_the_architecture_has_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [str(room.relative_to(ROOT)) for room in rooms(ROOT) if f"`{room.name}/`" not in page] == []


def test_every_room_says_what_lives_in_it() -> None:
    for room in rooms(ROOT):
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), room


@pytest.mark.parametrize("package", PACKAGES[:-1])
def test_no_room_or_file_of_a_package_hides_a_public_name(package: str) -> None:
    # Importing a module sets it as an attribute of its package.
    shown = {path.stem for path in entries(ROOT / package)}
    assert not shown & set(import_module(package).__all__)


@pytest.mark.parametrize("package", PACKAGES[:-1])
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError):
        module.nothing_of_this_name  # noqa: B018


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return a house of two rooms that keeps all rules, to break them in."""
    for file in ("probe/__init__.py", "probe/io/__init__.py", "probe/data/__init__.py", "probe/io/files.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "probe" / "data" / "corpus.py").write_text("from probe.io.files import read\n")
    return tmp_path


def test_a_house_that_keeps_the_rules_is_left_in_peace(toy: Path) -> None:
    assert [str(one) for one in imports(toy)] == ["probe.data.corpus -> probe.io.files"]
    assert wrong_way(imports(toy)) == circle(imports(toy)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from probe.data.corpus import scan",
        "from probe.data import corpus",
        "import probe.data.corpus",
        "def late():\n    from probe.data.corpus import scan",
        "if TYPE_CHECKING:\n    from probe.data.corpus import Corpus",
    ],
)
def test_an_import_that_goes_up_is_found_wherever_it_stands(toy: Path, line: str) -> None:
    (toy / "probe" / "io" / "files.py").write_text(line + "\n")
    assert wrong_way(imports(toy)) == ["probe.io.files -> probe.data.corpus"]
    assert set(circle(imports(toy))) == {"probe.io.files", "probe.data.corpus"}


def test_a_circle_inside_a_room_is_found(toy: Path) -> None:
    (toy / "probe" / "io" / "files.py").write_text("def late():\n    from probe.io.paths import join\n")
    (toy / "probe" / "io" / "paths.py").write_text("from probe.io.files import read\n")
    assert wrong_way(imports(toy)) == []
    assert set(circle(imports(toy))) == {"probe.io.files", "probe.io.paths"}


def test_rooms_of_the_same_height_do_not_know_each_other(toy: Path) -> None:
    for room, text in {"plots": "", "report": "from probe.plots.page import draw\n"}.items():
        (toy / "probe" / room).mkdir()
        (toy / "probe" / room / "page.py").write_text(text)
    assert wrong_way(imports(toy)) == ["probe.report.page -> probe.plots.page"]


def test_an_entry_point_imports_from_anywhere_and_is_imported_by_nobody(toy: Path) -> None:
    (toy / "probe" / "__main__.py").write_text("from encoder_surgery.shell.app import run\n")
    (toy / "encoder_surgery" / "shell").mkdir(parents=True)
    (toy / "encoder_surgery" / "shell" / "app.py").touch()
    assert wrong_way(imports(toy)) == []
    (toy / "encoder_surgery" / "shell" / "app.py").write_text("import probe.__main__\n")
    assert wrong_way(imports(toy)) == ["encoder_surgery.shell.app -> probe.__main__"]


def test_a_room_without_a_place_in_the_order_is_refused(toy: Path) -> None:
    (toy / "probe" / "cellar").mkdir()
    (toy / "probe" / "cellar" / "wine.py").write_text("from probe.io.files import read\n")
    with pytest.raises(AssertionError, match="cellar"):
        wrong_way(imports(toy))
