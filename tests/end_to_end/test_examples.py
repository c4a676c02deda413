"""Every example of the README and the documentation, run in the order of its page; every `--help` shows one of them."""

import ast
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pages
import pytest
from doc_blocks import ROOT, Block, read_blocks, split_command
from doc_blocks import pages as all_pages
from small_examples import shrink_examples
from typer.testing import CliRunner

import cli

COMMANDS = pages.commands()
BLOCKS = [(page, block) for page in all_pages() for block in read_blocks(page)]
RUN, SHOWN = {"sh", "console", "python"}, {"", "text", "json", "yaml"}
# What an example may need that is not here; it is then checked for its options alone.
NEEDS = {"network", "install"}
MOST_LEFT_OUT = 16
OURS = {"probe", "surgery", "adaptors", "encoder_surgery"}
# Packages of the extra `dev` that an example imports.
OF_DEV = ("onnxruntime",)

each_page = pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="module", autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, quick_checks: None) -> Iterator[None]:
    """Little work, and one store for all pages."""
    with shrink_examples(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a README, a folder of documents and a file of pairs; short ones, for they are encoded."""
    pairs = [f'{{"anchor": "{word}", "positive": "{word} and more"}}' for word in ("sun", "ice", "oil", "day")]
    (tmp_path / "pairs.jsonl").write_text("\n".join(pairs), encoding="utf-8")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "adding.md", tmp_path / "README.md")
    for name in ("reproduction", "concepts", "trust", "serve", "tune"):
        shutil.copy(ROOT / "docs" / f"{name}.md", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@each_page
def test_every_example_of_a_page_runs(page: Path, desk: Path) -> None:
    for block in read_blocks(page):
        place = f"{page.name}:{block.line}"
        assert block.language in RUN | SHOWN, f"{place}: no test knows how to run {block.language}"
        if block.language == "python":
            run_python(block, place)
        elif block.language in RUN:
            for line in block.commands():
                run_line(line, block.needs, f"{place}: {line}")


def run_python(block: Block, place: str) -> None:
    """Run a block of Python, or only what it imports of ours."""
    for package in OF_DEV:
        if f"import {package}" in block.text:
            pytest.importorskip(package, reason=f"{place}: {package} is not installed: extra 'dev'")
    tree = ast.parse(block.text)
    if block.needs is not None:
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in OURS]
        tree = ast.Module(list(imports), [])
    exec(compile(tree, place, "exec"), {"__name__": "__main__"})


def run_line(line: str, needs: str | None, place: str) -> None:
    """Run a command of ours, or check of another that what it names is there."""
    words, output = split_command(line)
    program = words[0]
    if program not in CHECKS and program not in COMMANDS:
        pytest.fail(f"{place}: no test knows how to check {program}")
    if program in CHECKS:
        CHECKS[program](words, place)
    elif needs is not None:
        assert parses(words), place
    else:
        done = CliRunner().invoke(getattr(cli, f"{program}_app"), words[1:], prog_name=program)
        assert done.exit_code == 0, f"{place}\n{done.output}"
        if output is not None:
            Path(output).write_text(done.stdout, encoding="utf-8")


def parses(words: list[str]) -> bool:
    """Whether a command takes these options; nothing is run."""
    name = next(" ".join(words[:count]) for count in (3, 2) if " ".join(words[:count]) in COMMANDS)
    context = COMMANDS[name].make_context(name, words[len(name.split()) :])
    return context.command is COMMANDS[name]


def check_make(words: list[str], place: str) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert set(words[1:]) <= set(targets), place


def check_pip(words: list[str], place: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.fullmatch(r"(?:\.|encoder-surgery)(?:\[([\w,-]+)])?", words[-1])
    assert words[:2] == ["pip", "install"], place
    assert named, place
    assert set((named[1] or "offline").split(",")) <= set(extras), place


CHECKS: dict[str, Callable[[list[str], str], None]] = {"make": check_make, "pip": check_pip}


def test_few_examples_are_left_out_and_each_says_why() -> None:
    left_out = [f"{page.name}:{block.line}" for page, block in BLOCKS if block.needs is not None]
    assert {block.needs for _, block in BLOCKS} <= {None, *NEEDS}
    assert len(left_out) <= MOST_LEFT_OUT, left_out
    marks = sum(page.read_text(encoding="utf-8").count("<!-- needs: ") for page in all_pages())
    assert marks == len(left_out), "a mark stands before no block"


def test_every_example_of_a_help_is_on_a_page() -> None:
    shown = {line for _, block in BLOCKS if block.language == "sh" for line in block.commands()}
    assert {command.epilog.removeprefix("Example: ") for command in COMMANDS.values()} <= shown


def test_no_fence_is_missed() -> None:
    for page in all_pages():
        fences = len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.M))
        assert fences == 2 * len(read_blocks(page)), page


def test_a_wrong_option_of_an_example_that_is_not_run_is_seen() -> None:
    with pytest.raises(Exception, match="--colour"):
        parses(["probe", "layers", "--colour", "red"])


@pytest.mark.parametrize(
    "line",
    ["probe layers --model arctic-m", "surgery cut --after 5", "probe layers --model minilm", "probe layers minilm"],
)
def test_the_first_commands_anybody_types_are_calls(line: str) -> None:
    assert parses(line.split())
