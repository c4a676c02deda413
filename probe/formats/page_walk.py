"""One walk through a page: its blocks, links and headings, without navigation."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from probe.formats.document import Block, BlockKind, Link, UnreadableFile

__all__ = ["PageWalk"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = _names(
    "address article blockquote body caption center details div dl fieldset figcaption figure hr main ol p section"
    " summary table tbody thead tfoot ul"
)
_BREAKS: dict[str, BlockKind] = {
    **dict.fromkeys(_PARAGRAPHS, "prose"),
    **dict.fromkeys(("li", "dd"), "list"),
    "tr": "table",
    "pre": "code",
}
_INVISIBLE = _names(
    "script style template noscript svg math iframe object select button input textarea head link meta img audio video"
    " canvas map"
)
_NAVIGATION = _names("nav footer aside form dialog menu")
_NAVIGATION_ROLES = _names("navigation banner contentinfo search complementary menu menubar")
# Class names of navigation in pages of common generators.
_NAVIGATION_CLASSES = _names(
    "anchor anchor-link headerlink skip-link edit-link mw-editsection rustdoc-breadcrumbs srclink mark doc-anchor"
    " hideme src permalink headeranchor anchorjs-link breadcrumb breadcrumbs nav navbar navheader navfooter navigation"
    " pagination prev-next-area prevnext related sidebar sphinxsidebar toc toctree-wrapper nav-panel copiable-link"
    " navlinks nav-wrapper nav-chapters nav-links edit-page-link md-nav md-header md-footer md-sidebar wy-nav-side"
    " wy-breadcrumbs rst-footer-buttons site-footer footer topnav top-nav bottomnav bottom-nav subnav sub-nav"
)
_LITERALS = frozenset(("code", "kbd", "samp", "tt"))
# Elements inside each other; browsers stop at about 500.
_DEEPEST = 1000
# Stands between the cells of a row until the row ends.
_CELL = "\x1f"
_HEADING_MARK = re.compile(r"(?:\s*[¶🔗§]|\s+#)+$")
# Texts of links that stand beside a heading or definition and refer to itself.
_SELF_LINKS = frozenset(("¶", "#", "§", "🔗", "[link]", "[src]", "[source]", "[edit]", "link", "permalink"))
# Statements of templates; an expression is part of the text, which then lends no queries.
_STATEMENT = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_PAGER = re.compile(r"\W*(?:next|prev(?:ious)?|up|home|contents|index)\b.*\b(?:next|prev(?:ious)?|up|index)\b", re.I)
# So many links in a row, without other text, are a menu or table of contents.
_MENU = 3


@dataclass
class PageWalk:
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
    _size: int = 0
    _linked: int = 0
    _literal: int = 0
    _literals: int = 0
    _menu: int = 0
    _is_contents: bool = False
    _link: tuple[str, int] | None = None

    def run(self, root: Any) -> None:
        """Visit every element once, without recursion."""
        stack: list[tuple[Any, int]] = [(root, 1)]
        while stack:
            node, depth = stack.pop()
            if depth < 0:
                self._leave(node)
            elif node.tag == "-text":
                self._add_text(node.text_content or "")
            elif depth > _DEEPEST:
                raise UnreadableFile("nested too deeply")
            elif self._enter(node):
                stack.append((node, -depth))
                stack.extend((child, depth + 1) for child in reversed(list(node.iter(include_text=True))))
        self._flush()
        self._end_menu()

    def _add_text(self, text: str) -> None:
        self._texts.append(text)
        size = len(text.strip())
        self._size += size
        if self._link is not None:
            self._linked += size
        if self._literals:
            self._literal += size

    def _enter(self, node: Any) -> bool:
        """Return whether to read the children of an element."""
        tag, attributes = node.tag, node.attributes
        if tag in _INVISIBLE or tag.startswith(("-", "_", "!")):
            return False
        if _is_navigation(tag, attributes):
            self.dropped += 1
            if attributes.get("id"):
                self._anchors.append(attributes["id"] or "")
            return False
        if tag in _BREAKS or tag in _HEADINGS or tag == "dt":
            self._flush()
            self._kinds.append(_BREAKS.get(tag, "prose"))
        anchor = attributes.get("id") or (attributes.get("name") if tag == "a" else None)
        if anchor:
            self._anchors.append(anchor)
        if tag == "a":
            self._link = (attributes.get("href") or "", len(self._texts))
        elif tag in ("td", "th"):
            self._texts.append(_CELL)
        elif tag in _LITERALS:
            self._literals += 1
        elif tag in ("br", "wbr"):
            self._texts.append("\n" if tag == "br" else "")
        return True

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if tag == "a":
            self._add_link()
        elif tag in _LITERALS:
            self._literals -= 1
        elif tag in _HEADINGS:
            self._add_heading(_HEADINGS[tag])
        elif tag == "dt":
            self._term = ", ".join(filter(None, (self._term, self._take())))
        elif tag in _BREAKS:
            self._flush()
            if tag == "dl" and self._term:
                term, self._term = self._term, ""
                self._add_text(term)
                self._flush()
        if tag in _BREAKS or tag in _HEADINGS or tag == "dt":
            self._kinds.pop()

    def _take(self) -> str:
        text = _collapse(_STATEMENT.sub(" ", "".join(self._texts).replace(_CELL, " ")))
        self._reset()
        return text

    def _reset(self) -> None:
        self._texts.clear()
        self._link = None
        self._size = self._linked = self._literal = 0

    def _flush(self) -> None:
        """End a block."""
        if not self._size:
            self._reset()
            return
        kind: BlockKind = next((kind for kind in reversed(self._kinds) if kind != "prose"), "prose")
        text = _block_text("".join(self._texts), kind)
        is_menu = self._is_menu(kind, text)
        if kind in ("prose", "list") and (self._literal == self._size or "{{" in text):
            kind = "code"
        self._reset()
        if not text:
            return
        if self._term:
            text, self._term, kind = f"{self._term}: {text}", "", "list"
        self._anchors.clear()
        path = tuple(heading for _, heading, _ in self.headings)
        anchor = self.headings[-1][2] if self.headings else ""
        if not is_menu:
            self._end_menu()
        self._menu += bool(is_menu)
        self._is_contents = is_menu > 1
        self.blocks.append(Block(text, path, kind, anchor))

    def _is_menu(self, kind: BlockKind, text: str) -> int:
        """Return 1 for a block that is a link and nothing else, 2 for one that is surely navigation, otherwise 0."""
        if kind == "code" or self._term or not self._linked:
            return 0
        if _PAGER.match(text) and 2 * self._linked > self._size:
            return 2
        is_inside = kind == "list" and bool(self.links) and self.links[-1].target.startswith("#")
        return (1 + is_inside) if self._size == self._linked else 0

    def _end_menu(self) -> None:
        """Leave out the blocks that make up a menu, and their heading if nothing else stands below it."""
        count, self._menu = self._menu, 0
        if not count or (count < _MENU and not self._is_contents):
            return
        path = self.blocks[-1].headings
        del self.blocks[-count:]
        self.dropped += 1
        if 1 < len(path) == len(self.headings) and not (self.blocks and self.blocks[-1].headings == path):
            self.headings.pop()

    def _add_heading(self, level: int) -> None:
        text = _HEADING_MARK.sub("", self._take())
        if not text:
            return
        self._end_menu()
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
        if text.casefold() in _SELF_LINKS:
            del self._texts[start:]
            return
        parts = urlsplit(target) if "[" not in target else None
        if text and target and parts and not parts.scheme and not parts.netloc and not target.startswith("/"):
            self.links.append(Link(text, target))


def _is_navigation(tag: str, attributes: dict[str, str | None]) -> bool:
    if tag in _NAVIGATION or (attributes.get("role") or "") in _NAVIGATION_ROLES or "hidden" in attributes:
        return True
    if attributes.get("aria-hidden") == "true":
        return True
    return bool(_NAVIGATION_CLASSES & set((attributes.get("class") or "").lower().split()))


def _block_text(text: str, kind: BlockKind) -> str:
    if kind == "code":
        return _trim_code(text.replace(_CELL, " "))
    cells = (_collapse(cell) for cell in _STATEMENT.sub(" ", text).split(_CELL))
    found = ", ".join(filter(None, cells))
    return found if any(character.isalnum() for character in found) else ""


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _trim_code(text: str) -> str:
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    return "\n".join(lines).strip("\n")
