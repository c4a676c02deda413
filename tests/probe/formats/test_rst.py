"""reStructuredText is read without its markup, with the text of Sphinx's roles and directives."""

from pathlib import Path
from textwrap import dedent

import pytest

from probe.formats.rst import rst_contents


def texts(source: str) -> list[str]:
    return [block.text for block in rst_contents(dedent(source)).blocks]


def test_roles_of_sphinx_are_read_as_their_text() -> None:
    source = "See :py:func:`~a.b.go`, :ref:`the guide <guide>` and :own:`name <target>`."
    assert texts(source) == ["See go, the guide and name."]


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


def test_names_of_files_and_commands_are_shown_as_they_are() -> None:
    assert texts("Edit :file:`~/.a.b` or :file:`.profile` with :command:`vi <file>`; :mod:`!x` and :class:`.Foo`.") == [
        "Edit ~/.a.b or .profile with vi <file>; x and Foo."
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (".. note:: Mind *this*.", ["Mind this."]),
        (".. warning::\n\n   One.\n\n   Two.", ["One.", "Two."]),
        (".. admonition:: Own *title*\n\n   Body.", ["Own title: Body."]),
        (".. topic:: Topic\n\n   .. tip:: Nested.", ["Topic: Nested."]),
        (".. sidebar:: Side\n\n   Beside.", ["Side: Beside."]),
        (".. seealso:: The :func:`~a.go`.", ["The go."]),
        ("Words [1]_. More [#]_, [A1]_.\n\n.. [1] Foot.\n.. [#] Next.\n.. [A1] Cited.", None),
    ],
)
def test_notes_beside_the_text_are_read(source: str, expected: list[str] | None) -> None:
    assert texts(source) == (expected or ["Words. More, [A1].", "Foot.", "Next.", "A1: Cited."])


def test_stars_in_a_signature_are_no_markup() -> None:
    assert texts(".. py:method:: X.go(*args, **kw) -> x_\n\n   Goes.") == ["X.go(*args, **kw) -> x_: Goes."]


def test_automatic_documentation_and_other_files_lend_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    include, table = f".. include:: {tmp_path}/secret.txt", f".. csv-table::\n   :file: {tmp_path}/secret.txt"
    assert texts("\n\n".join((".. automethod:: a.b", include, table, "Text."))) == ["Text."]
