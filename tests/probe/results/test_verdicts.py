"""Verdicts: what the rows show, in a sentence, and never more than a test shows."""

from dataclasses import replace
from typing import Any

import pytest

from probe.results.classification import ClassificationResult, ClassificationRow
from probe.results.geometry import GeometryResult, GeometryRow
from probe.results.leaderboard import Leaderboard, Row
from probe.results.row import Reading, Retention
from probe.results.similarity import SimilarityResult, SimilarityRow

DATA = {"name": "notes", "split": "test", "documents": 9, "queries": 3, "limited": False, "synthetic": None}
SETTINGS = {"metric": "ndcg@10", "metrics": ["ndcg@10"], "dataset": {**DATA, "defects": []}, "models": []}


def layer(number: int, delta: float | None, p_value: float | None = None, **more: Any) -> Row:
    point = Reading("m", number, more.pop("pooling", "mean"))
    score = {"ndcg@10": 0.5 + (delta or 0.0)}
    cost = more.pop("cost", number / 6)
    return Row(
        0,
        point.spec,
        number,
        point.pooling,
        8,
        scores=score,
        delta=delta,
        p_value=p_value,
        cost=cost,
        hookpoints=(point,),
        **more,
    )


def encoder(name: str, delta: float | None, p_value: float | None = None, **more: Any) -> Row:
    score = {"ndcg@10": 0.5 + (delta or 0.0)}
    return Row(0, name, dim=more.pop("dim", 8), scores=score, delta=delta, p_value=p_value, **more)


def verdict(*rows: Row, **settings: Any) -> str:
    ordered = sorted(rows, key=lambda row: -row.scores["ndcg@10"])
    ranked = tuple(replace(row, rank=number) for number, row in enumerate(ordered, 1))
    baseline = next(row.encoder for row in rows if row.delta is None)
    model = {"name": "m", "layers": 6, "own_pooling": "mean"}
    return Leaderboard("", "", {**SETTINGS, "models": [model], "baseline": baseline, **settings}, ranked).verdict()


FULL = layer(6, None)
LAYERS: dict[str, tuple[list[Row], str]] = {
    "none is near": (
        [FULL, layer(5, -0.067, 0.0001, adaptor="lens"), layer(5, -0.4, 0.0001), layer(4, -0.2, 0.0001)],
        "No layer below 6 scores within 0.01 of the full model; the nearest, layer 5 with its lens, is 0.067 worse "
        "(significant) and 17% cheaper.",
    ),
    "the cheapest that is near is named": (
        [FULL, layer(5, -0.001, 0.9), layer(3, -0.0042, 0.31), layer(2, -0.3, 0.0001)],
        "Layer 3 scores within 0.01 of the full model, 0.0042 lower (not significant, p 0.310) and is 50% cheaper.",
    ),
    "a difference that is near may be significant": (
        [FULL, layer(5, -0.004, 0.0001)],
        "Layer 5 scores within 0.01 of the full model, 0.0040 lower (significant) and is 17% cheaper.",
    ),
    "better": (
        [FULL, layer(5, 0.02, 0.0001)],
        "Layer 5 is better than the full model by 0.020 (significant) and is 17% cheaper.",
    ),
    "another pooling of the last layer is better": (
        [FULL, layer(6, 0.02, 0.0001, pooling="max"), layer(5, -0.3, 0.0001)],
        "No layer below 6 scores within 0.01 of the full model; the nearest, layer 5, is 0.300 worse (significant) "
        "and 17% cheaper. m@6:max is significantly better than the baseline m@6:mean, by 0.020 nDCG@10 at 100% of "
        "its cost.",
    ),
    "no test is possible": (
        [FULL, layer(5, -0.3)],
        "No layer below 6 scores within 0.01 of the full model; the nearest, layer 5, is 0.300 worse (not tested) "
        "and 17% cheaper.",
    ),
    "collapsed layers are not compared": (
        [FULL, layer(5, 0.1, 0.0001, collapsed=True)],
        "m@6:mean has nothing to compare with: nDCG@10 0.5000.",
    ),
    "the baseline is collapsed": (
        [replace(FULL, collapsed=True), layer(5, 0.1, 0.0001)],
        "Nothing can be compared: the vectors of the baseline m@6:mean are all equal.",
    ),
}


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_layers(case: tuple[list[Row], str]) -> None:
    rows, words = case
    assert verdict(*rows) == words


def test_only_layers_below_a_full_model_are_compared_with_a_full_model() -> None:
    assert verdict(layer(4, None), layer(3, -0.2, 0.0001)).startswith("The baseline m@4:mean is significantly better")
    other = [FULL, layer(5, -0.2, 0.0001), encoder("b", -0.1, 0.0001, hookpoints=(Reading("b", 6, "mean"),))]
    assert verdict(*other).startswith("The baseline m@6:mean is significantly better than both others; the next, b,")
    assert verdict(FULL, layer(5, -0.2, 0.0001), encoder("bm25", -0.1, 0.0001)).startswith("No layer below 6 ")


ENCODERS: dict[str, tuple[list[Row], str]] = {
    "one is better": (
        [encoder("a", None), encoder("b", 0.03, 0.0001, cost=0.5), encoder("c", 0.02, 0.3)],
        "b is significantly better than the baseline a, by 0.030 nDCG@10 at 50% of its cost.",
    ),
    "nothing is shown": (
        [encoder("a", None), encoder("b", 0.03, 0.2), encoder("c", -0.2, 0.0001)],
        "No encoder is significantly better than the baseline a: the best, b, is 0.030 higher (not significant, "
        "p 0.200); 1 of 2 are significantly worse.",
    ),
    # 0.03 twice is 0.06 after correction.
    "a small p-value that does not survive the correction": (
        [encoder("a", None), encoder("b", 0.03, 0.03), encoder("c", 0.02, 0.04)],
        "No encoder is significantly better than the baseline a: the best, b, is 0.030 higher (not significant after "
        "Holm's correction, p 0.030).",
    ),
    "the baseline is best": (
        [encoder("a", None), encoder("b", -0.03, 0.2), encoder("c", -0.2, 0.0001)],
        "The baseline a scores highest; the next, b, is 0.030 lower (not significant, p 0.200); 1 of 2 are "
        "significantly worse.",
    ),
    "the baseline is better than all": (
        [encoder("a", None), encoder("b", -0.03, 0.0001), encoder("c", -0.2, 0.0001)],
        "The baseline a is significantly better than both others; the next, b, is 0.030 lower.",
    ),
    "the baseline is better than the other": (
        [encoder("a", None), encoder("b", -0.03, 0.0001)],
        "The baseline a is significantly better than b, which is 0.030 lower.",
    ),
}


@pytest.mark.parametrize("case", ENCODERS.values(), ids=ENCODERS)
def test_encoders_side_by_side(case: tuple[list[Row], str]) -> None:
    rows, words = case
    assert verdict(*rows) == words


def test_adaptors_are_compared_with_the_frozen_encoder_and_with_pca() -> None:
    rows = [
        encoder("a", None),
        encoder("a", 0.02, 0.0001, dim=4, adaptor="distil", pca_delta=0.03, pca_p_value=0.0001),
        encoder("a", -0.01, 0.4, dim=4, adaptor="pca"),
        encoder("a", -0.05, 0.0001, dim=2, adaptor="pca"),
        encoder("a", -0.06, 0.0001, dim=2, adaptor="distil", pca_delta=-0.01, pca_p_value=0.3),
    ]
    assert verdict(*rows, recommended="distil") == (
        "Best at 4 dimensions: distil, 0.020 above the frozen encoder and 0.030 above PCA (both significant); at 2: "
        "pca, 0.050 below the frozen encoder (significant)."
    )
    also = [encoder("b", 0.04, 0.2, dim=4, adaptor="mlp", labels="train", pca_delta=0.05, pca_p_value=0.2)]
    assert verdict(*rows, *also, recommended="distil").startswith(
        "Best at 4 dimensions: mlp (labels train) on b, 0.040 above the baseline a (not significant, p 0.200) and "
        "0.050 above PCA (not significant, p 0.200); at 2: pca on a, "
    )


def mapped(name: str, source: tuple[float, float], target: tuple[float, float]) -> Row:
    kept = (Retention("a", *source), Retention("b", *target))
    return encoder(name, 0.1, 0.5, dim=4, adaptor="map", retention=kept)


def test_a_map_is_compared_with_both_of_its_models() -> None:
    alone = [encoder("a", None), encoder("b", 0.1, 0.0001)]
    fair = mapped("a > b", (1.02, 0.3), (0.9, 0.0001))
    assert verdict(*alone, fair) == (
        "The map a > b keeps 102.0% of a alone (not significant, p 0.300) and 90.0% of b alone (significant)."
    )
    poor = mapped("a > b", (0.8, 0.0001), (0.7, 0.0001))
    assert verdict(*alone, poor).endswith("It is worse than a alone, whose own index is the better way.")
    # 0.02 twice is 0.04 after correction; among four tests it is not significant.
    assert "80.0% of a alone (significant)" in verdict(*alone, mapped("a > b", (0.8, 0.02), (0.9, 0.04)))
    several = verdict(*alone, mapped("a > b", (0.8, 0.02), (0.9, 0.3)), mapped("c > b", (0.7, 0.3), (0.6, 0.3)))
    assert several.startswith("The best map a > b keeps 80.0% of a alone (not significant after Holm's correction")
    assert "1 more in the table" in several


def test_maps_are_judged_before_other_adaptors() -> None:
    rows = [encoder("a", None), mapped("a > b", (1.0, 0.3), (1.0, 0.3)), encoder("a", -0.1, 0.4, dim=2, adaptor="pca")]
    words = verdict(*rows, recommended="distil")
    assert words.startswith("The map a > b keeps ")
    assert words.endswith("Best at 2 dimensions: pca on a, 0.100 below the baseline a (not significant, p 0.400).")


def classified(*scores: float, floor: float = 0.4, p_value: float = 0.5) -> ClassificationResult:
    full = scores[-1]
    rows = [
        ClassificationRow(
            number + 1,
            f"m@{number}:mean",
            None,
            number,
            "mean",
            8,
            score,
            (score - 0.05, score + 0.05),
            delta=None if number == len(scores) - 1 else score - full,
            p_value=None if number == len(scores) - 1 else p_value,
        )
        for number, score in enumerate(scores)
    ]
    rows.append(ClassificationRow(9, "majority-class baseline", "majority", accuracy=floor, delta=floor - full))
    settings = {**SETTINGS, "metric": "accuracy", "baseline": f"m@{len(scores) - 1}:mean"}
    return ClassificationResult("", "", settings, tuple(rows))


def test_the_other_measure_is_named_where_it_alone_shows_something() -> None:
    board = classified(0.5, 0.44)
    full, floor = board.rows[1], board.rows[2]
    rows = (board.rows[0], replace(full, macro_f1=0.7, macro_f1_ci95=(0.6, 0.8)), replace(floor, macro_f1=0.45))
    assert (
        replace(board, rows=rows)
        .verdict()
        .endswith("but its macro-f1 is above the baseline's (0.700, 0.450): see --metric macro-f1.")
    )


def test_probes_are_placed_between_the_majority_class_and_the_full_model() -> None:
    assert classified(0.916, 0.931, 0.962, floor=0.396).verdict() == (
        "Layers 0–1 reach 92–95% of the full model's gain over the majority-class baseline (accuracy 0.916–0.931, "
        "full model 0.962, majority-class baseline 0.396); none is significantly below it."
    )
    assert "; 1 of 1 are significantly below it." in classified(0.7, 0.9, p_value=0.001).verdict()
    assert classified(0.5, 0.44).verdict() == (
        "Nothing shows that the full model reads the label (accuracy: full model 0.440, majority-class baseline 0.400)."
    )


def test_similarity_names_the_best_layer_and_its_test() -> None:
    rows = (
        SimilarityRow(1, "m@6:mean", 6, "mean", 8, 0.8),
        SimilarityRow(2, "m@5:mean", 5, "mean", 8, 0.7, delta=-0.1, p_value=0.0001),
    )
    result = SimilarityResult("", "", {**SETTINGS, "baseline": "m@6:mean"}, rows)
    assert result.verdict() == (
        "The full model agrees best with the gold scores (Spearman 0.800); the next, m@5:mean, is 0.100 lower "
        "(significant); 1 of 1 layers are significantly below it."
    )
    better = (replace(rows[1], rank=1, spearman=0.82, delta=0.02, p_value=0.4), replace(rows[0], rank=2))
    assert replace(result, rows=better).verdict() == (
        "m@5:mean agrees best with the gold scores (Spearman 0.820), 0.020 above the full model (not significant, "
        "p 0.400); no layer is significantly below it."
    )


def test_geometry_names_the_most_and_the_least_anisotropic_layer() -> None:
    row = GeometryRow("m@0:mean", 0, "mean", 8, 0.8, 2.0, 0.5, 1.0, 0.1, None, -1.0, (), (1.0,), False)
    rows = (row, replace(row, encoder="m@1:mean", layer=1, mean_cosine=0.2, effective_rank=6.0))
    assert GeometryResult("", "", SETTINGS, rows, ((1.0, 0.5), (0.5, 1.0))).verdict() == (
        "m:mean is least anisotropic at layer 1 (mean cosine 0.20, effective rank 6 of 8), most at layer 0 (0.80, "
        "effective rank 2)."
    )
