"""Tuning both towers of a two-tower model: captions find images that nobody showed it, and layers learn in order."""

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_pairs import LEARNING, UNSEEN, DrawnPairs, draw_pairs, embed_sides, recall_at_1, tune_on

from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.parameters import Scope
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.opening import open_reader
from probe.experiments.options import RunOptions
from probe.experiments.two_towers import open_towers, rank_towers
from probe.layers.hookpoint import model_of
from probe.metrics.retrieval import Metric
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset

pytestmark = pytest.mark.usefixtures("quick_checks")

OPTIONS = LoadOptions(dtype="float32", device="cpu")
CHANCE = 1 / UNSEEN


@pytest.mark.parametrize("way", ["", ":captions"])
def test_captions_and_images_of_unseen_combinations_find_each_other(drawn_pairs: DrawnPairs, way: str) -> None:
    test = load_dataset(f"{drawn_pairs.data}{way}", "test")
    assert len(test.queries) == len(test.documents) == UNSEEN
    before, after = (recall_at_1(embed_sides(folder, test), test) for folder in (drawn_pairs.base, drawn_pairs.tuned))
    assert before <= 3 * CHANCE
    assert after > 0.9


def test_recall_rises_with_the_layer_of_the_image_tower(drawn_pairs: DrawnPairs) -> None:
    test = load_dataset(str(drawn_pairs.data), "test")
    queries, _ = embed_sides(drawn_pairs.tuned, test)
    reader = open_reader(f"{drawn_pairs.tuned}@image", OPTIONS)
    images = [image for _, image in test.documents]
    own = reader.model.pooling or ""
    vectors = [HookpointEncoder(reader, layer, own).encode_document(images) for layer in range(reader.model.depth + 1)]
    found = [recall_at_1((queries, layer), test) for layer in vectors]
    assert found == sorted(found)
    assert found[0] <= 3 * CHANCE
    assert found[-1] > 0.9


def test_rows_of_the_leaderboard_rise_with_the_layer_of_either_tower(drawn_pairs: DrawnPairs) -> None:
    test = load_dataset(str(drawn_pairs.data), "test")
    towers = open_towers(str(drawn_pairs.tuned), test, OPTIONS)
    board = rank_towers(towers, test, options=RunOptions(Metric("recall", 1)))
    for reader in towers.swept:
        rows = [row for row in board.rows if model_of(row.encoder) == reader.model.source.name]
        found = [row.scores["recall@1"] for row in sorted(rows, key=lambda row: row.layer or 0)]
        assert len(found) == reader.model.depth + 1
        assert found == sorted(found)
        assert found[0] <= 3 * CHANCE
        assert found[-1] > 0.9


def test_low_rank_matrices_learn_other_words_for_the_same_drawings(drawn_pairs: DrawnPairs, tmp_path: Path) -> None:
    pairs = (("red", "blue"), ("green", "pink"), ("circle", "square"), ("top", "bottom"))
    said = {word: other for pair in pairs for word, other in (pair, pair[::-1])}
    data = draw_pairs(tmp_path / "said", said)
    test = load_dataset(str(data), "test")
    assert recall_at_1(embed_sides(drawn_pairs.tuned, test), test) < 0.3
    schedule = replace(LEARNING.schedule, epochs=6, lr=5e-3)
    student = open_trainable(str(drawn_pairs.tuned), tmp_path)
    out = tune_on(student, data, replace(LEARNING, scope=Scope(lora=16), schedule=schedule), tmp_path / "lora")
    assert recall_at_1(embed_sides(out, test), test) > 0.9


@pytest.mark.long
def test_low_rank_matrices_learn_most_of_it_between_random_embeddings_and_projections(
    drawn_pairs: DrawnPairs, tmp_path: Path
) -> None:
    test = load_dataset(str(drawn_pairs.data), "test")
    (tmp_path / "scratch").mkdir()
    student = open_trainable(str(drawn_pairs.base), tmp_path / "scratch")
    schedule = replace(LEARNING.schedule, lr=5e-3)
    options = replace(LEARNING, scope=Scope(lora=16), schedule=schedule)
    out = tune_on(student, drawn_pairs.data, options, tmp_path / "lora")
    assert recall_at_1(embed_sides(out, test), test) > 0.5
