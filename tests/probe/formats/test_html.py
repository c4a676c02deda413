"""Pages: text by headings, without navigation, with spaces where a browser shows them."""

from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import html_contents, read


def texts(html: str) -> list[str]:
    return [block.text for block in html_contents(html).blocks]


def read_page(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    (document,) = read(SourceFile(path, "docs/page.html"), RecordFields())
    return document


def test_inline_elements_join_and_blocks_separate() -> None:
    assert texts("<p><b>a</b>b <i>c</i><br>d</p><div>e</div>f") == ["ab c d", "e", "f"]


def test_cells_of_a_row_are_separated_and_empty_ones_left_out() -> None:
    row = "<table><tr><th>name</th>\n<th>size</th></tr><tr><td>a</td><td> </td><td>b</td></tr></table>"
    blocks = html_contents(row).blocks
    assert [(block.text, block.kind) for block in blocks] == [("name, size", "table"), ("a, b", "table")]


def test_headings_make_a_path_and_ids_are_anchors() -> None:
    page = "<h1>Top</h1><section id=one><h2>One<a class=headerlink href=#one>¶</a></h2><p>x</p></section><h2>Two</h2>y"
    found = [(block.text, block.headings, block.anchor) for block in html_contents(page).blocks]
    assert found == [("x", ("Top", "One"), "one"), ("y", ("Top", "Two"), "")]


def test_id_of_a_paragraph_is_no_anchor_of_a_later_heading() -> None:
    assert html_contents("<p id=far>x</p><h2>Two</h2><p>y</p>").blocks[1].anchor == ""


def test_id_of_a_mark_in_a_heading_is_its_anchor() -> None:
    page = "<div id=content><h2>Class<span><a class=mark id=class href=#class>#</a></span></h2><p>x</p></div>"
    assert html_contents(page).blocks[0].anchor == "class"


@pytest.mark.parametrize("heading", ["Visual C#", "Issue #12"])
def test_sharp_of_a_heading_stays(heading: str) -> None:
    assert html_contents(f"<h1>{heading} <a href=#x>¶</a></h1>y").blocks[0].headings == (heading,)


@pytest.mark.parametrize(
    "part",
    [
        "<nav>menu</nav>",
        "<footer>menu</footer>",
        "<div role=navigation>menu</div>",
        "<div class='x sidebar'>menu</div>",
        "<form>menu</form>",
        "<p hidden>menu</p>",
        "<ul><li><a href=a.html>A</a></li><li><a href=b.html>B</a></li><li><a href=c.html>C</a></li></ul>",
        "<ul><li><a href=#a>A</a></li></ul>",
        "<p>Next: <a href=a.html>First steps</a>, Up: <a href=b.html>Manual</a> [<a href=i.html>Index</a>]</p>",
    ],
)
def test_navigation_is_left_out_and_counted(part: str) -> None:
    found = html_contents(f"<body>{part}<h1>T</h1><p>text</p></body>")
    assert [block.text for block in found.blocks] == ["text"]
    assert found.dropped == 1


def test_scripts_styles_and_comments_are_no_text() -> None:
    assert texts("<style>a</style><script>b</script><!-- c --><p>d</p><template>e</template>") == ["d"]


def test_links_in_a_paragraph_and_two_in_a_list_stay() -> None:
    page = "<p><a href=a.html>A guide</a> to it</p><ul><li><a href=b.html>B</a></li><li><a href=c.html>C</a></li></ul>"
    assert texts(page) == ["A guide to it", "B", "C"]


def test_heading_of_a_table_of_contents_goes_with_it() -> None:
    page = "<h1>T</h1><h2>Contents</h2><ul><li><a href=#a>A</a></li></ul><h3 id=a>A</h3><p>text</p>"
    assert html_contents(page).blocks[0].headings == ("T", "A")


def test_links_of_the_same_site_have_their_text_and_target_as_written() -> None:
    page = (
        "<a href='../a.html#b'>The <b>A</b></a> <a href='http://x.y'>x</a> <a href='mailto:a@b'>m</a> <a href=#c>C</a>"
    )
    assert [(link.text, link.target) for link in html_contents(page).links] == [("The A", "../a.html#b"), ("C", "#c")]


def test_terms_stand_before_their_descriptions() -> None:
    assert texts("<dl><dt>-a</dt><dt>--all<a href=#all>¶</a></dt><dd>Show all.</dd></dl>") == ["-a, --all: Show all."]


def test_code_keeps_its_lines_and_lone_inline_code_is_code() -> None:
    blocks = html_contents("<pre>if x:\n    y\n</pre><p><code>npm install</code></p><p>Run <code>it</code></p>").blocks
    assert [(block.text, block.kind) for block in blocks] == [
        ("if x:\n    y", "code"),
        ("npm install", "code"),
        ("Run it", "prose"),
    ]


def test_statements_of_templates_are_dropped_and_expressions_lend_nothing() -> None:
    blocks = html_contents("<p>{% block x %}</p><p>{% if a %}text{% endif %}</p><p>Hello {{ name }}</p>").blocks
    assert [(block.text, block.kind) for block in blocks] == [("text", "prose"), ("Hello {{ name }}", "code")]


def test_single_main_element_is_read_alone() -> None:
    assert texts("<div>Site</div><main><p>text</p></main>") == ["text"]


@pytest.mark.parametrize(
    ("title", "heading", "expected"),
    [
        ("Install — Kites 1.0", "Install", "Install"),
        ("Kites | Install", "Install", "Install"),
        ("Well-known - Kites", "Other", "Well-known - Kites"),
        ("", "Install", "Install"),
    ],
)
def test_title_loses_the_name_of_the_site_if_the_heading_says_so(title: str, heading: str, expected: str) -> None:
    assert html_contents(f"<title>{title}</title><h1>{heading}</h1>x").title == expected


def test_declared_encoding_is_used(tmp_path: Path) -> None:
    page = "<meta charset=iso-8859-2><p>zauważyli łódź</p>".encode("iso-8859-2")
    assert read_page(tmp_path / "a.html", page).blocks[0].text == "zauważyli łódź"


def test_encoding_declared_the_old_way_is_used(tmp_path: Path) -> None:
    head = "<meta http-equiv=Content-Type content='text/html; charset=shift_jis'>"
    assert read_page(tmp_path / "a.html", f"{head}<p>日本語</p>".encode("shift_jis")).blocks[0].text == "日本語"


def test_redirects_are_no_documents(tmp_path: Path) -> None:
    page = b"<meta http-equiv='refresh' content='0;URL=../b.html'><p>Redirecting to b</p>"
    with pytest.raises(UnreadableFile, match="redirects"):
        read_page(tmp_path / "a.html", page)


def test_deep_nesting_is_refused_quickly() -> None:
    with pytest.raises(UnreadableFile, match="nested too deeply"):
        html_contents("<div>x" * 20_000)
