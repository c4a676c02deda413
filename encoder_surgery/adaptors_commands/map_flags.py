"""Options of `adaptors fit map`, and its work: a map between two models, saved with the model that is mapped."""

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.datasets import load_all
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.maps.fit import FittedMap
    from adaptors.maps.options import MapOptions
    from encoder_surgery.shell.fit_model import FitRequest
    from probe.models.options import LoadOptions

__all__ = ["MapFlags", "Target", "fit_map_and_save"]

Target = Annotated[
    str | None,
    flag("Encoder to map to, with `map`: its documents are searched.", metavar="SPEC", autocompletion=complete_specs),
]


@dataclass(frozen=True)
class MapFlags:
    """A map between two models."""

    panel: ClassVar[str] = "Map"

    to: Target = None
    map: Annotated[Literal["queries", "documents"], flag("Side that is mapped; the other model embeds the other.")] = (
        "queries"
    )
    rank: Annotated[int | None, flag("Largest rank of the map; default: no limit.", min=1)] = None

    def options(self, seed: int) -> "MapOptions":
        """Return which side is mapped, and the rank."""
        from adaptors.maps.options import MapOptions

        return MapOptions(side=self.map, rank=self.rank, seed=seed)


def fit_map_and_save(request: "FitRequest", flags: MapFlags, options: "LoadOptions") -> None:
    """Fit, score beside both models, save, check in a fresh process, and print the folder.

    Args:
        request: The encoder that is mapped, the data, and the folder to save it in.
        flags: The encoder to map to, and how.
        options: How both models are loaded for the fit; the one that is mapped is saved and checked in float32.
    """
    from encoder_surgery.shell.fit_model import save_fitted, say_scores
    from surgery.saving.save import check_out

    if flags.to is None:
        raise CallError("a map needs the encoder to map to: adaptors fit map MODEL --to OTHER -d DATASET")
    check_out(request.out, request.force)
    fitted = _fit(request, flags.to, flags.options(request.training.seed), options=options)
    say_scores(fitted.board)
    say(fitted.board.verdict())
    other = {"queries": "documents", "documents": "queries"}[flags.map]
    beside = shlex.join([f"--{flags.map}", str(request.out), f"--{other}", flags.to])
    say(f"search with it: probe rank {beside} -d DATASET")
    save_fitted(fitted, request, options)


def _fit(request: "FitRequest", target: str, mapping: "MapOptions", *, options: "LoadOptions") -> "FittedMap":
    from adaptors.fitting.data import select_fit_data
    from adaptors.maps.fit import fit_map
    from encoder_surgery.shell.fit_model import run_options

    with working() as report:
        loaded = load_all(request.datasets, request.splits, request.limit, reader="a map")
        return fit_map(
            request.spec,
            target,
            [select_fit_data(one.request.name, one.dataset, "none") for one in loaded.found],
            mapping=mapping,
            options=replace(run_options(request, options), progress=report),
        )
