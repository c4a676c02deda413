"""What is said of the package in several files: one version, the same tools, every extra, paths that exist."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What only those need who work on the package itself.
FOR_DEVELOPERS = {"docs", "dev", "bench"}
PYTHONS = ["3.11", "3.12", "3.13"]


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def pinned() -> dict[str, str]:
    """Return the versions that constraints.txt pins."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line.split("==") for line in text.splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in lines}


def test_citation_is_complete_and_has_the_version() -> None:
    cited = read_yaml("CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert [set(author) <= {"name", "family-names", "given-names", "orcid"} for author in cited["authors"]] == [True]
    found = [str(cited[key]) for key in ("title", "version", "license", "abstract", "repository-code")]
    assert found == [
        *(PROJECT[key] for key in ("name", "version", "license", "description")),
        PROJECT["urls"]["Homepage"],
    ]


def test_the_changelog_begins_with_the_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == PROJECT["version"]
    assert len(set(headings)) == len(headings)


def test_no_module_repeats_the_version() -> None:
    packages = ("probe", "surgery", "adaptors", "encoder_surgery")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert [file for file in files if f'"{PROJECT["version"]}"' in file.read_text(encoding="utf-8")] == []


def test_the_extra_all_has_every_extra_for_users() -> None:
    (everything,) = (Requirement(text) for text in PROJECT["optional-dependencies"]["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS - {"all"}


def test_every_requirement_is_pinned() -> None:
    texts = [*PROJECT["dependencies"], *(text for some in PROJECT["optional-dependencies"].values() for text in some)]
    wanted = [Requirement(text) for text in texts if not text.startswith(PROJECT["name"])]
    versions = pinned()
    assert [one.name for one in wanted if canonicalize_name(one.name) not in versions] == []
    assert [str(one) for one in wanted if versions[canonicalize_name(one.name)] not in one.specifier] == []


def test_classifiers_name_the_pythons_that_are_tested() -> None:
    prefix = "Programming Language :: Python :: "
    named = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if re.fullmatch(rf"{prefix}3\.\d+", one)]
    (job,) = read_yaml(".github/workflows/test.yml")["jobs"].values()
    assert named == job["strategy"]["matrix"]["python"] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_the_workflow_runs_the_two_commands_of_the_readme() -> None:
    workflow = read_yaml(".github/workflows/test.yml")
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make demo", "make test-all"]
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert [step["with"]["cache"] for step in job["steps"] if "setup-python" in step.get("uses", "")] == ["pip"]


def test_hooks_run_the_pinned_tools_of_the_environment() -> None:
    pytest.importorskip("pre_commit")
    from pre_commit.clientlib import load_config

    repositories = load_config(str(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    commands = {hook["id"]: hook["entry"].split()[0] for hook in repositories[0]["hooks"]}
    # A hook that calls the tools of .venv has the versions that the Makefile installs there.
    assert commands == {"ruff-check": ".venv/bin/ruff", "ruff-format": ".venv/bin/ruff", "mypy": ".venv/bin/mypy"}
    assert "--constraint constraints.txt" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"ruff", "mypy", "pre-commit"} <= set(pinned())


def test_what_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w./]+/[\w./]*|\w+\.(?:toml|txt|cff|md))`", text)
    links = re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", text)
    assert len(paths) > 10
    assert [path for path in paths if path != "site/" and not (ROOT / path).exists()] == []
    for file, anchor in links:
        headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], (file, anchor)


def test_make_targets_that_contributing_names_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"make ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert set(named) - set(targets) - {"are"} == set()
