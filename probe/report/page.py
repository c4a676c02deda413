"""One page that shows results in a browser: a single file that asks nothing of a network."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from probe.errors import CallError, ProbeError, check_type
from probe.io.files import reason, replace_file
from probe.report.geometry import geometry_section
from probe.report.goals import gate_section, slim_section
from probe.report.joining import Joining, Named, join_results
from probe.report.labelled import labelled_section
from probe.report.leaderboard import leaderboard_section
from probe.report.matrix import matrix_section
from probe.report.parts import Section
from probe.results.charts import LabelledResult
from probe.results.colours import COLOURS, NEUTRAL, TINTS
from probe.results.gate import GateResult
from probe.results.geometry import GeometryResult
from probe.results.leaderboard import Leaderboard
from probe.results.load import read_result
from probe.results.matrix import DatasetMatrix
from probe.results.result import Result
from probe.results.slim import SlimResult

__all__ = ["render_report", "write_report"]

_ENDINGS = (".html", ".htm")
Reported: TypeAlias = "str | Path | Result"


def write_report(
    results: "Reported | Sequence[Reported] | Mapping[str, Reported]",
    out: str | Path = "report.html",
    *,
    title: str = "",
    force: bool = False,
) -> Path:
    """Write one self-contained page with tables, curves and maps of results, and queries to look at.

    Args:
        results: What a verb returned, or the path of a .json file that a command saved; one, several, or several by the
            names that the page gives them.
        out: The .html file.
        title: Its headline; the names of the results when left out.
        force: Replace it where it exists.

    Returns:
        The file.

    Raises:
        CallError: There is no result, the file's name ends otherwise, or it exists.
        DataError: A file holds no result.
    """
    page = Path(out)
    if page.suffix not in _ENDINGS:
        raise CallError(f"'{page}': expected a file that ends in {' or '.join(_ENDINGS)}")
    if page.exists() and not force:
        raise CallError(f"'{page}' exists: choose another file, or pass force=True to replace it")
    text = render_report(_read_all(results), title)
    try:
        replace_file(page, lambda made: made.write_text(text, encoding="utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ProbeError(f"'{page}' cannot be written: {reason(error)}") from error
    return page


def _read_all(results: "Reported | Sequence[Reported] | Mapping[str, Reported]") -> list[tuple[Path, Result]]:
    """Return results, each with the file that it is said to come from."""
    if isinstance(results, Mapping):
        return [(Path(name), _read(one)) for name, one in results.items()]
    several = [results] if isinstance(results, str | Path | Result) else results
    check_type("results", several, Sequence, expected="a result, the path of a saved one, or a list of them")
    if not several:
        raise CallError("there are no results to report: expected one at least")
    return [(Path(one) if isinstance(one, str | Path) else Path(one.kind), _read(one)) for one in several]


def _read(result: "Reported") -> Result:
    check_type("result", result, str | Path | Result, expected="what a verb returned, or the path of a .json file")
    return result if isinstance(result, Result) else read_result(result)


def render_report(results: Sequence[tuple[Path, Result]], title: str = "") -> str:
    """Return one page with a section per result, its style, its script and its data inside.

    Args:
        results: Results and the files they were read from, in the order of their sections. Leaderboards of several
            data sets are joined to one table in front of them, where their settings agree.
        title: Its headline; says which results these are when left out.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("probe", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = files("probe") / "report"
    own = {name: Markup((page / file).read_text("utf-8")) for name, file in _OWN.items()}
    joining = join_results(_single_sets(results))
    sections = [
        *(_joined_section(matrix, group) for matrix, group in zip(joining.matrices, joining.groups, strict=True)),
        *(_section(source, result) for source, result in results),
    ]
    values = {
        "title": title or _title(sections, len(results), joining),
        "sections": sections,
        "first": next((number for number, section in enumerate(sections) if section.tiles), 0),
        "averaged": f"Nothing {'else ' if joining.matrices else ''}is averaged over results.",
        "cautions": [*_cautions([result for _, result in results], joining), *joining.reasons],
        "tones": Markup(_tone_style()),
        **own,
    }
    return environment.get_template("page.html").render(values) + "\n"


_COMPARED = (
    "from one data set to another. Compare encoders on one data set, or by their means: these are over the same data "
    "sets for all encoders of a table."
)
_OWN = {"style": "page.css", "script": "page.js"}


def _title(sections: Sequence[Section], results: int, joining: Joining) -> str:
    """Return the title of a page that was given none."""
    if len(sections) == 1 or [len(group) for group in joining.groups] == [results]:
        return sections[0].title
    alone = sections[len(joining.matrices) :]
    names = dict.fromkeys(str(section.result.settings["dataset"]["name"]) for section in alone)
    return f"{results} results on {', '.join(names)}"


def _single_sets(results: Sequence[tuple[Path, Result]]) -> list[Named]:
    """Return the leaderboards of single data sets by their files, with their folders where files have equal names."""
    counts = Counter(source.name for source, _ in results)
    named = [(f"{s.parent.name}/{s.name}" if counts[s.name] > 1 else s.name, result) for s, result in results]
    return [Named(name, result) for name, result in named if type(result) is Leaderboard]


def _joined_section(matrix: DatasetMatrix, group: Sequence[Named]) -> Section:
    return matrix_section(matrix, f"joined from {', '.join(one.source for one in group)}", folded=False)


def _tone_style() -> str:
    """Return the colours of lines, numbers and cells as CSS, for light and for dark pages."""
    named = [(f"t{tone}", colour) for tone, colour in enumerate((*COLOURS, NEUTRAL))]
    for side, tints in zip(("better", "worse"), TINTS, strict=True):
        named += [(f"{side}-{number}", colour) for number, colour in enumerate(tints, 1)]
    light, dark = ("".join(f"--{name}: {getattr(one, shade)}; " for name, one in named) for shade in ("light", "dark"))
    return (
        f':root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark}}} }}\n'
        f':root[data-theme="dark"] {{ {dark}}}\n'
    )


def _section(source: Path, result: Result) -> Section:
    if isinstance(result, GeometryResult):
        return geometry_section(result, source)
    if isinstance(result, DatasetMatrix):
        return matrix_section(result, source.name)
    if isinstance(result, Leaderboard):
        return leaderboard_section(result, source)
    if isinstance(result, LabelledResult):
        return labelled_section(result, source)
    if isinstance(result, SlimResult):
        return slim_section(result, source)
    if isinstance(result, GateResult):
        return gate_section(result, source)
    raise CallError(f"a {type(result).__name__} has no section in a report")


def _cautions(results: Sequence[Result], joining: Joining) -> list[str]:
    """Return what keeps numbers of different results from being compared."""
    cautions = []
    for kind in dict.fromkeys(result.kind for result in results):
        alike = [result for result in results if result.kind == kind]
        if len({_data_key(result) for result in alike}) > 1:
            names = ", ".join(dict.fromkeys(_data_name(result) for result in alike))
            compared = joining.matrices and kind == Leaderboard.kind
            cautions.append(
                f"Results on different texts or relevance labels ({names}): their numbers are not comparable"
                + (f" {_COMPARED}" if compared else ".")
            )
        metrics = dict.fromkeys(str(result.settings["metric"]) for result in alike if "metric" in result.settings)
        if len(metrics) > 1:
            cautions.append(f"Results ranked by different metrics ({', '.join(metrics)}).")
    table = "result or joined table" if joining.matrices else "result"
    cautions += [
        f"{name} ran with different settings ({', '.join(found)}): compare its rows within one {table} only."
        for name, found in _different_settings(results).items()
    ]
    return cautions


def _data_key(result: Result) -> tuple[str, ...]:
    data = result.settings["dataset"]
    return tuple(str(value) for key, value in data.items() if key.endswith("_sha256"))


def _data_name(result: Result) -> str:
    data = result.settings["dataset"]
    split = f" ({data['split']})" if "split" in data else ""
    count = next((f", {data[key]} {key}" for key in ("documents", "texts", "pairs") if key in data), "")
    return f"{data['name']}{split}{count}"


_RUN_SETTINGS = ("weights_sha256", "prompt", "query_prompt", "document_prompt", "max_tokens", "dtype", "device")


def _different_settings(results: Sequence[Result]) -> dict[str, list[str]]:
    """Return per model the settings in which results differ."""
    seen: dict[str, dict[str, set[str]]] = {}
    for result in results:
        for model in result.settings["models"]:
            # Labelled texts and pairs have one prompt, a leaderboard has two.
            for key in (key for key in _RUN_SETTINGS if key in model):
                seen.setdefault(model["name"], {}).setdefault(key, set()).add(str(model[key]))
    different = {name: [key for key, values in found.items() if len(values) > 1] for name, found in seen.items()}
    return {name: keys for name, keys in different.items() if keys}
