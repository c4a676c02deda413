"""Comments of source code as blocks of plain text: without their marks, licences, tags and commented-out code."""

import inspect
import re
from collections.abc import Sequence

from probe.formats.document import Block, UnreadableFile
from probe.formats.html import Contents
from probe.formats.markdown import markdown_contents
from probe.formats.rst import rst_contents

__all__ = ["comment_blocks", "docstring_blocks", "is_generated", "strip_licence", "strip_marks"]

_FEWEST_WORDS = 4
# Of texts in scripts without spaces between words.
_FEWEST_LETTERS = 10
_PUNCTUATION = ".,;:!?()\"'`\u2018\u2019\u201c\u201d-/"
_MOST_MARKS = 0.1
_OPENING = re.compile(
    r"^[ \t]*(?:/\*+[*!<]*|\*+/|\*+(?![*\w])|/{2,}[!<]*"
    r"|\#+[!:|'~]?|-{2,}(?: [|^]|\[*=*\[?)|;+|%+[{']?|\"{3}|'{3}|\{-+|\(\*+|=begin|=end|REM\b)?[ \t]?",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\s*(?:\*+/|\]=*\]|\"{3}|'{3}|-\}|\*+\)|(?<=\s)[*#/;]{2,}|(?<=\s)[*#])?\s*$")
_RULE = re.compile(r"^[\W_]*$")
_NOTICE = re.compile(
    r"-\*-|^\s*(?:vim?:|ex:|@?(?:ts|eslint|jshint|jslint|jscs|prettier|istanbul|c8|v8|webpack|tslint|flow|biome|rubocop"
    r"|clang-format|NOLINT|lint)\b[-:@ ]|#?\s*source(?:Mapping)?URL=|type:\s*ignore|no(?:qa|sec|lint)\b|pylint:|mypy:|"
    r"pragma\b|fmt:|isort:|<reference\b|shellcheck |phpcs:|go:|\+build|sourceMappingURL)",
    re.IGNORECASE,
)
# Sentences of licences and copyright notices. None of them is written about anything else.
_LICENCE = re.compile(
    r"SPDX-License-Identifier|SPDX-FileCopyrightText|copyright\s+(?:\(c\)|©|&copy;|\d{4}|\[?yyyy)"
    r"|\(c\)\s*(?:copyright\s+)?(?:19|20)\d\d"
    r"|^\W*:?copyright\b|^\W*@?licen[sc]e:?\s|licen[sc]ed under|all rights reserved"
    r"|you may (?:not use this file|obtain a copy of the licen)"
    r"|unless required by applicable law|permission is hereby granted|permission to use, copy|above copyright notice"
    r"|redistribution and use in source|redistributions? (?:in binary form|of source code)|copyright and licen[sc]e"
    r"|is provided \W*as[ -]is|without (?:even the implied )?warrant|(?:is|be) free software|general public licen[sc]e"
    r"|(?:see|in) the (?:accompanying )?\W*licen[sc]e\W* (?:file|for|in the)"
    r"|released (?:under|into) the|this file is part of"
    r"|public domain$|see copyright for|see licen[sc]e file|licenses/LICENSE"
    r"|under the terms of the|governed by a \S+ licen[sc]e|distributed under the|in no event (?:shall|will)",
    re.IGNORECASE | re.MULTILINE,
)
# Lines that stand directly above or below other text.
_LICENCE_LINE = re.compile(
    r"^\W*(?:SPDX-\S+:|(?:Portions )?Copyright\b|\(c\) (?:19|20)|Authors?:|@author\b|:copyright:|:licen[sc]e:).*$",
    re.IGNORECASE | re.MULTILINE,
)
_GENERATED = re.compile(
    r"@generated\b|(?:\b(?:file|code|header|module)\W+(?:(?:is|was|has been)\W+)?|^\W*)"
    r"(?:auto|automatically)[- ]?generated\b(?= (?:by|from|file|code|using|with|on)\b|\W*$|[.!,])"
    r"|\bcode generated\b|\bgenerated (?:file|code)\b"
    r"|\b(?:file|code|header|module) (?:is|was|has been) (?:\w+ )?(?:generated|created|built) (?:by|from)"
    r"|\bdo not (?:edit|modify)\W+generated (?:by|from)\b"
    r"|\bgenerated (?:by|from) [\s\S]{0,200}?do not (?:edit|modify|change)",
    re.IGNORECASE | re.MULTILINE,
)
_HTML_TAG = (
    r"</?(?:p|code|pre|b|i|em|strong|ul|ol|li|a|tt|br|h\d|table|tr|td|th|dl|dt|dd|div|span|blockquote|var|sup|sub)\b"
)
_NO_TAG = re.compile(rf"<(?!{_HTML_TAG[1:]}[^<]*>)", re.IGNORECASE)
# Stand for `<` where it opens no tag and for `**` between numbers, as escapes would be shown in code spans.
_LESS_THAN = "\ue000"
_POWER = "\ue001"
_TAGS = (
    (re.compile(r"(?<=\w)\*\*(?=\w)"), _POWER),
    (re.compile(r"^=(?:head\d|item)[ \t]+(.*)$", re.MULTILINE), r"\n\1\n"),
    (re.compile(r"^=\w+.*$", re.MULTILINE), ""),
    (re.compile(r"\b[BCFILSXZ]<+\s*(?:([^<>|]*)\|)?([^<>]*?)\s*>+(?![\w(])"), lambda found: found[1] or found[2]),
    (re.compile(r"(?<!\S)[-=*#~+]{4,}|[-=*#~+]{4,}(?!\S)"), " "),
    (re.compile(r"^\s*@(\w+):(?=\s)", re.MULTILINE), r"\n- \1:"),
    (re.compile(r"\{@(?:link|linkplain|code|literal|value|inheritDoc)\s*#?([^}|]*?)(?:\|[^}]*)?\}"), r"\1"),
    (re.compile(r"</?(?:summary|remarks|para|returns|value|see\w*|c|code|paramref)\b[^<>]*>"), " "),
    (re.compile(r"<(?:type)?param name=\W?(\w+)\W?>(.*?)</(?:type)?param>", re.DOTALL), r"\n- \1: \2"),
    (
        re.compile(
            r"^\s*[@\\](?:t?param|arg|argument|prop|property|throws?|exception|raises?|typeparam|field|retval)"
            r"(?:\[[\w, ]+\])?\s+(?:\{[^}\n]*\}+\s*)?(?:[\w\\|\[\]<>?]+\s+(?=\$))?"
            r"\[?([$\w.*<>\\|\[\]-]+?)(?:=[^\]\n]*)?\]?(?=\s|$)(?:[ \t]+-)?",
            re.MULTILINE,
        ),
        r"\n- \1:",
    ),
    (
        re.compile(r"^\s*[@\\](?:returns?|result|yields?)\b[ \t]*(?:\{[^}\n]*\}+)?[ \t]*(?=\S)", re.MULTILINE),
        "\n- Returns: ",
    ),
    (
        re.compile(
            r"^\s*[@\\](?:brief|details|summary|description|desc|notes?|remarks?|file(?:overview)?"
            r"|overview|short|title)\b[ \t]*",
            re.MULTILINE,
        ),
        "\n",
    ),
    (
        re.compile(r"^\s*[@\\](?:deprecated|warning|todo|attention|important)\b[ \t]*", re.MULTILINE | re.IGNORECASE),
        "\n",
    ),
    (re.compile(r"^\s*[@\\][a-z]\w*\b(?!\s*[=(]).*$", re.MULTILINE), "\n"),
    (re.compile(r"[@\\](?:p|c|ref|a|b|e|em)\s+(?=\w)"), ""),
)
_ROLE = re.compile(r":(?:[a-z]+:)?[a-z]+:`[~!.]*([^`<\n]*?)(?:\s*<[^`>\n]*>)?`")
_RST = re.compile(
    r"[`*|]|^\s*\.\. |::|^\s*:\w|^\s*[-+] |>>>|^\s*\w.*\n\s*[-=~^]{3,}\s*$|\w+_\b(?!\w)|^\s*\w+:\s*$", re.MULTILINE
)
_SHORTENED = re.compile(r"`~(?:\w+\.)*(?=\w+(?:\(\))?`)")
_VERSION_NOTE = re.compile(r"^\s*\.\. (?:versionadded|versionchanged|deprecated)::.*$", re.MULTILINE)
_UNDERLINED = re.compile(r"^([ \t]*)\S[^\n]*\n[ \t]*[-=~^\"]{3,}[ \t]*$", re.MULTILINE)
_NUMPY_ENTRY = re.compile(r"^([\w*(), .\\]+?) : (?=\S)(.*)$", re.MULTILINE)
_FIELD = re.compile(
    r"^(\s*):(?:param(?:eter)?|arg(?:ument)?|key(?:word)?|raises?|except(?:ion)?|i?var|cvar|type)\s+(?:[^:\n]*\s)?([\w.*\\]+):",
    re.MULTILINE,
)
_RETURNS = re.compile(r"^(\s*):(?:returns?|yields?):", re.MULTILINE)
_TYPES = re.compile(r"^\s*:(?:rtype|type)\b.*(?:\n\s+\S.*)*", re.MULTILINE)
_GOOGLE = re.compile(
    r"^([ \t]*)(?:Args?|Arguments|Parameters|Params|Returns?|Yields?|Raises|Attributes|Keyword Args|Keyword Arguments"
    r"|Other Parameters|Examples?|Notes?|Warnings?|References|See Also|Todo|Usage|Inputs?|Outputs?|Shape):[ \t]*\n"
    r"((?:\1[ \t]+\S.*(?:\n|$)|[ \t]*\n)+)",
    re.MULTILINE,
)
_GOOGLE_ENTRY = re.compile(r"^([\w*.\\`]+(?: ?\([^\n]*?\))?):[ \t]+(?=\S)", re.MULTILINE)


def strip_marks(comment: str) -> str:
    """Return a comment's lines without comment marks, rules and notices to tools."""
    lines = [_CLOSING.sub("", _OPENING.sub("", line, count=1)) for line in comment.expandtabs().splitlines()]
    kept = ["" if _RULE.match(line) and line.strip() != "```" else line for line in lines if not _NOTICE.search(line)]
    return inspect.cleandoc("\n".join(["", *kept]))


def is_generated(comment: str) -> bool:
    """Return whether a comment at the top of a file says that the file is generated."""
    return bool(_GENERATED.search(comment))


def strip_licence(comment: str) -> tuple[str, bool]:
    """Return a comment without its paragraphs about copyright and licence, and whether there were any."""
    rest, lines = _LICENCE_LINE.subn("", comment)
    parts = re.split(r"\n[ \t]*\n", rest)
    kept = [part for part in parts if not _LICENCE.search(part)]
    return "\n\n".join(kept).strip("\n"), lines > 0 or len(kept) < len(parts)


def comment_blocks(comment: str, headings: Sequence[str]) -> list[Block]:
    """Return the blocks of a comment without marks; comments are read as Markdown with the usual tags."""
    for pattern, plain in (*_TAGS, (_ROLE, r"\1")):
        comment = pattern.sub(plain, comment)
    try:
        found = markdown_contents(_NO_TAG.sub(_LESS_THAN, comment))
    except UnreadableFile:
        return []
    return _under(found, headings)


def docstring_blocks(docstring: str, headings: Sequence[str]) -> list[Block]:
    """Return the blocks of a Python docstring in reStructuredText, NumPy's or Google's style, or none of them."""
    if not _RST.search(docstring):
        parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", docstring))
        return _under(Contents("", tuple(Block(part) for part in parts), (), 0), headings)
    try:
        return _under(rst_contents(_as_rst(docstring)), headings)
    except UnreadableFile:
        return comment_blocks(docstring, headings)


def _as_rst(docstring: str) -> str:
    """Turn the sections of the usual styles into plain field lists, without their headings."""
    text = _UNDERLINED.sub("", _SHORTENED.sub("`", docstring))
    text = _NUMPY_ENTRY.sub(r"\1 (\2)", _VERSION_NOTE.sub("", text))
    text = _GOOGLE.sub(_google_section, text)
    text = _TYPES.sub("", text)
    return _RETURNS.sub(r"\1:Returns:", _FIELD.sub(r"\1:\2:", text))


def _google_section(found: re.Match[str]) -> str:
    body = inspect.cleandoc("\n" + found[2])
    return "\n" + _GOOGLE_ENTRY.sub(r":\1: ", body) + "\n\n"


def _under(found: Contents, headings: Sequence[str]) -> list[Block]:
    anchor = headings[-1] if headings else ""
    blocks = [Block(_plain(one), tuple(headings), one.kind, anchor) for one in found.blocks]
    read = [one for one in blocks if one.kind == "code" or _is_readable(one.text)]
    return read if any(one.kind != "code" for one in read) else []


def _plain(block: Block) -> str:
    text = block.text.replace(_LESS_THAN, "<").replace(_POWER, "**")
    return text.replace("::", ":", 1) if block.kind == "list" else text


def _is_readable(text: str) -> bool:
    """Return whether a text is made of words rather than of code or rules."""
    letters = sum(map(str.isalpha, text))
    marks = sum(text.count(mark) for mark in "{}[];=<>|&$@#*_\\~^")
    words = sum(word.strip(_PUNCTUATION).isalpha() for word in text.split())
    has_words = words >= _FEWEST_WORDS or (not text.isascii() and letters >= _FEWEST_LETTERS)
    return has_words and marks <= _MOST_MARKS * len(text)
