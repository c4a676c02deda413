"""Every loss for tuning, with its formula, data layout and source."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from adaptors.finetuning.loss_spec import LossEntry, TuningLoss, Wrapper
from adaptors.rows.columns import BINARY, CLASSES, LISTS, PAIRS, SCORED, TEXTS, TRIPLETS, TRIPLETS_OR_PAIRS
from probe.errors import CallError, did_you_mean

__all__ = ["TUNING_LOSSES", "WRAPPERS", "find_loss", "find_wrapper"]

_SCALE = {"temperature": "scale"}
_TEMPERATURE = {"temperature": "temperature"}
_MARGIN = {"margin": "margin"}
_GIST = {**_TEMPERATURE, **_MARGIN, "guide": "guide"}
_MINI_BATCH = {"mini_batch": "mini_batch_size"}
_DIMS = {"dims": "matryoshka_dims"}
_WEIGHT = {"weight": "weight"}
_BOTH_WAYS = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}


def _cosine_of_triplets(losses: Any) -> Any:
    return losses.TripletDistanceMetric.COSINE


def _cosine_of_batches(losses: Any) -> Any:
    return losses.BatchHardTripletLossDistanceFunction.cosine_distance


def _gathers(losses: Any) -> bool:
    """Whether a loss with a gradient cache has to gather the vectors of several processes."""
    from adaptors.training.distributed import world_size

    return world_size() > 1


_GATHERED = {"gather_across_devices": _gathers}
_HARD_TRIPLETS = {"distance_metric": _cosine_of_batches, "margin": 0.2}


_INFONCE = "mean of -log(exp(s(q,d)/t) / sum over all documents x of exp(s(q,x)/t))"
_OORD = (
    "van den Oord et al. 2018; N-pairs: Sohn, NIPS 2016; symmetric: Radford et al., ICML 2021 (CLIP); GradCache: Gao "
    "et al., RepL4NLP 2021"
)
_HERMANS = "Hermans et al. 2017"
_GISTS = "infonce over q-d, q-q, d-d, q-n without texts that the guide scores higher than d"

_LOSSES = (
    TuningLoss(
        "infonce",
        _INFONCE,
        _OORD,
        "MultipleNegativesRankingLoss",
        {**_SCALE, **_MINI_BATCH, "symmetric": ""},
        layout=PAIRS,
        cached="CachedMultipleNegativesRankingLoss",
        cached_fixed=_GATHERED,
        symmetric=_BOTH_WAYS,
    ),
    TuningLoss(
        "arcface",
        "infonce with cos(angle(q,d) + m_i) for s(q,d), m_i largest for the hardest pair",
        "Deng et al., CVPR 2019; margins: Boutros et al., CVPRW 2022 (ElasticFace-Arc+)",
        "adaptors.losses.pairwise.AdaptiveArcFaceLoss",
        {**_TEMPERATURE, **_MARGIN},
        theirs=False,
        layout=PAIRS,
    ),
    TuningLoss(
        "hinge",
        "mean of max(0, m - (s(q,d) - s(q,n))); n: the row's negatives, or the batch's",
        "Frome et al., NIPS 2013 (DeViSE)",
        "adaptors.losses.pairwise.HingeLoss",
        _MARGIN,
        theirs=False,
        layout=PAIRS,
    ),
    TuningLoss(
        "logistic",
        "mean of log(1 + exp(-(s(q,d) - s(q,n))/t)); n as for hinge",
        "Burges et al., ICML 2005 (RankNet)",
        "adaptors.losses.pairwise.LogisticLoss",
        _TEMPERATURE,
        theirs=False,
        layout=PAIRS,
    ),
    TuningLoss(
        "alignment-anisotropy",
        "mean of (1 - s(q,d))/t + (A(Q,Q) + A(D,D))/2 + A(Q,D); A: log mean of exp(s/t) off the diagonal",
        "Wang and Isola, ICML 2020; across sides: Fahim et al. 2024",
        "adaptors.losses.pairwise.AlignmentAnisotropyLoss",
        _TEMPERATURE,
        theirs=False,
        layout=PAIRS,
    ),
    TuningLoss(
        "gist",
        _GISTS,
        "Solatorio 2024 (GISTEmbed)",
        "GISTEmbedLoss",
        {**_GIST, **_MINI_BATCH},
        needs=frozenset({"guide"}),
        layout=TRIPLETS_OR_PAIRS,
        cached="CachedGISTEmbedLoss",
        cached_fixed=_GATHERED,
    ),
    TuningLoss(
        "simcse",
        "infonce of a text with itself, with a different dropout mask",
        "Gao et al., EMNLP 2021 (SimCSE)",
        "MultipleNegativesRankingLoss",
        _SCALE,
        layout=TEXTS,
    ),
    TuningLoss(
        "triplet",
        "mean of max(0, m + (1 - s(q,d)) - (1 - s(q,n)))",
        "Schroff et al., CVPR 2015 (FaceNet)",
        "TripletLoss",
        {"margin": "triplet_margin"},
        fixed={"distance_metric": _cosine_of_triplets, "triplet_margin": 0.2},
        layout=TRIPLETS,
    ),
    TuningLoss(
        "batch-hard-triplet",
        "triplet of the farthest text of the class and the nearest of another class",
        _HERMANS,
        "BatchHardTripletLoss",
        _MARGIN,
        fixed=_HARD_TRIPLETS,
        layout=CLASSES,
    ),
    TuningLoss(
        "batch-semi-hard-triplet",
        "triplet of every text of the class and the nearest text of another class that is farther",
        "Schroff et al., CVPR 2015 (FaceNet)",
        "BatchSemiHardTripletLoss",
        _MARGIN,
        fixed=_HARD_TRIPLETS,
        layout=CLASSES,
    ),
    TuningLoss(
        "contrastive",
        "mean of (y c^2 + (1 - y) max(0, m - c)^2)/2, c = 1 - s, y the label",
        "Hadsell et al., CVPR 2006",
        "ContrastiveLoss",
        _MARGIN,
        layout=BINARY,
    ),
    TuningLoss(
        "online-contrastive",
        "contrastive, summed over the hard pairs of the batch",
        "sentence-transformers",
        "OnlineContrastiveLoss",
        _MARGIN,
        layout=BINARY,
    ),
    TuningLoss(
        "cosent",
        "log(1 + sum of exp((s_k - s_i)/t) over pairs i with a higher label than k)",
        "Su 2022; Huang et al., TASLP 2024",
        "CoSENTLoss",
        _SCALE,
        layout=SCORED,
    ),
    TuningLoss(
        "angle",
        "cosent with the angle of complex vectors for s",
        "Li and Li, ACL 2024 (AnglE)",
        "AnglELoss",
        _SCALE,
        layout=SCORED,
    ),
    TuningLoss(
        "margin-mse",
        "mean of ((q.d_1 - q.d_k) - (y_1 - y_k))^2, y a teacher's scores",
        "Hofstätter et al. 2020",
        "MarginMSELoss",
        layout=LISTS,
    ),
    TuningLoss(
        "distill-kl",
        "t^2 KL(softmax(y/t), softmax(q.d/t)), y a cross-encoder's scores",
        "Lin et al. 2020",
        "DistillKLDivLoss",
        _TEMPERATURE,
        layout=LISTS,
    ),
)

_WRAPPERS = (
    Wrapper(
        "matryoshka",
        "sum of L over prefixes of the vectors",
        "Kusupati et al., NeurIPS 2022",
        "MatryoshkaLoss",
        _DIMS,
        needs=frozenset({"dims"}),
        over=frozenset({"prefixes"}),
    ),
    Wrapper(
        "matryoshka-2d",
        "L over prefixes of the vectors and over layers",
        "Li et al. 2024 (2D Matryoshka)",
        "Matryoshka2dLoss",
        _DIMS,
        needs=frozenset({"dims"}),
        over=frozenset({"prefixes", "layers"}),
    ),
    Wrapper(
        "adaptive-layer",
        "L at the last layer and at others, with KL between them",
        "Li et al. 2024 (2D Matryoshka)",
        "AdaptiveLayerLoss",
        over=frozenset({"layers"}),
    ),
    Wrapper(
        "collapse-guard",
        "L + w mean of max(0, 1 - spread/floor) over rows and columns of the cosines",
        "encoder-surgery; hinge on the spread: Bardes et al., ICLR 2022 (VICReg)",
        "adaptors.losses.regularizers.CollapseGuard",
        _WEIGHT,
        theirs=False,
    ),
    Wrapper(
        "spectral-flattening",
        "L + w (e - 1/r)/(1 - 1/r), e the largest eigenvalue of U U^T / B, r = min(B, D)",
        "encoder-surgery; after Gao et al., EMNLP 2021, section 5",
        "adaptors.losses.regularizers.SpectralFlattening",
        _WEIGHT,
        theirs=False,
    ),
    Wrapper(
        "global-orthogonal",
        "L + w (M_1^2 + max(0, M_2 - 1/D)), M_1 and M_2 the mean and the mean square of s of different texts",
        "Zhang et al., ICCV 2017 (GOR); Vera et al. 2025 (EmbeddingGemma)",
        "adaptors.losses.regularizers.OrthogonalRegularization",
        _WEIGHT,
    ),
)

TUNING_LOSSES = {loss.name: loss for loss in _LOSSES}
WRAPPERS = {wrapper.name: wrapper for wrapper in _WRAPPERS}

_Entry = TypeVar("_Entry", bound=LossEntry)
# Default of sentence-transformers' classes with a gradient cache.
_USUAL_MINI_BATCH = 32


def find_loss(name: str) -> tuple[TuningLoss, Mapping[str, Any]]:
    """Return a loss by its name or class, and the settings implied by the class name.

    Args:
        name: One of `TUNING_LOSSES`, or a class of sentence-transformers in any case, including those with a gradient
            cache (`CachedGISTEmbedLoss`) and symmetric ones.

    Raises:
        CallError: The loss does not exist.
    """
    if name in TUNING_LOSSES:
        return TUNING_LOSSES[name], {}
    for form, implied in _forms(name):
        for loss in TUNING_LOSSES.values():
            if form == loss.class_name.lower() and implied.keys() <= loss.options.keys():
                return loss, implied
    raise _unknown("loss", name, TUNING_LOSSES.values())


def _forms(name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield candidates for the base class of a class name, with the settings that make them equivalent."""
    form, implied = name.lower(), {}
    if form.startswith("cached"):
        form, implied = form.removeprefix("cached"), {"mini_batch": _USUAL_MINI_BATCH}
    yield form, implied
    yield form.replace("symmetric", ""), {**implied, "symmetric": True}


def find_wrapper(name: str) -> Wrapper:
    """Return a loss wrapper by its name or class.

    Raises:
        CallError: The wrapper does not exist.
    """
    for wrapper in WRAPPERS.values():
        if name == wrapper.name or name.lower() == wrapper.class_name.lower():
            return wrapper
    raise _unknown("loss wrapper", name, WRAPPERS.values())


def _unknown(kind: str, name: str, known: Iterable[_Entry]) -> CallError:
    names = [entry.name for entry in known]
    classes = [entry.class_name for entry in known]
    return CallError(
        f"unknown {kind} '{name}': {did_you_mean(name, [*names, *classes] if name[:1].isupper() else names)}"
    )
