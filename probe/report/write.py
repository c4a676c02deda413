"""Write results as one page, from Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from probe.errors import CallError, ProbeError, check_type
from probe.io.files import reason, replace_file
from probe.report.page import render_report
from probe.results.load import read_result
from probe.results.result import Result

__all__ = ["write_report"]

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
