"""Read what is shown in the documentation: fenced blocks, the commands in them, links and headings."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "anchors", "links", "pages", "read_blocks", "split_command"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?:<!-- needs: (?P<needs>\w+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, where it begins, and what it needs that is not here."""

    language: str
    text: str
    line: int
    needs: str | None

    def commands(self) -> Iterator[str]:
        """Yield the commands: every line of `sh`, those after `$ ` of `console`; continued lines joined."""
        joined = self.text.replace("\\\n", " ").splitlines()
        lines = [line[2:] for line in joined if line.startswith("$ ")] if self.language == "console" else joined
        yield from (line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def pages() -> list[Path]:
    """Return the README and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], text.count("\n", 0, found.start()) + 1, found["needs"])
        for found in _FENCE.finditer(text)
    ]


def split_command(line: str) -> tuple[list[str], str | None]:
    """Return a command's words without its comment, and the file its output goes to."""
    words = shlex.split(line, comments=True)
    if ">" in words:
        at = words.index(">")
        return words[:at], words[at + 1]
    return words, None


def links(page: Path) -> list[str]:
    """Return where a page's links lead, code left aside."""
    return _LINK.findall(_without_code(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    return {
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in _HEADING.findall(_without_fences(page))
    }


def _without_fences(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _without_code(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "code", _without_fences(page))
