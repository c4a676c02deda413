"""The kinds of adaptors by name, simplest first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaptors.fitting.closed_form import fit_lens, fit_pca, fit_spectral, fit_truncate
from adaptors.fitting.options import FitResult, TrainOptions
from adaptors.fitting.states import FitData
from adaptors.modules.base import Adaptor
from adaptors.modules.registry import NETWORKS
from probe.errors import CallError, did_you_mean
from probe.results.leaderboard import PCA

__all__ = ["KINDS", "LENS", "MAP", "RECOMMENDED", "Kind", "check_kinds"]

LENS = "lens"
# A map to another encoder's space; it is no kind of its own encoder alone, see `adaptors.maps`.
MAP = "map"
# The default recommendation: needs no labels, and scored best on the training queries it was chosen on.
RECOMMENDED = "distil"
# Networks of the published experiment (Compressed Concatenation), for comparison.
_ORIGINALS = ("linear-original", "mlp-original")


@dataclass(frozen=True)
class Kind:
    """A kind of adaptor.

    Attributes:
        fit: Fits an adaptor, given states, dimensions and training options.
        uses_labels: Whether it is trained on relevance labels if they may be used.
        reads_blocks: Whether it needs several hookpoints.
        maps_to_final: Whether it maps to the final embedding, and so to at most its dimensions.
        is_default: Whether it is compared by default.
        is_trained: Whether it is trained in steps rather than fitted in closed form.
        drops_bias: Whether it is a linear map whose bias can be left out.
    """

    fit: Callable[[FitData, Sequence[int], TrainOptions], FitResult]
    uses_labels: bool = False
    reads_blocks: bool = False
    maps_to_final: bool = False
    is_default: bool = True
    is_trained: bool = True
    drops_bias: bool = False


def _closed_form(fit: Callable[[FitData, int], Adaptor]) -> Kind:
    return Kind(lambda data, dims, options: FitResult(fit(data, max(dims))), is_trained=False)


def _network(kind: str) -> Kind:
    def fit(data: FitData, dims: Sequence[int], options: TrainOptions) -> FitResult:
        """Train the network; imported here because the imports take seconds."""
        from adaptors.fitting.network import fit_network

        return fit_network(kind, data, dims, options=options)

    return Kind(fit, uses_labels=True, reads_blocks=NETWORKS[kind].widens, is_default=kind not in _ORIGINALS)


def _fit_lens(data: FitData, dims: Sequence[int], options: TrainOptions) -> FitResult:
    return FitResult(fit_lens(data, max(dims), bias=options.bias), notes=options.bias_notes)


def _fit_distil(data: FitData, dims: Sequence[int], options: TrainOptions) -> FitResult:
    from adaptors.fitting.distil import fit_distil

    return fit_distil(data, max(dims), options)


KINDS: dict[str, Kind] = {
    "truncate": _closed_form(fit_truncate),
    PCA: _closed_form(fit_pca),
    "spectral": _closed_form(fit_spectral),
    LENS: Kind(_fit_lens, maps_to_final=True, is_trained=False, drops_bias=True),
    RECOMMENDED: Kind(_fit_distil, maps_to_final=True, drops_bias=True),
    **{kind: _network(kind) for kind in NETWORKS},
}


def check_kinds(names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds without duplicates, always including PCA for comparison.

    Raises:
        CallError: A kind is unknown, or needs another encoder.
    """
    if MAP in names:
        raise CallError("a map needs the encoder to map to: adaptors.fit_map(encoder, other, data), or --to OTHER")
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise CallError(f"unknown adaptor '{unknown[0]}': {did_you_mean(unknown[0], list(KINDS))}")
    return tuple(dict.fromkeys([*names, PCA]))
