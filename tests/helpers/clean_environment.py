"""A virtual environment with a wheel and its requirements, and nothing else; made of links, so within seconds."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["build_distributions", "make_environment"]


def build_distributions(source: Path, folder: Path) -> tuple[Path, Path]:
    """Build a source distribution and, from it, a wheel; return both."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def make_environment(folder: Path, wheel: Path, requirements: Iterable[str]) -> Path:
    """Make an environment with a wheel and what it requires.

    Args:
        folder: The environment.
        wheel: What is installed.
        requirements: Its requirements; they are installed here, so the environment links to them.

    Returns:
        The folder of its programs.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in _top_entries(requirements):
        if not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "--quiet", "--disable-pip-version-check"]
    # A package on PYTHONPATH would count as installed.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, env=variables)
    return programs


def _top_entries(requirements: Iterable[str]) -> Iterable[Path]:
    """Yield what every required distribution has at the top of the packages' folder here."""
    waiting, seen = [Requirement(one) for one in requirements], set[tuple[str, frozenset[str]]]()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(wanted.name)
        for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            yield Path(str(found.locate_file(name)))
        for text in found.requires or ():
            needed = Requirement(text)
            if any(not needed.marker or needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append(needed)
