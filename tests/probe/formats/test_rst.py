"""reStructuredText is read without its markup, with the text of Sphinx's roles and directives."""

from pathlib import Path
from textwrap import dedent

from probe.formats.rst import rst_contents


def texts(source: str) -> list[str]:
    return [block.text for block in rst_contents(dedent(source)).blocks]


def test_roles_of_sphinx_are_read_as_their_text() -> None:
    source = "See :py:func:`~a.b.go`, :ref:`the guide <guide>` and :own:`name <target>`."
    assert texts(source) == ["See a.b.go, the guide and name."]


def test_comments_targets_and_substitutions_leave_no_marks() -> None:
    source = """\
        .. a comment
        .. _target:

        Hello |name|.

        .. |name| replace:: World
        """
    assert texts(source) == ["Hello World."]


def test_a_note_on_a_version_is_read_as_prose_without_the_version() -> None:
    source = """\
        .. versionadded:: 3.4
           Text with :command:`roles` and ``code``,
           over two lines.

        .. deprecated:: 1.0
        """
    assert texts(source) == ["Text with roles and code, over two lines."]


def test_conditions_and_figures_lend_their_content() -> None:
    source = """\
        .. only:: html

           For pages.

        .. figure:: x.png

           The caption.
        """
    assert texts(source) == ["For pages.", "The caption."]


def test_described_objects_and_options_become_terms_with_explanations() -> None:
    source = """\
        .. class:: Foo(a)

           Describes Foo.

        :returns: nothing

        -x, --long  explained
        """
    found = rst_contents(dedent(source)).blocks
    assert [block.text for block in found] == ["Foo(a): Describes Foo.", "returns: nothing", "-x, --long: explained"]
    assert {block.kind for block in found} == {"list"}


def test_a_class_for_the_style_of_a_paragraph_is_no_text() -> None:
    assert texts(".. class:: wide\n\nA paragraph.") == ["A paragraph."]


def test_automatic_documentation_and_other_files_lend_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    include, table = f".. include:: {tmp_path}/secret.txt", f".. csv-table::\n   :file: {tmp_path}/secret.txt"
    assert texts("\n\n".join((".. automethod:: a.b", include, table, "Text."))) == ["Text."]
