"""Results of every kind on tiny models, and the report of them, made once through the commands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_data import make_dataset, write_lines
from typer import Typer
from typer.testing import CliRunner

import cli

__all__ = ["Reported", "make_results", "run_report"]


@dataclass(frozen=True)
class Reported:
    """Files of results, and the page that shows them."""

    layers: Path
    geometry: Path
    ladder: Path
    classify: Path
    page: Path


def make_results(folder: Path, tiny_folder: Callable[[str], Path]) -> Reported:
    """Run four commands and the report."""
    data, bert, mpnet = make_dataset(folder / "tiny"), str(tiny_folder("bert")), str(tiny_folder("mpnet"))
    labelled = folder / "labelled.csv"
    texts = [(f"river stone {i}", "a") if i % 2 else (f"cloud night {i}", "b") for i in range(24)]
    write_lines(labelled, ["text,label", *(f"{text},{label}" for text, label in texts)])
    files = {name: folder / f"{name}.json" for name in ("layers", "geometry", "ladder", "classify")}
    common = ["-d", str(data), "--no-store"]
    _run(cli.probe_app, "layers", "-m", bert, "--lens", *common, "--save", str(files["layers"]))
    _run(cli.probe_app, "geometry", "-m", bert, "-m", mpnet, *common, "--save", str(files["geometry"]))
    ladder = ["-m", f"{bert}@2:mean", "--dims", "8,4", "--kinds", "pca,spectral"]
    _run(cli.adaptors_app, "rank", *ladder, *common, "--save", str(files["ladder"]))
    classify = ["-m", bert, "-d", str(labelled), "--folds", "3", "--no-store", "--save", str(files["classify"])]
    _run(cli.probe_app, "classify", *classify)
    page = folder / "report.html"
    run_report(*files.values(), out=page)
    return Reported(**files, page=page)


def run_report(*results: Path, out: Path) -> None:
    """Run `probe report`."""
    _run(cli.probe_app, "report", *map(str, results), "--out", str(out))


def _run(app: Typer, *args: str) -> None:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == 0, result.stderr
