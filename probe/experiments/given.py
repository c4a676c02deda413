"""Encoders as a caller may give them: specs, folders, models in memory and encoders, each perhaps with a name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from probe.encoding.encoders import HookpointEncoder, TokenEncoder
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import Openable, as_reader, name_reader
from probe.encoding.protocols import Encoder, LateEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, wrong_type
from probe.evaluation.composite import Composite
from probe.evaluation.fusion import Fusion, RunFusion
from probe.experiments.ranking import Candidate, OtherEncoder
from probe.layers.hookpoint import SpecParts, split_fusion, split_name, split_spec
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.store.keys import encoder_parts
from probe.store.store import Store

__all__ = [
    "GivenSpecs",
    "OpenSaved",
    "OpenedEncoder",
    "Rankable",
    "Readable",
    "ResolvedSpecs",
    "Spec",
    "as_specs",
    "name_baseline",
    "with_readers",
]

_EXPECTED = (
    "a spec as 'minilm@5:mean', a folder, a model in memory, or an encoder (encode_query and encode_document); "
    "a name for it is given as {'mine': model}"
)


@runtime_checkable
class Readable(Protocol):
    """An encoder that is made of the states of models: a fused or an adapted model."""

    @property
    def readers(self) -> tuple[LayerReader, ...]:
        """One per model."""

    @property
    def composite(self) -> Composite:
        """The encoder, as it is scored from those models' states."""


@dataclass(frozen=True, eq=False)
class OpenedEncoder:
    """An encoder whose models are in memory.

    Attributes:
        readers: One per model.
        encoder: The encoder, by the names of those models.
    """

    readers: tuple[LayerReader, ...]
    encoder: Composite


Rankable: TypeAlias = "Openable | HookpointEncoder | TokenEncoder | Readable | Encoder | LateEncoder"
GivenSpecs: TypeAlias = "Sequence[Rankable | Mapping[str, Rankable]] | Mapping[str, Rankable]"
Spec = str | OpenedEncoder | OtherEncoder


# Opens a folder that stands by itself, with its models' readers; None where a spec names no such folder.
OpenSaved = Callable[
    [Sequence[SpecParts], LoadOptions | None, Store | None], tuple[tuple[LayerReader, ...], Composite] | None
]


@dataclass(frozen=True)
class ResolvedSpecs:
    """The encoders that specs name.

    Attributes:
        candidates: One per model, in the order of first mention.
        fusions: Encoders of several hookpoints, or with an adaptor on top, and fusions of rankings.
        baseline: The first spec's encoder; its deepest, where it names several.
        others: Encoders that are scored by the vectors they give.
    """

    candidates: tuple[Candidate, ...]
    fusions: tuple[Composite | RunFusion, ...]
    baseline: "Composite | OtherEncoder"
    others: tuple[OtherEncoder, ...] = ()


def as_specs(given: GivenSpecs) -> list[Spec]:
    """Return encoders as strings, or opened where they are objects.

    Args:
        given: A list of them, or a mapping from a name to each; a mapping may stand in the list, too.

    Raises:
        CallError: There is none, or one of them is no encoder.
        ModelError: A model in memory cannot be read.
    """
    if isinstance(given, str | Path) or not isinstance(given, Sequence | Mapping) or not given:
        raise CallError(f"expected a list of specs, as ['minilm@5:mean', 'minilm'], and found {given!r}")
    parts = [given] if isinstance(given, Mapping) else given
    return [spec for part in parts for spec in _read_part(part)]


def _read_part(part: Any) -> Iterator[Spec]:
    if isinstance(part, Mapping):
        yield from (_open(model, name) for name, model in part.items())
    else:
        yield _open(part)


def _open(given: Any, name: str | None = None) -> Spec:
    """Return one encoder, under the name that it was given."""
    if name is not None:
        split_name(f"{name}=model")  # whether it is one
    if isinstance(given, str | Path):
        return str(given) if name is None else _name_spec(str(given), name)
    if isinstance(given, OpenedEncoder | OtherEncoder):
        return given
    opened = _open_object(given, name)
    return opened if name is None or isinstance(opened, OtherEncoder) else _rename(opened, name)


def _name_spec(spec: str, name: str) -> str:
    if len(split_fusion(spec)) > 1:
        raise CallError(f"'{spec}' is a fusion, whose models are named one by one: as 'a=minilm@3+b=mpnet'")
    split_name(f"{name}={spec}")
    return f"{name}={spec}"


def _open_object(given: Any, name: str | None) -> OpenedEncoder | OtherEncoder:
    if isinstance(given, HookpointEncoder | TokenEncoder):
        return OpenedEncoder((given.reader,), Fusion((given.hookpoint,)))
    if isinstance(given, Readable):
        return OpenedEncoder(given.readers, given.composite)
    if isinstance(given, LayerReader | LoadedModel):
        return _open_model(given)
    if not isinstance(given, Encoder):
        raise wrong_type("encoder", given, _EXPECTED)
    try:
        return _open_model(given) if _is_sentence_transformer(given) else OtherEncoder(name or _name_of(given), given)
    except ModelError:  # it has no layers to be read at, and encodes for itself
        return OtherEncoder(name or _name_of(given), given)


def _is_sentence_transformer(given: object) -> bool:
    from sentence_transformers import SentenceTransformer

    return isinstance(given, SentenceTransformer)


def _name_of(given: object) -> str:
    return type(given).__name__


def _open_model(given: Any) -> OpenedEncoder:
    reader = as_reader(given)
    return OpenedEncoder((reader,), Fusion(select_hookpoints(reader.model, "last")))


def _rename(opened: OpenedEncoder, name: str) -> OpenedEncoder:
    encoder: Any = opened.encoder
    if not isinstance(encoder, Fusion) or len(encoder.points) > 1 or encoder.name:
        return OpenedEncoder(opened.readers, replace(encoder, name=name))
    (reader,), (point,) = opened.readers, encoder.points
    return OpenedEncoder((name_reader(reader, name),), Fusion((replace(point, model=name),)))


def name_baseline(baseline: Any, specs: Sequence[Spec]) -> Spec:
    """Return the baseline, whose models may be called by the names that the specs give them."""
    if not isinstance(baseline, str):
        return _open(baseline)
    for spec in specs:
        if _is_called(spec, baseline):
            return spec
    parts = [part for spec in specs if isinstance(spec, str) for part in split_fusion(spec)]
    named = dict(split_name(split_spec(part).model) for part in parts)
    return "+".join(_write_out(part, named) for part in split_fusion(baseline))


def _is_called(spec: Spec, name: str) -> bool:
    if isinstance(spec, OtherEncoder):
        return spec.name == name
    if isinstance(spec, str):
        return spec == name
    points = spec.encoder.points
    return str(spec.encoder) == name or (len(points) == 1 and points[0].model == name)


def _write_out(part: str, named: Mapping[str | None, str]) -> str:
    model = split_spec(part).model
    return f"{model}={named[model]}{part[len(model) :]}" if model in named else part


def with_readers(readers: Mapping[str, LayerReader], more: Sequence[LayerReader]) -> dict[str, LayerReader]:
    """Add readers by the names of their models.

    Raises:
        CallError: Two models have one name.
    """
    found = dict(readers)
    for reader in more:
        name = reader.model.source.name
        known = found.setdefault(name, reader)
        if known is not reader and _identity(known) != _identity(reader):
            raise CallError(
                f"two models are called '{name}': give one of them a name of its own, as mine={name} or "
                f"{{'mine': model}}"
            )
    return found


def _identity(reader: LayerReader) -> dict[str, Any]:
    """Return what decides the vectors of a model, and what they are called."""
    model = reader.model
    own = {"own": model.pooling, "similarity": model.similarity, "prompts": [model.query_prompt, model.document_prompt]}
    return {**encoder_parts(model, reader.token_budget), **own, "files": model.files_hash}
