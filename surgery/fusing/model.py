"""Fuse hookpoints of one or several models into one encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.encoding.encoders import encode_texts
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.experiments.given import GivenSpecs, OpenedEncoder, Spec, as_specs, with_readers
from probe.experiments.ranking import OtherEncoder
from probe.layers.hookpoint import Hookpoint, split_fusion, split_spec, split_tower
from probe.metrics.vectors import Embeddings
from probe.models.options import LoadOptions
from probe.models.tokenization import Role
from probe.store.store import Store

__all__ = ["FusedModel", "fuse", "refuse_towers", "widths_of"]


@dataclass(frozen=True, repr=False)
class FusedModel:
    """Several hookpoints as one encoder; hookpoints of the same model share one forward pass.

    Attributes:
        readers: One per model, each with its own tokenizer, prompts and maximum input length.
        fusion: The hookpoints and the fusion method.
    """

    readers: tuple[LayerReader, ...]
    fusion: Fusion

    @property
    def width(self) -> int:
        """Dimension D of the vectors."""
        return self.fusion.dim(widths_of(self.fusion.points, self.readers))

    def points_of(self, reader: LayerReader) -> tuple[Hookpoint, ...]:
        """Return the hookpoints of one of its models."""
        return tuple(point for point in self.fusion.points if point.model == reader.model.source.name)

    @property
    def composite(self) -> Fusion:
        """The fusion, in the form that leaderboards score."""
        return self.fusion

    def encode(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed texts that are neither queries nor documents, with each model's default prompt, if any.

        Args:
            texts: N texts, or a single string.

        Returns:
            Unit vectors, float32 `(N, D)`, or `(D,)` for a single string.
        """
        return encode_texts(texts, lambda found: self.fusion.join_arrays(self.read_plain(found)))

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries with each model's own query prompt; returns unit vectors, float32 `(N, D)`."""
        return encode_texts(texts, lambda found: self.fusion.join_arrays(self.read_queries(found)))

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents with each model's own document prompt; returns unit vectors, float32 `(N, D)`."""
        return encode_texts(texts, lambda found: self.fusion.join_arrays(self.read_documents(found)))

    def read_plain(self, texts: Sequence[str]) -> list[Embeddings]:
        """Return one array of states `(N, D_i)` per hookpoint, with the texts encoded as in `encode`."""
        return self._read(texts, [reader.plain_role for reader in self.readers])

    def read_queries(self, texts: Sequence[str]) -> list[Embeddings]:
        """Return one array of states `(N, D_i)` per hookpoint, with the texts encoded as queries."""
        return self._read(texts, [reader.model.as_query for reader in self.readers])

    def read_documents(self, texts: Sequence[str]) -> list[Embeddings]:
        """Return one array of states `(N, D_i)` per hookpoint, with the texts encoded as documents."""
        return self._read(texts, [reader.model.as_document for reader in self.readers])

    def _read(self, texts: Sequence[str], roles: Sequence[Role]) -> list[Embeddings]:
        blocks: dict[Hookpoint, Embeddings] = {}
        for reader, role in zip(self.readers, roles, strict=True):
            points = self.points_of(reader)
            states = reader.read(texts, role, [point.layer_pooling for point in points]).vectors
            blocks |= {point: states[point.layer_pooling] for point in points}
        return [blocks[point] for point in self.fusion.points]

    def __repr__(self) -> str:
        return f"FusedModel({str(self.fusion)!r}, method={self.fusion.method!r}, width={self.width})"


def widths_of(points: Sequence[Hookpoint], readers: Sequence[LayerReader]) -> list[int]:
    """Return the dimension of the vectors at hookpoints, given the readers of their models."""
    models = {reader.model.source.name: reader.model for reader in readers}
    return [models[point.model].width_of(str(point.pooling)) for point in points]


def fuse(
    specs: GivenSpecs,
    method: str = "concat",
    weights: Sequence[float] | None = None,
    *,
    options: LoadOptions | None = None,
    store: Store | None = None,
) -> FusedModel:
    """Fuse hookpoints into one encoder.

    Args:
        specs: Hookpoints `[name=]model[@layer][:pooling]`, also several joined by `+`; at least two in total. Folder
            paths, models in memory and encoders of one layer are accepted, too; `{"mine": model}` names one.
        method: `concat` concatenates the vectors; `mean` and `weighted` add vectors of the same width.
        weights: One positive number per hookpoint; default: equal weights.
        options: How to load models given by name.
        store: Store with cached model facts, if any; a known model is loaded only when it is used.

    Returns:
        The encoder; nothing is trained.

    Raises:
        CallError: A spec, the method or the weights are wrong, or the widths do not match.
        ModelError: A model cannot be loaded.
    """
    given = [specs] if isinstance(specs, str) else as_specs(specs)
    parts: list[Spec] = [part for spec in given for part in (split_fusion(spec) if isinstance(spec, str) else [spec])]
    texts = [part for part in parts if isinstance(part, str)]
    _refuse_tokens(texts)
    refuse_towers(texts)
    named = {part: Hookpoint.parse(part) for part in texts}
    opened = {name: open_reader(name, options, store) for name in dict.fromkeys(p.model for p in named.values())}
    found = [
        _write_out(named[part], opened[named[part].model]) if isinstance(part, str) else _single(part) for part in parts
    ]
    readers = with_readers({}, [one.readers[0] for one in found])
    points = tuple(one.encoder.points[0] for one in found)
    if len(set(points)) < max(2, len(points)):
        raise CallError(
            f"'{' '.join(map(str, points))}': expected at least two different hookpoints, without repetition"
        )
    fusion = Fusion(points, None if weights is None else tuple(weights), method)
    fusion.dim(widths_of(points, list(readers.values())))
    return FusedModel(tuple(readers.values()), fusion)


def _write_out(point: Hookpoint, reader: LayerReader) -> OpenedEncoder:
    layer = "last" if point.layer is None else str(point.layer)
    return OpenedEncoder((reader,), Fusion(select_hookpoints(reader.model, layer, [point.pooling or "own"])))


def _single(given: OpenedEncoder | OtherEncoder) -> OpenedEncoder:
    """Return an encoder in memory after checking that it is a hookpoint of one model.

    Raises:
        CallError: It is not.
    """
    if isinstance(given, OtherEncoder) or given.encoder.adaptor is not None or len(given.encoder.points) > 1:
        name = given.name if isinstance(given, OtherEncoder) else given.encoder
        raise CallError(f"'{name}' cannot be fused: expected single layers of models")
    _refuse_tokens([str(given.encoder)])
    refuse_towers([str(given.encoder)])
    return given


def _refuse_tokens(parts: Sequence[str]) -> None:
    tokens = [part for part in parts if part.endswith(":tokens")]
    if tokens:
        raise CallError(
            f"'{tokens[0]}' gives one vector per token, and tokenizers split a text differently: a fusion needs one "
            "vector per text; choose a pooling, such as :mean"
        )


def refuse_towers(specs: Sequence[str]) -> None:
    """Reject towers of two-tower models among the hookpoints of a fusion.

    Raises:
        CallError: A hookpoint is in a tower.
    """
    towers = [spec for spec in specs if split_tower(split_spec(spec).model)[1]]
    if towers:
        raise CallError(
            f"'{towers[0]}' is one tower of two, and its vectors compare only with the other tower's: a fusion needs "
            "single-tower models"
        )
