"""Readers of source code: comments and docstrings come with the function they describe, without marks or licences."""

from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.source_code import read


def read_code(folder: Path, name: str, text: str) -> Document:
    (folder / name).write_text(text, encoding="utf-8")
    (document,) = read(SourceFile(folder / name, f"src/{name}"), RecordFields())
    return document


def texts(document: Document) -> list[tuple[str, str]]:
    return [(">".join(block.headings), block.text) for block in document.blocks]


PYTHON = '''#!/usr/bin/env python
# -*- coding: utf-8 -*-
# Copyright (c) 2020 Somebody. Licensed under the MIT licence.
"""Tools for kites and their strings."""

raise SystemExit("never run")

class Kite:
    """A kite with a :class:`~wind.Tail`.

    :param str colour: The colour of the *cloth*
        and of the tail.
    :rtype: Kite
    """

    # The limit holds for calm days only.
    LIMIT = 3

    def fly(self, height, wind=None):
        """Fly as high as the string allows.

        Parameters
        ----------
        height : int, optional
            Height above the ground in metres.

        Returns
        -------
        bool
            Whether the kite has left the ground.

        Examples
        --------
        >>> kite.fly(3)
        True
        """
        # Strong winds tear the string, so it is let out slowly.
        return height  # noqa: E501

def land(speed):
    """Land on soft ground.

    Args:
        speed (float): Speed of the descent in metres
            per second.

    Raises:
        ValueError: If the speed is not a positive number.
    """
'''


def test_python_gives_docstrings_and_comments_under_class_and_function(tmp_path: Path) -> None:
    document = read_code(tmp_path, "kite.py", PYTHON)
    assert texts(document) == [
        ("", "Tools for kites and their strings."),
        ("Kite", "A kite with a Tail."),
        ("Kite", "colour: The colour of the cloth and of the tail."),
        ("Kite", "The limit holds for calm days only."),
        ("Kite>fly", "Fly as high as the string allows."),
        ("Kite>fly", "height (int, optional): Height above the ground in metres."),
        ("Kite>fly", "bool: Whether the kite has left the ground."),
        ("Kite>fly", ">>> kite.fly(3)\nTrue"),
        ("Kite>fly", "Strong winds tear the string, so it is let out slowly."),
        ("land", "Land on soft ground."),
        ("land", "speed (float): Speed of the descent in metres per second."),
        ("land", "ValueError: If the speed is not a positive number."),
    ]
    assert [block.kind for block in document.blocks if block.text.startswith(">>>")] == ["code"]
    assert (document.title, document.id, document.dropped) == ("kite.py", "src/kite.py", 1)


def test_python_with_a_syntax_error_is_read_by_its_tokens(tmp_path: Path) -> None:
    code = 'def old():\n    """Print the result as Python 2 does."""\n    print "x"\n'
    assert texts(read_code(tmp_path, "old.py", code)) == [("old", "Print the result as Python 2 does.")]


JAVA = """/*
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 */
package sky;

/**
 * A <b>kite</b> in the sky, see {@link Wind#force the wind}.
 */
public class Kite {
    /**
     * Lets the string out slowly.
     *
     * @param metres how much of the string to let out
     * @return whether the kite still flies
     * @since 1.2
     */
    @Override
    public boolean release(int metres) {
        // Never more than there is on the reel.
        return metres < left;
    }
}
"""


def test_javadoc_is_plain_text_under_class_and_method(tmp_path: Path) -> None:
    document = read_code(tmp_path, "Kite.java", JAVA)
    assert texts(document) == [
        ("Kite", "A kite in the sky, see Wind#force the wind."),
        ("Kite>release", "Lets the string out slowly."),
        ("Kite>release", "metres: how much of the string to let out"),
        ("Kite>release", "Returns: whether the kite still flies"),
        ("Kite>release", "Never more than there is on the reel."),
    ]
    assert document.dropped == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.js", "// Lets the kite fly\n// in strong winds.\nfunction fly() {\n}\n"),
        ("b.js", "/**\n * Lets the kite fly\n * in strong winds.\n */\nconst fly = async (wind) => {\n};\n"),
        ("a.ts", "/** Lets the kite fly in strong winds. */\nexport default class fly<T> {\n}\n"),
        ("a.c", "/* Lets the kite fly\n   in strong winds. */\nstatic int\nfly(int wind)\n{\n}\n"),
        ("a.cpp", "/// Lets the kite fly in strong winds.\ntemplate <class T>\nclass EXPORT_API fly {\n};\n"),
        ("a.go", "// Lets the kite fly in strong winds.\nfunc (k *Kite) fly() error {\n}\n"),
        ("a.rs", "/// Lets the kite fly in strong winds.\n#[inline]\npub(crate) fn fly() {}\n"),
        ("a.rb", "# Lets the kite fly\n# in strong winds.\ndef fly\nend\n"),
        ("a.sh", "#!/bin/sh\n# Lets the kite fly in strong winds.\nfly() {\n:\n}\n"),
        ("a.R", "#' Lets the kite fly in strong winds.\nfly <- function(x) x\n"),
        ("a.sql", "-- Lets the kite fly in strong winds.\nCREATE TABLE fly (id int);\n"),
        ("a.lua", "--- Lets the kite fly in strong winds.\nlocal function fly()\nend\n"),
        ("a.php", "<?php\n/**\n * Lets the kite fly in strong winds.\n */\nfunction fly() {}\n"),
        ("a.cs", "/// <summary>\n/// Lets the kite fly in strong winds.\n/// </summary>\npublic class fly {}\n"),
        ("a.kt", "/** Lets the kite fly in strong winds. */\nfun fly() {}\n"),
        ("a.swift", "/// Lets the kite fly in strong winds.\npublic func fly() {}\n"),
        (
            "a.pm",
            "use strict;\nmy $x;\n\n=pod\n\nLets the B<kite> L<fly|perl> in strong winds.\n\n=cut\nsub fly { }\n",
        ),
        ("a.hs", "-- | Lets the kite fly in strong winds.\nmodule fly where\n"),
    ],
)
def test_comments_of_many_languages_come_with_what_follows(tmp_path: Path, name: str, code: str) -> None:
    assert texts(read_code(tmp_path, name, code)) == [("fly", "Lets the kite fly in strong winds.")]


def test_a_comment_between_functions_belongs_to_neither(tmp_path: Path) -> None:
    code = (
        "int fly(int x)\n{\n    return x;\n}\n\n"
        "/* All of the following is only for calm days. */\n\nint land(int x)\n{\n}\n"
    )
    assert texts(read_code(tmp_path, "a.c", code)) == [("", "All of the following is only for calm days.")]


def test_angle_brackets_and_powers_are_kept(tmp_path: Path) -> None:
    code = "// Returns a vector<T> with the `map<K, V>` of at most 2**32 or 10**k kites in the sky.\nint x;\n"
    (block,) = read_code(tmp_path, "a.cpp", code).blocks
    assert block.text == "Returns a vector<T> with the map<K, V> of at most 2**32 or 10**k kites in the sky."


def test_code_in_comments_rules_and_notices_to_tools_are_no_text(tmp_path: Path) -> None:
    code = (
        "// eslint-disable-next-line no-console because of the tests\n\n// ------------------\n\n"
        "// let x = f(a); if (x[0] == y) { return g(x); }\n\n// The kites are sorted by their colour.\nlet x = 3\n"
    )
    assert texts(read_code(tmp_path, "a.js", code)) == [("", "The kites are sorted by their colour.")]


def test_a_licence_is_dropped_and_the_description_below_it_kept(tmp_path: Path) -> None:
    code = (
        "# SPDX-License-Identifier: MIT\n# Counts the kites in the sky.\n#\n"
        "# Permission is hereby granted, free of charge, to any person.\nx=1\n"
    )
    document = read_code(tmp_path, "a.sh", code)
    assert (texts(document), document.dropped) == ([("", "Counts the kites in the sky.")], 1)


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("a.py", "x = 1\n", "without comments or docstrings"),
        ("a.js", "/* A library for flying kites */" + "a=b;" * 1000, "minified"),
        (
            "a.go",
            "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage x\n// The kites of the sky.\n",
            "generated",
        ),
        ("a.c", "// The kites of the whole sky.\n" * 80_000, "larger than 2 MiB"),
    ],
)
def test_files_without_anything_to_read_say_why(tmp_path: Path, name: str, code: str, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read_code(tmp_path, name, code)
