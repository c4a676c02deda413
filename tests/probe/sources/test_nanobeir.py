"""Names of the NanoBEIR data sets."""

import re

import pytest

from probe.errors import CallError
from probe.io.package_data import read_table
from probe.sources.loading import load_dataset
from probe.sources.nanobeir import find_nano, is_nano, nano_address, nanobeir_names
from probe.sources.several import request_datasets


def test_the_names_are_those_of_sentence_transformers() -> None:
    from sentence_transformers.sentence_transformer.evaluation import nano_beir

    assert nanobeir_names() == sorted(f"Nano{name}" for name in nano_beir.DATASET_NAME_TO_HUMAN_READABLE.values())


def test_every_repository_is_pinned_to_a_commit() -> None:
    revisions = read_table("sources", "nanobeir")["revisions"]
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions.values())
    assert len(set(revisions.values())) == len(nanobeir_names()) == 13
    assert nano_address("NanoNQ") == "zeta-alpha-ai/NanoNQ@77540146379abf95df8326a3c5bb9eb21c7146c3"


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("nano-scifact", "NanoSciFact"),
        ("NanoSciFactRetrieval", "NanoSciFact"),
        ("nanobeir:scifact", "NanoSciFact"),
        ("nano-arguana", "NanoArguAna"),
        ("NanoQuora", "NanoQuoraRetrieval"),
        ("NanoFiQA", "NanoFiQA2018"),
    ],
)
def test_near_misses_get_the_name(typed: str, near: str) -> None:
    assert find_nano(typed) is None
    with pytest.raises(CallError, match=f"did you mean .*{near}"):
        load_dataset(typed)


def test_copies_by_mteb_are_nanobeir_sets_and_other_sets_are_not() -> None:
    assert is_nano("zeta-alpha-ai", "NanoClimateFEVER")
    assert is_nano("mteb", "NanoClimateFeverRetrieval")
    assert is_nano("mteb", "NanoQuoraRetrieval")
    assert not is_nano("mteb", "QuoraRetrieval")
    assert not is_nano("someone", "NanoNQ")


def test_one_name_stands_for_all_of_them() -> None:
    assert [request.name for request in request_datasets(["nanobeir"])] == nanobeir_names()
