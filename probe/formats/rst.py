"""reStructuredText, by way of HTML; Sphinx's roles and directives are read as far as they hold text."""

import re
from collections.abc import Iterator
from typing import Any

from probe.formats.decoding import read_text
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import Contents, html_contents

__all__ = ["read", "rst_contents"]

_ROLE = re.compile(r"\.\. (?:default-)?role::.*")
# The text of a Sphinx role: `title <target>`, `~module.name` of which the last part is shown, `!name`.
_TITLE_AND_TARGET = re.compile(r"^(.*?)\s*<[^<>]*>$", re.DOTALL)
_LAST_PART = re.compile(r"^~\.?(?:\w+\.)+(\w+(?:\(.*\))?)$")
# Roles whose text is shown as it is: `~/.profile`, `cat <file>`.
_VERBATIM = frozenset(("code", "command", "file", "kbd", "literal", "program", "samp"))
_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": 5,
    "halt_level": 6,
    "doctitle_xform": False,
    "sectsubtitle_xform": False,
    "embed_stylesheet": False,
    "input_encoding": "unicode",
    "math_output": "LaTeX",
    "syntax_highlight": "none",
    "toc_backlinks": False,
    "line_length_limit": 1 << 20,
    "smart_quotes": False,
    "output_encoding": "unicode",
    "trim_footnote_reference_space": True,
}
# Field names: the reader puts a colon between a term and its description.
_COLON = '<span class="colon">:</span>'
# Directives without text for readers.
_SILENT = frozenset(
    (
        *("toctree", "index", "currentmodule", "module", "image", "include", "literalinclude", "raw"),
        *("highlight", "contents", "sectnum", "meta", "autosummary", "plot", "graphviz", "tabularcolumns"),
        *("testsetup", "testcleanup", "inheritance-diagram", "productionlist"),
    )
)
# Sphinx takes names of documented objects from the code.
_AUTOMATIC = re.compile(r"auto(?:module|class|function|method|data|attribute|exception|property|decorator)$")
# Directives whose argument is a signature, in which stars and underscores are no markup.
_SIGNATURE = re.compile(
    r"attribute$|class$|data$|decorator$|describe$|envvar$|exception$|function$|macro$|member$|method$|module$|object$"
    r"|opcode$|option$|program$|property$|signature$|struct$|type$|var$"
)
# Directives whose first argument is a version, and the rest text.
_VERSIONS = frozenset(("versionadded", "versionchanged", "deprecated", "versionremoved"))
# Directives whose arguments are conditions or file names, and whose content is text.
_CONTAINERS = frozenset(("only", "figure"))
_CODE = frozenset(("code-block", "code", "sourcecode", "doctest", "testcode", "testoutput", "ipython", "prompt"))


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a reStructuredText file.

    Raises:
        UnreadableFile: If it is binary, empty, too large or cannot be parsed.
    """
    found = rst_contents(read_text(file.path))
    yield Document(file.name, file.name, found.title, found.blocks, found.links, dropped=found.dropped)


def rst_contents(text: str) -> Contents:
    """Return the contents of reStructuredText; files it includes are not read.

    Raises:
        UnreadableFile: If it cannot be parsed.
    """
    from docutils.core import publish_doctree, publish_from_doctree
    from docutils.utils import SystemMessage

    _register()
    try:
        tree = publish_doctree(_ROLE.sub("", text), settings_overrides=_SETTINGS)
        _remove_messages(tree)
        _unfold_notes(tree)
        tree["title"] = " "  # otherwise the name of the source
        html = publish_from_doctree(
            tree, writer="html5", settings_overrides={**_SETTINGS, "output_encoding": "unicode"}
        )
    except (SystemMessage, RecursionError) as error:
        raise UnreadableFile("not reStructuredText, or nested too deeply") from error
    return html_contents(html.replace(_COLON, ""))


def _remove_messages(tree: Any) -> None:
    from docutils import nodes

    for kind in (nodes.system_message, nodes.comment, nodes.substitution_definition):
        for node in list(tree.findall(kind)):
            node.parent.remove(node)
    for node in list(tree.findall(nodes.problematic)):
        node.parent.replace(node, nodes.literal("", _role_text(re.sub(r"^:[\w:.+-]+:|`|\||_$", "", node.astext()))))


def _unfold_notes(tree: Any) -> None:
    """Turn what the HTML writer sets beside the text, and readers of HTML leave out, into text."""
    from docutils import nodes

    for mark in list(tree.findall(nodes.footnote_reference)):
        mark.parent.remove(mark)
    kinds = (nodes.Admonition, nodes.topic, nodes.sidebar, nodes.footnote, nodes.citation)
    for note in [node for node in tree.findall() if isinstance(node, kinds)]:
        heads = [child for child in note.children if isinstance(child, nodes.title | nodes.subtitle | nodes.label)]
        body = [child for child in note.children if child not in heads]
        titles = [] if isinstance(note, nodes.footnote) else [word for head in heads for word in head.children]
        note.parent.replace(note, _described(titles, body) if titles else body)


def _described(term: list[Any], body: list[Any]) -> list[Any]:
    from docutils import nodes

    item = nodes.definition_list_item("", nodes.term("", "", *term), nodes.definition("", *body))
    return [nodes.definition_list("", item)]


def _role_text(text: str) -> str:
    titled = _TITLE_AND_TARGET.match(text)
    if titled and titled[1]:
        return titled[1]
    last = _LAST_PART.match(text)
    return last[1] if last else text.lstrip("~!").removeprefix(".")


_registered: list[bool] = []


def _register() -> None:
    """Make docutils read every unknown role as text and every unknown directive as a paragraph or a container."""
    if _registered:
        return
    from docutils.parsers.rst import directives, roles

    _registered.append(True)
    known_role, known_directive = roles.role, directives.directive

    def role(name: str, *rest: Any) -> tuple[Any, list[Any]]:
        """Find a role."""
        if name.lower() in ("raw", "math"):
            return _text_role, []
        found, messages = known_role(name, *rest)
        return (found, messages) if found is not None else (_text_role, [])

    def directive(name: str, *rest: Any) -> tuple[Any, list[Any]]:
        """Find a directive."""
        if name in _SILENT | _CODE | _CONTAINERS | {"class"} or ":" in name:
            return _directive_class(name), []
        found, messages = known_directive(name, *rest)
        return (found, messages) if found is not None else (_directive_class(name), [])

    roles.role, directives.directive = role, directive


def _text_role(name: str, raw: str, text: str, *rest: Any, **options: Any) -> tuple[list[Any], list[Any]]:
    from docutils import nodes
    from docutils.utils import unescape

    plain = unescape(text)
    return [nodes.literal(raw, plain if name.lower() in _VERBATIM else _role_text(plain))], []


def _directive_class(name: str) -> type:
    """Return a directive that keeps its text: as code, as a term with its description, or as paragraphs."""
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Described(Directive):  # type: ignore[misc]
        """A directive of another program."""

        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption()

        def run(self) -> list[Any]:
            """Return the text of the directive as nodes."""
            if name in _SILENT or _AUTOMATIC.match(name):
                return []
            if name in _CODE:
                return [nodes.literal_block("", "\n".join(self.content))]
            inside = nodes.Element()
            self.state.nested_parse(self.content, self.content_offset, inside, match_titles=True)
            terms = self.arguments[0].splitlines() if self.arguments else []
            if name in _CONTAINERS or (name == "class" and not inside.children):
                return list(inside.children)
            if name in _VERSIONS:
                return [*self._note(" ".join(terms)), *inside.children]
            return self._explained(terms, list(inside.children)) if terms else list(inside.children)

        def _explained(self, terms: list[str], body: list[Any]) -> list[Any]:
            if ":" in name or _SIGNATURE.search(name):
                return _described([nodes.Text(", ".join(line.strip() for line in terms))], body)
            words, messages = self.state.inline_text(" ".join(terms), self.lineno)
            return [*_described(words, body), *messages]

        def _note(self, argument: str) -> list[Any]:
            words, messages = self.state.inline_text(argument.partition(" ")[2], self.lineno)
            return [nodes.paragraph("", "", *words), *messages] if words else []

    return Described


class _AnyOption(dict[str, Any]):
    """Options of any name."""

    def __getitem__(self, name: str) -> Any:
        return lambda value: value or ""

    def __bool__(self) -> bool:
        return True
