"""The documentation: it builds without a warning, its links lead somewhere, and its pages say what the code says."""

import ast
import json
import logging
import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pages
import pytest
from doc_blocks import ROOT, anchors, links
from doc_blocks import pages as all_pages
from slim_results import make_slim
from tiny_data import make_dataset, write_lines
from typer.testing import CliRunner

import cli
from probe.results.classification import ClassificationRow
from probe.results.gate import GateRow
from probe.results.geometry import GeometryRow
from probe.results.leaderboard import Row
from probe.results.load import _KINDS
from probe.results.query_examples import Example, Examples, Finding
from probe.results.row import Retention
from probe.results.similarity import SimilarityRow
from probe.results.slim import SlimRow
from probe.scale.plan import PlannedModel, PlanRow, SearchCost, SweepCost, Workload
from probe.scale.rate import Rate
from probe.store.forecast import StoreForecast

COMMANDS = pages.commands()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The built site, and what MkDocs and its plugins warned of."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    warned: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warned.append(record.getMessage())  # type: ignore[method-assign]
    folder = tmp_path_factory.mktemp("site")
    logging.getLogger("mkdocs").addHandler(handler)
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=False))
    finally:
        logging.getLogger("mkdocs").removeHandler(handler)
    return folder, warned


def test_the_site_builds_without_a_warning(site: tuple[Path, list[str]]) -> None:
    folder, warned = site
    assert warned == []
    made = {path.relative_to(folder) for path in folder.rglob("*.html")}
    assert {path.relative_to(ROOT / "docs").with_suffix(".html") for path in all_pages()[1:]} <= made


def test_a_warning_fails_make_docs() -> None:
    assert "\nstrict: true\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_the_site_asks_no_other_site_for_anything(site: tuple[Path, list[str]]) -> None:
    fetched = re.compile(
        r"""<(?:script|link|img)[^>]+(?:src|href)=["']?(?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
    )
    files = [*site[0].rglob("*.html"), *site[0].rglob("*.css")]
    assert [path for path in files if fetched.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [fault for link in links(page) if (fault := find_fault(page, link))] == []


def find_fault(page: Path, link: str) -> str | None:
    """Return what is wrong with a link; those to other sites are only read, not followed."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None if parts.scheme == "https" and "." in parts.netloc else f"{link}: expected https://host/..."
    target = page.parent / parts.path if parts.path else page
    if not target.exists():
        return f"{link}: there is no {target.relative_to(ROOT)}"
    if parts.fragment and parts.fragment not in anchors(target):
        return f"{link}: no heading of {target.name} has the anchor #{parts.fragment}"
    return None


def test_the_pages_that_follow_from_the_code_are_up_to_date() -> None:
    assert pages.stale_pages() == []


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_ends_with_an_example_of_that_command(words: str) -> None:
    program, *rest = words.split()
    shown = CliRunner().invoke(getattr(cli, f"{program}_app"), [*rest, "--help"], prog_name=program).stdout.splitlines()
    last = [line.strip() for line in shown if line.strip()][-3:]
    assert any(line.startswith(f"Example: {words}") for line in last)


@pytest.mark.parametrize(
    "page",
    [ROOT / "docs" / f"{name}.md" for name in ("adding", "architecture", "reproduction")],
    ids=lambda page: page.name,
)
def test_the_files_and_names_a_page_speaks_of_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = re.findall(r"`((?:probe|surgery|adaptors|encoder_surgery|tests|benchmarks|docs)/[\w./]+\.\w+)`", text)
    assert files or page.name != "adding.md"
    assert [file for file in files if not (ROOT / file).is_file()] == []
    named = re.findall(r"`(_?[A-Z_]{4,})` (?:of|in) `([\w./]+)`", text)
    assert [name for name, file in named if not re.search(rf"^{name}\b", (ROOT / file).read_text(), re.M)] == []


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+(?![\w-])")
# Options of other programs: ray, torchrun, pip, ruff, mkdocs, twine, a server, our benchmarks; typer adds --help.
OTHERS = {"--help", "--head", "--port", "--nproc-per-node", "--no-python", "--force-reinstall", "--check", "--strict"}
OTHERS |= {"--default-prompt-name", "--only"}
PANDOC = {"--metadata", "--sandbox", "--standalone", "--from", "--to", "--wrap"}


def test_every_option_that_a_page_or_a_message_names_is_there() -> None:
    known = {name for command in COMMANDS.values() for one in command.params for name in one.opts} | OTHERS | PANDOC
    texts = [(page, page.read_text(encoding="utf-8")) for page in (*all_pages(), ROOT / "CONTRIBUTING.md")]
    for package in ("probe", "surgery", "adaptors", "encoder_surgery"):
        for file in sorted((ROOT / package).rglob("*.py")):
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            words = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            texts.append((file, "\n".join(words)))
    unknown = {f"{file.relative_to(ROOT)}: {name}" for file, text in texts for name in OPTION.findall(text)}
    assert sorted(one for one in unknown if one.rpartition(" ")[2] not in known) == []


RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
ASKED = {
    "leaderboard": ["rank", "minilm", "minilm@0"],
    "geometry": ["geometry", "--model", "minilm", "--layers", "0,6"],
    "classify": ["classify", "--layers", "6", "--folds", "2"],
    "similarity": ["similarity", "--layers", "6"],
    "gate": ["gate", "minilm@0", "--baseline", "minilm"],
}


@pytest.mark.parametrize("kind", sorted({*_KINDS} - {"slim"}))
def test_results_names_every_key_of_a_result(kind: str, tmp_path: Path) -> None:
    texts = [f"{word} is {word} again,{len(word) % 2}" for word in ("ice", "fire", "rain", "storm") * 3]
    numbered = [f"{number} {text}" for number, text in enumerate(texts)]
    data = {
        "classify": write_lines(tmp_path / "t.csv", ["text,label", *numbered]),
        "similarity": write_lines(tmp_path / "p.csv", ["sentence1,sentence2,score", "a,b,1", "a,c,2", "b,c,3"]),
    }.get(kind) or make_dataset(tmp_path / "tiny")
    asked = [*ASKED[kind], "-d", str(data), "--no-store", "-f", "json"]
    board = json.loads(CliRunner().invoke(cli.probe_app, asked).stdout)
    assert board["kind"] == kind
    assert [key for key in (*board, *board["settings"]) if f"`{key}`" not in RESULTS] == []


def test_results_names_every_key_of_a_search() -> None:
    result = make_slim().to_dict()
    assert [key for key in (*result, *result["settings"]) if f"`{key}`" not in RESULTS] == []


PLANNED = [PlannedModel, Workload, Rate, SweepCost, StoreForecast, SearchCost, PlanRow]
DESCRIBED = [
    Row,
    Retention,
    GeometryRow,
    ClassificationRow,
    SimilarityRow,
    SlimRow,
    GateRow,
    Examples,
    Example,
    Finding,
    *PLANNED,
]


@pytest.mark.parametrize("described", DESCRIBED)
def test_results_explains_every_field(described: Any) -> None:
    mark = f"<!-- fields of {described.__module__}.{described.__name__} -->"
    table = RESULTS.partition(mark)[2].partition("<!-- end of fields -->")[0]
    explained = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", table, re.M)
    assert explained == [field.name for field in fields(described)]


def test_every_kind_of_adaptor_is_explained() -> None:
    from adaptors.fitting.kinds import KINDS

    text = (ROOT / "docs" / "commands" / "adaptors-fit.md").read_text(encoding="utf-8")
    assert [name for name, kind in KINDS.items() if kind.is_default and f"`{name}`" not in text] == []


def test_the_faq_quotes_messages_of_the_code() -> None:
    quoted = re.findall(r"^### `([^`]+)`$", (ROOT / "docs" / "faq.md").read_text(encoding="utf-8"), re.M)
    said = "\n".join(text for package in PACKAGES for file in (ROOT / package).rglob("*.py") for text in strings(file))
    assert len(quoted) >= 20
    assert [message for message in quoted if message not in said] == []


PACKAGES = ("probe", "surgery", "adaptors", "encoder_surgery")


def strings(file: Path) -> list[str]:
    """Return the strings of a file, joined as Python joins them; values that are put in stand as `{}`."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found
