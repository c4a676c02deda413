"""Encoders in all accepted forms: specs, folders, models in memory and encoder objects, optionally named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from probe.data.dataset import Dataset
from probe.encoding.encoders import HookpointEncoder, TokenEncoder
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import Openable, as_reader, name_reader
from probe.encoding.paired import PairedEncoder
from probe.encoding.protocols import Encoder, LateEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, wrong_type
from probe.evaluation.composite import Asymmetric, Composite
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion, RunFusion
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, OtherEncoder
from probe.layers.hookpoint import SpecParts, split_fusion, split_name, split_spec
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.store.keys import encoder_parts
from probe.store.store import Store

__all__ = [
    "Compress",
    "GivenSpecs",
    "OpenSaved",
    "OpenedEncoder",
    "Rankable",
    "Readable",
    "ResolvedSpecs",
    "Spec",
    "as_specs",
    "name_baseline",
    "open_pair",
    "with_readers",
]

_EXPECTED = (
    "a spec such as 'minilm@5:mean', a folder, a model in memory, or an encoder (encode_query and encode_document); "
    "to name it: {'mine': model}"
)


@runtime_checkable
class Readable(Protocol):
    """An encoder computed from the states of models: a fused or adapted model."""

    @property
    def readers(self) -> tuple[LayerReader, ...]:
        """Readers, one per model."""

    @property
    def composite(self) -> Composite:
        """The encoder in the form that is scored from its models' states."""


@dataclass(frozen=True, eq=False)
class OpenedEncoder:
    """An encoder whose models are in memory.

    Attributes:
        readers: Readers, one per model.
        encoder: The encoder, with hookpoints under the names of those models.
    """

    readers: tuple[LayerReader, ...]
    encoder: Composite


Rankable: TypeAlias = "Openable | HookpointEncoder | TokenEncoder | Readable | Encoder | LateEncoder"
GivenSpecs: TypeAlias = "Sequence[Rankable | Mapping[str, Rankable]] | Mapping[str, Rankable]"
Spec = str | OpenedEncoder | OtherEncoder


# Opens a saved folder, given its models' readers; None if a spec is not a saved folder.
OpenSaved = Callable[
    [Sequence[SpecParts], LoadOptions | None, Store | None], tuple[tuple[LayerReader, ...], Composite] | None
]


@dataclass(frozen=True)
class ResolvedSpecs:
    """The encoders of specs.

    Attributes:
        candidates: One per model, in order of first occurrence.
        fusions: Encoders of several hookpoints or with an adaptor, and fusions of rankings.
        baseline: The first spec's encoder; the deepest if the spec has several layers.
        others: Encoder objects, scored by their own vectors.
    """

    candidates: tuple[Candidate, ...]
    fusions: tuple[Composite | RunFusion, ...]
    baseline: "Composite | OtherEncoder"
    others: tuple[OtherEncoder, ...] = ()


# Compresses the documents of encoders, calibrated to those of a data set, into the sizes of the options.
Compress = Callable[[ResolvedSpecs, Dataset, RunOptions], Sequence[Compressed]]


def as_specs(given: GivenSpecs) -> list[Spec]:
    """Return specs as strings, and encoder objects opened.

    Args:
        given: A list of encoders, or a mapping from names to encoders; a list may contain mappings.

    Raises:
        CallError: If the list is empty, or contains something other than encoders.
        ModelError: If a model in memory cannot be read.
    """
    if isinstance(given, str | Path) or not isinstance(given, Sequence | Mapping) or not given:
        raise CallError(f"expected a list of specs, such as ['minilm@5:mean', 'minilm'], found {given!r}")
    parts = [given] if isinstance(given, Mapping) else given
    return [spec for part in parts for spec in _read_part(part)]


def _read_part(part: Any) -> Iterator[Spec]:
    if isinstance(part, Mapping):
        yield from (_open(model, name) for name, model in part.items())
    else:
        yield _open(part)


def _open(given: Any, name: str | None = None) -> Spec:
    """Return one encoder with its given name, if any."""
    if name is not None and split_name(f"{name}=model")[0] != name:
        raise CallError(f"invalid name '{name}': expected letters, digits, '.', '_' and '-'")
    if isinstance(given, str | Path):
        return str(given) if name is None else _name_spec(str(given), name)
    if isinstance(given, OpenedEncoder | OtherEncoder):
        return given
    opened = _open_object(given, name)
    return opened if name is None or isinstance(opened, OtherEncoder) else _rename(opened, name)


def _name_spec(spec: str, name: str) -> str:
    if len(split_fusion(spec)) > 1:
        raise CallError(f"'{spec}' is a fusion: name its models individually, such as 'a=minilm@3+b=mpnet'")
    split_name(f"{name}={spec}")
    return f"{name}={spec}"


def _open_object(given: Any, name: str | None) -> OpenedEncoder | OtherEncoder:
    if isinstance(given, HookpointEncoder | TokenEncoder):
        return OpenedEncoder((given.reader,), Fusion((given.hookpoint,)))
    if isinstance(given, PairedEncoder):
        return open_pair(given)
    if isinstance(given, Readable):
        return OpenedEncoder(given.readers, given.composite)
    if isinstance(given, LayerReader | LoadedModel):
        return _open_model(given)
    if not isinstance(given, Encoder):
        raise wrong_type("encoder", given, _EXPECTED)
    try:
        return _open_model(given) if _is_sentence_transformer(given) else OtherEncoder(name or _name_of(given), given)
    except ModelError:  # without layers, it is scored by its own vectors
        return OtherEncoder(name or _name_of(given), given)


def open_pair(pair: PairedEncoder) -> OpenedEncoder:
    """Return two encoders in the form that is scored from their models' states."""
    sides = [Fusion((encoder.hookpoint,)) for encoder in (pair.queries, pair.documents)]
    return OpenedEncoder(pair.readers, Asymmetric(*sides, name=pair.name))


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
    """Return the baseline spec; its models may be given by the names in the other specs."""
    if not isinstance(baseline, str):
        same = (spec for spec in specs if isinstance(spec, OtherEncoder) and spec.encoder is baseline)
        return next(same, None) or _open(baseline)
    for spec in specs:
        if _is_called(spec, baseline):
            return spec
    named_so = [spec for spec in specs if isinstance(spec, str) and _name_in(spec) == baseline]
    if len(named_so) > 1:
        raise CallError(f"baseline '{baseline}' names several encoders: expected one of {', '.join(named_so)}")
    if named_so:
        return named_so[0]
    parts = [part for spec in specs if isinstance(spec, str) for part in split_fusion(spec)]
    named = dict(split_name(split_spec(part).model) for part in parts)
    return "+".join(_write_out(part, named) for part in split_fusion(baseline))


def _name_in(spec: str) -> str | None:
    """Return the name given in the spec of a single model, if any."""
    parts = split_fusion(spec)
    return split_name(split_spec(parts[0]).model)[0] if len(parts) == 1 else None


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
        CallError: If two models have the same name.
    """
    found = dict(readers)
    for reader in more:
        name = reader.model.source.name
        known = found.setdefault(name, reader)
        if known is not reader and _identity(known) != _identity(reader):
            raise CallError(
                f"two different models are called '{name}': give one of them another name, such as other=./folder or "
                "{'other': model}"
            )
    return found


def _identity(reader: LayerReader) -> dict[str, Any]:
    """Return what determines the vectors of a model, and its names."""
    model = reader.model
    own = {"own": model.pooling, "similarity": model.similarity, "prompts": [model.query_prompt, model.document_prompt]}
    return {**encoder_parts(model, reader.token_budget), **own, "files": model.files_hash}
