"""HTML: contents without navigation, by headings. Other formats become HTML first, so they share this reader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from probe.formats.decoding import decode, read_bytes
from probe.formats.document import Block, BlockKind, Document, Link, RecordFields, SourceFile, UnreadableFile

__all__ = ["Contents", "html_contents", "read"]

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = (
    *("address", "article", "blockquote", "body", "caption", "center", "details", "div", "dl", "fieldset"),
    *("figcaption", "figure", "hr", "main", "ol", "p", "section", "summary", "table", "tbody", "thead", "tfoot", "ul"),
)
_BREAKS: dict[str, BlockKind] = {
    **dict.fromkeys(_PARAGRAPHS, "prose"),
    **dict.fromkeys(("li", "dd"), "list"),
    "tr": "table",
    "pre": "code",
}
_INVISIBLE = frozenset(
    (
        *("script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select", "button", "input"),
        *("textarea", "head", "link", "meta", "img", "audio", "video", "canvas", "map"),
    )
)
_NAVIGATION = frozenset(("nav", "footer", "aside", "form", "dialog", "menu"))
_NAVIGATION_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar"))
# Class names of navigation in pages of common generators.
_NAVIGATION_CLASSES = frozenset(
    (
        *("anchor", "anchor-link", "headerlink", "skip-link", "edit-link", "mw-editsection", "rustdoc-breadcrumbs"),
        *("srclink", "mark", "doc-anchor", "hideme", "src", "permalink", "headeranchor", "anchorjs-link"),
        *("breadcrumb", "breadcrumbs", "nav", "navbar", "navheader", "navfooter", "navigation", "pagination"),
        *("prev-next-area", "prevnext", "related", "sidebar", "sphinxsidebar", "toc", "toctree-wrapper"),
        *("site-footer", "footer", "topnav", "top-nav", "bottomnav", "bottom-nav", "subnav", "sub-nav"),
    )
)
_MAIN = ("main", "[role=main]", "article")
# Elements inside each other; browsers stop at about 500.
_DEEPEST = 1000
_TITLE_MARKS = (" — ", " – ", " | ", " · ", " :: ", " - ", " « ", " » ")


@dataclass(frozen=True)
class Contents:
    """The readable part of a page.

    Attributes:
        title: The page's title, or its first heading.
        blocks: Paragraphs, list items, table rows and code.
        links: Links to other places of the same site.
        dropped: Number of navigation elements that were left out.
    """

    title: str
    blocks: tuple[Block, ...]
    links: tuple[Link, ...]
    dropped: int


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of an HTML file.

    Raises:
        UnreadableFile: If it is binary, empty, too large or nested too deeply.
    """
    data = read_bytes(file.path)
    found = html_contents(decode(data, _declared_charset(data)))
    yield Document(file.name, file.name, found.title, found.blocks, found.links, dropped=found.dropped)


def _declared_charset(data: bytes) -> str | None:
    from selectolax.lexbor import LexborHTMLParser

    for node in LexborHTMLParser(data[:4096].decode("ascii", "ignore")).css("meta"):
        if charset := node.attributes.get("charset"):
            return charset
        _, found, charset = (node.attributes.get("content") or "").partition("charset=")
        if found:
            return charset.strip(" '\";") or None
    return None


def html_contents(html: str, slug: Callable[[str], str] | None = None) -> Contents:
    """Return the readable part of a page.

    Args:
        html: The page, or a part of one.
        slug: Makes the anchor of a heading without an id from its text.

    Raises:
        UnreadableFile: If elements are nested too deeply.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    if tree.body is None:
        return Contents("", (), (), 0)
    walk = _Walk(slug)
    walk.run(_main_part(tree))
    title = tree.css_first("head title")
    name = _collapse(title.text()) if title is not None else ""
    return Contents(_clean_title(name, walk.first), tuple(walk.blocks), tuple(walk.links), walk.dropped)


def _main_part(tree: Any) -> Any:
    """Return the element with the contents, if the page names a single one; otherwise its body."""
    for selector in _MAIN:
        found = tree.css(selector)
        if len(found) == 1:
            return found[0]
    return tree.body


def _clean_title(title: str, heading: str) -> str:
    """Return a title without the name of the site, if the first heading tells which part that is."""
    if not title or not heading:
        return title or heading
    parts = [title]
    for mark in _TITLE_MARKS:
        parts = [piece for part in parts for piece in part.split(mark)]
    same = next((part for part in parts if part.strip().casefold() == heading.casefold()), None)
    return heading if same is not None else title


@dataclass
class _Walk:
    """One walk through a page, in reading order."""

    slug: Callable[[str], str] | None
    blocks: list[Block] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    first: str = ""
    dropped: int = 0
    _texts: list[str] = field(default_factory=list)
    _kinds: list[BlockKind] = field(default_factory=list)
    _anchors: list[str] = field(default_factory=list)
    _term: str = ""
    _link: tuple[str, int] | None = None

    def run(self, root: Any) -> None:
        """Visit every element once, without recursion."""
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                self._leave(node)
            elif node.tag == "-text":
                self._texts.append(node.text_content or "")
            elif self._enter(node):
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
            if len(stack) > _DEEPEST * 100:
                raise UnreadableFile("nested too deeply")
        self._flush()

    def _enter(self, node: Any) -> bool:
        """Return whether to read the children of an element."""
        tag, attributes = node.tag, node.attributes
        if tag in _INVISIBLE or tag.startswith(("-", "_", "!")):
            return False
        if _is_navigation(tag, attributes):
            self.dropped += 1
            return False
        if tag in _BREAKS or tag in _HEADINGS or tag == "dt":
            self._flush()
            self._kinds.append(_BREAKS.get(tag, "prose"))
        anchor = attributes.get("id") or (attributes.get("name") if tag == "a" else None)
        if anchor:
            self._anchors.append(anchor)
        if tag == "a":
            self._link = (attributes.get("href") or "", len(self._texts))
        elif tag in ("td", "th") and any(text.strip() for text in self._texts):
            self._texts.append(", ")
        elif tag in ("br", "wbr"):
            self._texts.append("\n" if tag == "br" else "")
        return True

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if tag == "a":
            self._add_link()
        elif tag in _HEADINGS:
            self._add_heading(_HEADINGS[tag])
        elif tag == "dt":
            self._term = ", ".join(filter(None, (self._term, self._take())))
        elif tag in _BREAKS:
            self._flush()
            if tag == "dl" and self._term:
                self._texts.append(self._term)
                self._term = ""
                self._flush()
        if tag in _BREAKS or tag in _HEADINGS or tag == "dt":
            self._kinds.pop()

    def _take(self) -> str:
        text = _collapse("".join(self._texts))
        self._texts.clear()
        self._link = None
        return text

    def _flush(self) -> None:
        """End a block."""
        kind: BlockKind = next((kind for kind in reversed(self._kinds) if kind != "prose"), "prose")
        text = _trim_code("".join(self._texts)) if kind == "code" else _collapse("".join(self._texts))
        self._texts.clear()
        self._link = None
        if not text:
            return
        if self._term:
            text, self._term, kind = f"{self._term}: {text}", "", "list"
        path = tuple(heading for _, heading, _ in self.headings)
        anchor = self.headings[-1][2] if self.headings else ""
        self.blocks.append(Block(text, path, kind, anchor))

    def _add_heading(self, level: int) -> None:
        text = self._take().rstrip("¶#🔗").strip()
        if not text:
            return
        self.first = self.first or text
        anchor = self._anchors[-1] if self._anchors else self.slug(text) if self.slug else ""
        self._anchors.clear()
        self.headings = [one for one in self.headings if one[0] < level]
        self.headings.append((level, text, anchor))

    def _add_link(self) -> None:
        if self._link is None:
            return
        (target, start), self._link = self._link, None
        text = _collapse("".join(self._texts[start:]))
        parts = urlsplit(target) if "[" not in target else None
        if text and target and parts and not parts.scheme and not parts.netloc and not target.startswith("/"):
            self.links.append(Link(text, target))


def _is_navigation(tag: str, attributes: dict[str, str | None]) -> bool:
    if tag in _NAVIGATION or (attributes.get("role") or "") in _NAVIGATION_ROLES or "hidden" in attributes:
        return True
    if attributes.get("aria-hidden") == "true":
        return True
    return bool(_NAVIGATION_CLASSES & set((attributes.get("class") or "").lower().split()))


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _trim_code(text: str) -> str:
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    return "\n".join(lines).strip("\n")
