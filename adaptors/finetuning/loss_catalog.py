"""Every loss for tuning, with its formula, the data it takes and where it comes from."""

from typing import Any

from adaptors.finetuning.loss_spec import TuningLoss, Wrapper, ours, ours_around, theirs, theirs_around
from adaptors.rows.columns import BINARY, CLASSES, LISTS, PAIRS, SCORED, TEXTS, TRIPLETS, TRIPLETS_OR_PAIRS

__all__ = ["TUNING_LOSSES", "WRAPPERS"]

_SCALE = {"temperature": "scale"}
_TEMPERATURE = frozenset({"temperature"})
_MARGIN = frozenset({"margin"})
_CACHE = frozenset({"temperature", "mini_batch"})
_BOTH_WAYS = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
_ANY, _BY_LABEL = "batch_sampler", "group_by_label"


def _cosine_of_triplets(losses: Any) -> Any:
    return losses.TripletDistanceMetric.COSINE


def _cosine_of_batches(losses: Any) -> Any:
    return losses.BatchHardTripletLossDistanceFunction.cosine_distance


def _gathers(losses: Any) -> bool:
    """Whether a loss that embeds in an order of its own has to gather what several processes embedded."""
    from adaptors.training.distributed import world_size

    return world_size() > 1


_INFONCE = "mean of -log(exp(s(q,d)/t) / sum over all documents x of exp(s(q,x)/t))"
_OORD = "van den Oord et al. 2018; N-pairs: Sohn, NIPS 2016"
_GAO = "Gao et al., RepL4NLP 2021 (GradCache)"
_GUENTHER = "Günther et al. 2023 (Jina 2); Radford et al., ICML 2021 (CLIP)"
_HERMANS = "Hermans et al. 2017"
_GISTS = "infonce over q-d, q-q, d-d, q-n without what the guide puts nearer than d"

_LOSSES = (
    TuningLoss("infonce", _INFONCE, PAIRS, _OORD, theirs("MultipleNegativesRankingLoss", _SCALE), _TEMPERATURE),
    TuningLoss(
        "infonce-symmetric",
        "mean of infonce from q to all documents and from d to all queries",
        PAIRS,
        _GUENTHER,
        theirs("MultipleNegativesRankingLoss", _SCALE, **_BOTH_WAYS),
        _TEMPERATURE,
    ),
    TuningLoss(
        "infonce-cached",
        "infonce, embedded in mini-batches, for large batches",
        PAIRS,
        _GAO,
        theirs("CachedMultipleNegativesRankingLoss", _SCALE, gather_across_devices=_gathers),
        _CACHE,
    ),
    TuningLoss(
        "infonce-symmetric-cached",
        "infonce-symmetric, embedded in mini-batches",
        PAIRS,
        _GAO,
        theirs("CachedMultipleNegativesRankingLoss", _SCALE, gather_across_devices=_gathers, **_BOTH_WAYS),
        _CACHE,
    ),
    TuningLoss(
        "arcface",
        "infonce with cos(angle(q,d) + m_i) for s(q,d), m_i greatest for the hardest pair",
        PAIRS,
        "Deng et al., CVPR 2019; margins: Boutros et al., CVPRW 2022 (ElasticFace-Arc+)",
        ours("adaptors.losses.pairwise", "AdaptiveArcFaceLoss"),
        _TEMPERATURE | _MARGIN,
        theirs=False,
    ),
    TuningLoss(
        "hinge",
        "mean of max(0, m - (s(q,d) - s(q,n))); n: its own negatives, or the batch's",
        PAIRS,
        "Frome et al., NIPS 2013 (DeViSE)",
        ours("adaptors.losses.pairwise", "HingeLoss"),
        _MARGIN,
        theirs=False,
    ),
    TuningLoss(
        "logistic",
        "mean of log(1 + exp(-(s(q,d) - s(q,n))/t)); n as for hinge",
        PAIRS,
        "Burges et al., ICML 2005 (RankNet)",
        ours("adaptors.losses.pairwise", "LogisticLoss"),
        _TEMPERATURE,
        theirs=False,
    ),
    TuningLoss(
        "alignment-anisotropy",
        "mean of (1 - s(q,d))/t + (A(Q,Q) + A(D,D))/2 + A(Q,D); A: log mean of exp(s/t) off the diagonal",
        PAIRS,
        "Wang and Isola, ICML 2020; across sides: Fahim et al. 2024",
        ours("adaptors.losses.pairwise", "AlignmentAnisotropyLoss"),
        _TEMPERATURE,
        theirs=False,
    ),
    TuningLoss(
        "gist",
        _GISTS,
        TRIPLETS_OR_PAIRS,
        "Solatorio 2024 (GISTEmbed)",
        theirs("GISTEmbedLoss"),
        _TEMPERATURE | _MARGIN,
        frozenset({"guide"}),
    ),
    TuningLoss(
        "gist-cached",
        "gist, embedded in mini-batches",
        TRIPLETS_OR_PAIRS,
        "Solatorio 2024; Gao et al., RepL4NLP 2021",
        theirs("CachedGISTEmbedLoss", gather_across_devices=_gathers),
        _CACHE | _MARGIN,
        frozenset({"guide"}),
    ),
    TuningLoss(
        "simcse",
        "infonce of a text with itself under another dropout",
        TEXTS,
        "Gao et al., EMNLP 2021 (SimCSE)",
        theirs("MultipleNegativesRankingLoss", _SCALE),
        _TEMPERATURE,
    ),
    TuningLoss(
        "triplet",
        "mean of max(0, m + (1 - s(q,d)) - (1 - s(q,n)))",
        TRIPLETS,
        "Schroff et al., CVPR 2015 (FaceNet)",
        theirs("TripletLoss", {"margin": "triplet_margin"}, distance_metric=_cosine_of_triplets, triplet_margin=0.2),
        _MARGIN,
        sampler=_ANY,
    ),
    TuningLoss(
        "batch-hard-triplet",
        "triplet of the furthest text of the class and the nearest of another",
        CLASSES,
        _HERMANS,
        theirs("BatchHardTripletLoss", distance_metric=_cosine_of_batches, margin=0.2),
        _MARGIN,
        sampler=_BY_LABEL,
    ),
    TuningLoss(
        "batch-semi-hard-triplet",
        "triplet of every text of the class and the nearest of another that is further",
        CLASSES,
        "Schroff et al., CVPR 2015 (FaceNet)",
        theirs("BatchSemiHardTripletLoss", distance_metric=_cosine_of_batches, margin=0.2),
        _MARGIN,
        sampler=_BY_LABEL,
    ),
    TuningLoss(
        "contrastive",
        "mean of (y c^2 + (1 - y) max(0, m - c)^2)/2, c = 1 - s, y the label",
        BINARY,
        "Hadsell et al., CVPR 2006",
        theirs("ContrastiveLoss"),
        _MARGIN,
        sampler=_ANY,
    ),
    TuningLoss(
        "online-contrastive",
        "contrastive, summed over the hard pairs of the batch",
        BINARY,
        "sentence-transformers",
        theirs("OnlineContrastiveLoss"),
        _MARGIN,
        sampler=_ANY,
    ),
    TuningLoss(
        "cosent",
        "log(1 + sum of exp((s_k - s_i)/t) over pairs i with a higher label than k)",
        SCORED,
        "Su 2022; Huang et al., TASLP 2024",
        theirs("CoSENTLoss", _SCALE),
        _TEMPERATURE,
        sampler=_ANY,
    ),
    TuningLoss(
        "angle",
        "cosent with the angle of complex vectors for s",
        SCORED,
        "Li and Li, ACL 2024 (AnglE)",
        theirs("AnglELoss", _SCALE),
        _TEMPERATURE,
        sampler=_ANY,
    ),
    TuningLoss(
        "margin-mse",
        "mean of ((q.d_1 - q.d_k) - (y_1 - y_k))^2, y a teacher's scores",
        LISTS,
        "Hofstätter et al. 2020",
        theirs("MarginMSELoss"),
        sampler=_ANY,
    ),
    TuningLoss(
        "distill-kl",
        "t^2 KL(softmax(y/t), softmax(q.d/t)), y a cross-encoder's scores",
        LISTS,
        "Lin et al. 2020",
        theirs("DistillKLDivLoss"),
        _TEMPERATURE,
        sampler=_ANY,
    ),
)

_WRAPPERS = (
    Wrapper(
        "matryoshka",
        "sum of L over prefixes of the vectors",
        "Kusupati et al., NeurIPS 2022",
        theirs_around("MatryoshkaLoss", with_dims=True),
        needs=frozenset({"dims"}),
    ),
    Wrapper(
        "matryoshka-2d",
        "L over prefixes of the vectors and over layers",
        "Li et al. 2024 (2D Matryoshka)",
        theirs_around("Matryoshka2dLoss", with_dims=True),
        needs=frozenset({"dims"}),
        cacheable=False,
    ),
    Wrapper(
        "adaptive-layer",
        "L at the last layer and at others, with KL between them",
        "Li et al. 2024 (2D Matryoshka)",
        theirs_around("AdaptiveLayerLoss", with_dims=False),
        cacheable=False,
    ),
    Wrapper(
        "collapse-guard",
        "L + w mean of max(0, 1 - spread/floor) over rows and columns of the cosines",
        "ours; hinge on the spread: Bardes et al., ICLR 2022 (VICReg)",
        ours_around("CollapseGuard"),
        frozenset({"weight"}),
        theirs=False,
    ),
    Wrapper(
        "spectral-flattening",
        "L + w (e - 1/r)/(1 - 1/r), e the greatest eigenvalue of U U^T / B, r = min(B, D)",
        "ours; after Gao et al., EMNLP 2021, section 5",
        ours_around("SpectralFlattening"),
        frozenset({"weight"}),
        theirs=False,
    ),
    Wrapper(
        "global-orthogonal",
        "L + w (M_1^2 + max(0, M_2 - 1/D)), M_1 and M_2 the mean and the mean square of s of different texts",
        "Zhang et al., ICCV 2017 (GOR); Vera et al. 2025 (EmbeddingGemma)",
        ours_around("OrthogonalRegularization"),
        frozenset({"weight"}),
    ),
)

TUNING_LOSSES = {loss.name: loss for loss in _LOSSES}
WRAPPERS = {wrapper.name: wrapper for wrapper in _WRAPPERS}
