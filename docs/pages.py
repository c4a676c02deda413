"""Write the pages that follow from the code: one per command, one per package, and the table of a leaderboard's fields.

`python docs/pages.py` writes them beside this file, and keeps what was written by hand in them. MkDocs calls
`on_config`, which puts them into the navigation.
"""

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["commands", "on_config", "stale_pages", "wanted_pages", "write_pages"]

_DOCS = Path(__file__).parent
_MADE = "<!-- Made by docs/pages.py; what stands between the two marks below is written by hand and is kept. -->"
_BEGIN, _END = "<!-- by hand -->", "<!-- end of what is by hand -->"
_FIELDS = re.compile(r"(<!-- fields of ([\w.]+)\.(\w+) -->\n).*?(<!-- end of fields -->)", re.DOTALL)
_TYPES = {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": "flag"}
_PACKAGES = ("probe", "surgery", "adaptors")
# What makes the files that the example of a command reads.
_BEFORE = {
    "probe report": (
        "probe layers minilm --save layers.json",
        "probe geometry minilm --save geometry.json",
    ),
    "surgery pair": ("surgery cut minilm --after 0 -d docstrings --out ./minilm-static",),
    "adaptors heal": ("surgery cut minilm --after 3 --lens -d docstrings --out ./minilm-3-lens",),
}


def commands() -> dict[str, Any]:
    """Return every command of the packages' console scripts by the words that call it, groups included."""
    from typer.main import get_command

    scripts = tomllib.loads((_DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    found: dict[str, Any] = {}
    for name in _PACKAGES:
        module, _, attribute = scripts[name].partition(":")
        found.update(_walk(name, get_command(getattr(import_module(module), attribute))))
    return found


def _walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(f"{words} {name}", child)


def wanted_pages() -> dict[Path, str]:
    """Return what the pages that follow from the code should hold, by file."""
    every = commands()
    pages = {_command_file(words): _command_page(words, one) for words, one in every.items() if not _is_group(one)}
    pages[_DOCS / "commands" / "index.md"] = _index_page(every)
    pages |= {_DOCS / "python" / f"{package}.md": _package_page(package) for package in _PACKAGES}
    results = _DOCS / "results.md"
    return {**pages, results: _FIELDS.sub(_fill_fields, results.read_text(encoding="utf-8"))}


def stale_pages() -> list[str]:
    """Return one line per page that is out of date or describes nothing; empty if all are current."""
    wanted = wanted_pages()
    here = {file for folder in ("commands", "python") for file in (_DOCS / folder).glob("*.md")}
    orphans = here - set(wanted) - {_DOCS / "python" / "index.md"}
    old = [file for file, text in wanted.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    return [
        *(f"{file.relative_to(_DOCS.parent)} is out of date: run `make pages`" for file in old),
        *(f"{file.relative_to(_DOCS.parent)} describes nothing that is there: delete it" for file in sorted(orphans)),
    ]


def write_pages() -> None:
    """Write every page that follows from the code."""
    for file, text in wanted_pages().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def on_config(config: Any) -> Any:
    """Put a folder's pages where the navigation names the folder: the commands by program, in the order of `--help`."""
    by_program: dict[str, list[str]] = {}
    for words, command in commands().items():
        if not _is_group(command):
            page = _command_file(words).relative_to(_DOCS).as_posix()
            by_program.setdefault(words.partition(" ")[0], []).append(page)
    listed = ["commands/index.md", *({program: pages} for program, pages in by_program.items())]
    config.nav = [
        {title: listed if place == "commands/" else place} for entry in config.nav for title, place in entry.items()
    ]
    return config


def _is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def _command_file(words: str) -> Path:
    return _DOCS / "commands" / f"{words.replace(' ', '-')}.md"


def _command_page(words: str, command: Any) -> str:
    context = command.make_context(words, [], resilient_parsing=True)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    parts = [
        f"# {words}",
        _MADE,
        inspect.cleandoc(command.help or ""),
        f"```text\n{usage}\n```",
        "\n".join(["```sh", *_BEFORE.get(words, ()), _example(command), "```"]),
        f"{_BEGIN}\n\n{_by_hand(_command_file(words))}{_END}",
        "## Options",
        _parameters(command),
        "Flags are off unless given. `-h` or `--help` prints this on the command line. "
        "[Exit codes](../results.md#exit-codes) are the same for all commands.",
    ]
    return "\n\n".join(parts) + "\n"


def _example(command: Any) -> str:
    return str(command.epilog or "").removeprefix("Example: ")


def _by_hand(file: Path) -> str:
    """Return the hand-written part of an existing page."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return text.partition(_BEGIN)[2].partition(_END)[0].lstrip("\n")


def _parameters(command: Any) -> str:
    rows = [[_names(one), _type(one), _default(one), _plain(one.help)] for one in command.params if not one.hidden]
    return _table(["name", "type", "default", "meaning"], rows)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _type(parameter: Any) -> str:
    from encoder_surgery.shell.given import choices_of

    choices = choices_of(parameter)
    inner = ", ".join(f"`{choice}`" for choice in choices) or re.sub(r"^list\[(.*)]$", r"\1", parameter.bare_type())
    many = parameter.multiple or parameter.nargs == -1
    return _TYPES.get(inner, inner) + (", one or more" if many else "")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"


def _plain(help: str | None) -> str:
    """Return help without the backslashes that keep rich from reading brackets as markup."""
    return (help or "").replace("\\[", "[").replace("[", "\\[").replace("<", "&lt;")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _index_page(every: Mapping[str, Any]) -> str:
    parts = ["# Commands", _MADE.partition(";")[0] + ". -->"]
    for words, group in every.items():
        if not _is_group(group):
            continue
        rows = [
            [f"[`{words} {name}`]({_command_file(f'{words} {name}').name})", _summary(child)]
            for name, child in group.commands.items()
            if not _is_group(child)
        ]
        parts += [f"## {words}", _summary(group), _table(["command", "what it does"], rows)]
        parts += [f"```sh\n{_example(group)}\n```"]
    return "\n\n".join(parts) + "\n"


def _summary(command: Any) -> str:
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def _package_page(package: str) -> str:
    module = import_module(package)
    parts = [f"# {package}", _MADE.partition(";")[0] + ". -->", module.__doc__ or ""]
    for name in module.__all__:
        home = f"{package}.{module._HOMES[name]}.{name}"
        parts.append(f"::: {home}\n    options:\n      heading: {name}\n      toc_label: {name}")
    return "\n\n".join(parts) + "\n"


def _fill_fields(found: re.Match[str]) -> str:
    """Return a marked place with the table of a dataclass's fields in it, from its docstring."""
    begin, module, name, end = found.groups()
    described = getattr(import_module(module), name)
    fields = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(described) or "", re.MULTILINE)
    rows = [
        [f"`{field}`", _json_type(described, field), re.sub(r"\bNone\b", "null", " ".join(words.split()))]
        for field, words in fields
    ]
    return f"{begin}\n{_table(['field', 'type', 'meaning'], rows)}\n\n{end}"


def _json_type(described: Any, field: str) -> str:
    """Return a field's type as JSON has it."""
    annotation = described.__annotations__[field]
    words = str(getattr(annotation, "__name__", annotation)) if isinstance(annotation, type) else str(annotation)
    for pattern, plain in (
        (r"dict\[.*\]|dict", "object"),
        (r"tuple\[float, float\]", "two numbers"),
        (r"tuple\[.*\]", "list"),
        (r"\bstr\b", "text"),
        (r"\bint\b", "whole number"),
        (r"\bfloat\b", "number"),
        (r"\bbool\b", "true or false"),
        (r" \| None", " or null"),
    ):
        words = re.sub(pattern, plain, words)
    return words


if __name__ == "__main__":
    write_pages()
