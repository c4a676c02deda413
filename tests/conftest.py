"""Fixtures shared by all tests: tiny models of every family, each written and loaded once; no network."""

import builtins
import gc
import os
import random
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest
import typer.main
from slow_files import pytest_collection_modifyitems, pytest_ignore_collect, pytest_itemcollected  # noqa: F401

if TYPE_CHECKING:
    from drawn_pairs import DrawnPairs
    from fresh_forks import FreshForks
    from real_states import Spied

    from probe.data.dataset import Dataset
    from probe.models.loaded import LoadedModel


def pytest_configure(config: pytest.Config) -> None:
    """Set what the hub's client and torch read once, when they are imported; keep out of the user's cache."""
    # By itself xdist begins with the files that have most tests, not with those that take longest.
    config.option.loadscopereorder = False
    # A process of several inherits both.
    own = os.environ.get("ENCODER_SURGERY_CACHE") or str(platformdirs.user_cache_path("encoder-surgery"))
    os.environ.setdefault("ENCODER_SURGERY_USER_CACHE", own)
    os.environ["ENCODER_SURGERY_CACHE"] = tempfile.mkdtemp(prefix="encoder-surgery-tests-")
    os.environ["HF_HUB_OFFLINE"] = "1"
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    # On a busy machine torch's threads would spin for minutes over models this small.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # An app's commands are built once, not at each of some thousand calls.
    pytest.MonkeyPatch().setattr("typer.testing._get_command", cache(typer.main.get_command))


def pytest_collection_finish() -> None:
    """Leave what was imported so far out of all later searches for garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Have a fixture draw the same numbers, whichever tests this process ran before."""
    _seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Have a test draw the same numbers, alone or among others, and others than its fixtures."""
    _seed(item.nodeid)


def _seed(name: str) -> None:
    seed = zlib.crc32(name.encode())
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def pytest_unconfigure() -> None:
    """Remove the tests' cache folder."""
    shutil.rmtree(os.environ["ENCODER_SURGERY_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a family, with prompts and its own pooling; shared by all tests, so never written to."""
    from tiny_models import FAMILIES, PROMPTS, write_model, write_sentence_transformer

    root = tmp_path_factory.mktemp("tiny")

    @cache
    def write(family: str) -> Path:
        folder = write_model(root / family, family)
        return write_sentence_transformer(folder, FAMILIES[family].pooling, PROMPTS)

    return write


@pytest.fixture(scope="session")
def load_tiny(tiny_folder: Callable[[str], Path]) -> "Callable[..., LoadedModel]":
    """Return the loaded model of a family, in float32 on the processor; shared, so never changed."""
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions

    @cache
    def load(family: str, **options: Any) -> "LoadedModel":
        return load_model(str(tiny_folder(family)), LoadOptions(dtype="float32", device="cpu", **options))

    return load


@pytest.fixture(scope="session")
def model(load_tiny: "Callable[[str], LoadedModel]") -> "LoadedModel":
    """Return the tiny BERT."""
    return load_tiny("bert")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> "Dataset":
    """Return a tiny data set of the words the tiny models know, in memory."""
    from dataclasses import replace

    from tiny_data import make_dataset

    from probe.data.texts import Texts
    from probe.sources.loading import load_dataset

    streamed = load_dataset(str(make_dataset(tmp_path_factory.mktemp("data") / "tiny")))
    return replace(streamed, documents=Texts.gather(streamed.documents))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes a package one that is not installed, until the test ends."""
    real = builtins.__import__

    def leave_out(package: str) -> None:
        def refuse(name: str, *rest: Any, **more: Any) -> Any:
            if name.partition(".")[0] == package:
                raise ImportError(name)
            return real(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", refuse)

    return leave_out


@pytest.fixture(scope="session")
def drawn_pairs(tmp_path_factory: pytest.TempPathFactory) -> "DrawnPairs":
    """Return drawings with captions, and two towers before and after they were tuned on them."""
    from drawn_pairs import make_pairs

    return make_pairs(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def fresh_forks() -> Iterator["FreshForks"]:
    """Return what runs Python in processes that know nothing of this one, and start quickly."""
    from fresh_forks import FreshForks

    forks = FreshForks()
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def quick_checks(fresh_forks: "FreshForks") -> Iterator[None]:
    """Have saved folders checked in forks; that of the commands `cut` and `fuse` is a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surgery.saving.fresh_process.subprocess", SimpleNamespace(run=fresh_forks.run))
        yield


@pytest.fixture(scope="session")
def spied() -> "Spied":
    """Return how the layers of MiniLM rank SciFact, with their states; takes minutes."""
    from real_states import read_scifact

    return read_scifact()
