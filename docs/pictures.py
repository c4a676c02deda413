"""Draw the pictures of README and documentation out of saved results.

`python docs/pictures.py` draws all of them, `python docs/pictures.py layers` one. `--take layers.json` takes a result
that a command saved, without the texts of its data set, so that it can be drawn again wherever the data are not.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probe.errors import CallError
from probe.plots.picture import save_picture
from probe.report.page import render_report
from probe.results.load import read_result
from probe.results.result import SCHEMA

__all__ = ["COMMANDS", "IMAGES", "PICTURES", "RESULTS", "draw", "take"]

IMAGES = Path(__file__).parent / "images"
RESULTS = IMAGES / "results"

# The commands whose results are drawn, by picture; each was run with `--save NAME.json`.
COMMANDS = {
    "layers": "probe layers minilm -d scifact --lens",
    "fusions": "probe rank minilm@all:mean+minilm@all:cls -d scifact",
    "geometry": "probe geometry minilm -d scifact",
    "adaptors": (
        "adaptors rank minilm -d scifact --dims 256,128,64 --kinds pca,spectral,truncate,linear,residual "
        "--labels train --steps 100"
    ),
    "bytes": "adaptors rank minilm -d docstrings --kinds spectral --dims 256 --bits 32,8,4,1 --bytes 96,48,24",
    "classify": "probe classify minilm",
    "similarity": "probe similarity minilm",
}
# The results that the report shows, by the picture of it.
_REPORTS = {"report": ("layers",), "report-phone": ("layers",), "report-dark": ("layers",)}
_WINDOWS = {"report": (1280, 1000), "report-phone": (390, 844), "report-dark": (1280, 1000)}
PICTURES = (*COMMANDS, *_REPORTS)


def draw(name: str, folder: Path = IMAGES) -> Path:
    """Draw one picture.

    Args:
        name: One of `PICTURES`.
        folder: Where it is written.

    Returns:
        The file.

    Raises:
        CallError: There is no picture of that name, or no Chromium to show a report in.
    """
    if name not in PICTURES:
        raise CallError(f"no picture '{name}': expected one of {', '.join(PICTURES)}")
    file = folder / f"{name}.png"
    if name in _REPORTS:
        _photograph(name, file)
    else:
        save_picture(read_result(RESULTS / f"{name}.json"), file)
    return file


def _photograph(name: str, file: Path) -> None:
    """Show a report in a browser, and take a picture of the first screen."""
    from playwright.sync_api import sync_playwright

    found = [RESULTS / f"{result}.json" for result in _REPORTS[name]]
    page_file = file.with_suffix(".html")
    page_file.write_text(render_report([(path, read_result(path)) for path in found]), encoding="utf-8")
    (width, height), chromium = _WINDOWS[name], _find_chromium()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            scheme: Any = "dark" if name.endswith("dark") else "light"
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(page_file.resolve().as_uri())
            page.screenshot(path=file)
            browser.close()
    finally:
        page_file.unlink()


def _find_chromium() -> str:
    for program in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(program):
            return found
    raise CallError("no Chromium to show the report in: apt-get install chromium")


def take(saved: Path) -> Path:
    """Copy a saved result to the others, without the texts of its data set and with the command as it is documented."""
    payload: dict[str, Any] = json.loads(saved.read_text(encoding="utf-8"))
    if payload.get("schema") != SCHEMA or saved.stem not in COMMANDS:
        raise CallError(f"'{saved}': expected a saved result, named after one of {', '.join(COMMANDS)}")
    if "examples" in payload:
        payload["examples"] = None
    payload["command"] = COMMANDS[saved.stem]
    file = RESULTS / saved.name
    file.write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")
    return file


def main(say: Callable[[str], object] = print) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description="Draw the pictures of README and documentation.")
    parser.add_argument("names", nargs="*", default=PICTURES, help="which; default: all")
    parser.add_argument("--take", type=Path, action="append", default=[], help="a saved result to be drawn from")
    options = parser.parse_args()
    for saved in options.take:
        say(str(take(saved)))
    for name in () if options.take else options.names:
        say(str(draw(name)))


if __name__ == "__main__":
    main()
