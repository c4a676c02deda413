"""Markdown and what its dialects add: text without markup, GitHub's anchors, links by reference."""

from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.markdown import markdown_contents, read


def texts(text: str) -> list[str]:
    return [block.text for block in markdown_contents(text).blocks]


def read_page(path: Path, text: str) -> Document:
    path.write_text(text, encoding="utf-8", newline="")
    (document,) = read(SourceFile(path, "docs/a.md"), RecordFields())
    return document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Keep **bo**ld, `code` and ~~old~~.", "Keep bold, code and old."),
        ("[![build](b.svg)](https://x.y) text", "text"),
        ("<!-- YAML\nadded: v8 -->\n\ntext", "text"),
        ("<!-- inline --> te<sup>x</sup>t", "text"),
        ("> [!NOTE]\n> text", "text"),
        ("- [ ] text", "text"),
        ("- [x] text", "text"),
        ("text[^1]", "text"),
        ("[^1]: Two words.", "Two words."),
        ("text :rocket: at 12:30:45", "text at 12:30:45"),
        ("text {: .class }", "text"),
        ("import Tabs from '@theme/Tabs';\n\ntext", "text"),
        ("export const meta = { title: 'x' };\n\ntext", "text"),
        ("::: note\ntext\n:::", "text"),
        ("::: probe.Capture\n    options:\n      heading: x\n\ntext", "text"),
        ("{% include a.html %}\n\ntext", "text"),
        ("---\n\ntext", "text"),
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
        ("1 < 2 & 3 > 2", "1 < 2 & 3 > 2"),
    ],
)
def test_text_has_no_markup(text: str, expected: str) -> None:
    assert texts(text) == [expected]


def test_lists_in_lists_and_tables_are_blocks_of_their_own() -> None:
    text = "- a\n  more\n  1. b\n  2. c\n- d\n\n| x | y |\n|---|---|\n| 1 | 2 \\| 3 |\n"
    assert [(block.text, block.kind) for block in markdown_contents(text).blocks] == [
        *((item, "list") for item in ("a more", "b", "c", "d")),
        *((row, "table") for row in ("x, y", "1, 2 | 3")),
    ]


def test_code_is_kept_as_it_is() -> None:
    text = "```js\nimport a from 'b'\n  :x: [^1] <b>{%\n```\n"
    (block,) = markdown_contents(text).blocks
    assert (block.text, block.kind) == ("import a from 'b'\n  :x: [^1] <b>{%", "code")


def test_anchors_are_those_of_github() -> None:
    text = "# What's *new* in C++?\nx\n## Setup\nx\n## Setup\nx\n## Ünïcode – dash\nx\n## Own {#mine}\nx"
    blocks = markdown_contents(text).blocks
    assert [block.anchor for block in blocks] == ["whats-new-in-c", "setup", "setup-1", "ünïcode--dash", "mine"]
    assert blocks[-1].headings == ("What's new in C++?", "Own")


def test_underlined_headings_and_levels_make_a_path() -> None:
    text = "Top\n===\n\nSub\n---\nx\n### Deep\ny\n## Next\nz"
    assert [block.headings for block in markdown_contents(text).blocks] == [
        ("Top", "Sub"),
        ("Top", "Sub", "Deep"),
        ("Top", "Next"),
    ]


def test_links_by_reference_are_resolved_and_other_sites_left_out() -> None:
    text = "[The guide][g], [there](#x), [out](https://a.b), [g]\n\n[g]: guide/a.md#b 'Title'"
    found = [(link.text, link.target) for link in markdown_contents(text).links]
    assert found == [("The guide", "guide/a.md#b"), ("there", "#x"), ("g", "guide/a.md#b")]


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("---\ntitle: Own\nlayout: x\n---\n", "Own"),
        ("---\r\ntitle: 'Own'\r\n---\r\n", "Own"),
        ("+++\ntitle = 'Own'\n+++\n", "Own"),
        ("---\nlayout: x\n---\n", "Heading"),
        ("---\n: [broken\n---\n", "Heading"),
        ("---\n---\n", "Heading"),
        ("", "Heading"),
    ],
)
def test_front_matter_gives_the_title_and_no_text(tmp_path: Path, front: str, title: str) -> None:
    found = read_page(tmp_path / "a.md", f"{front}# Heading\n\ntext\n")
    assert (found.title, [block.text for block in found.blocks]) == (title, ["text"])


def test_front_matter_runs_no_code(tmp_path: Path) -> None:
    front = "---\ntitle: !!python/object/apply:os.getcwd []\n---\n"
    assert read_page(tmp_path / "a.md", f"{front}text").title == ""


@pytest.mark.parametrize("text", [">" * 5000 + " x", "- " * 3000 + "x", "[" * 20_000, "*a " * 20_000, "<div>" * 5000])
def test_deep_nesting_ends_quickly(text: str) -> None:
    try:
        blocks = markdown_contents(text).blocks
    except UnreadableFile:
        return
    assert all(block.text for block in blocks)
