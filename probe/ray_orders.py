"""What a worker of the Ray engine is told, and how it makes readers and texts of it."""

import os
from dataclasses import dataclass
from typing import Any

from probe.chunk_texts import can_be_sent
from probe.contest import Contest
from probe.dataset import load_dataset
from probe.engine import Scan, points_of
from probe.errors import CallError, ModelError
from probe.opening import open_reader
from probe.profile import LoadOptions
from probe.reader import LayerReader
from probe.settings import shelf_parts
from probe.states import describe_side, document_side, open_shelf
from probe.store import Store
from probe.texts import Documents

__all__ = ["CorpusOrder", "DatasetSource", "ModelOrder", "Orders", "make_orders"]


_NAMELESS = "documents in memory or in a zip cannot be sent to another process: say which data set they are of"


@dataclass(frozen=True)
class DatasetSource:
    """How to load a data set again: the arguments of `load_dataset`."""

    name: str
    split: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class ModelOrder:
    """A model to open.

    Attributes:
        name: Alias, hub id or folder.
        options: How to load it, nothing left to the machine it is loaded on.
        token_budget: Most tokens of a batch.
        parts: All that decides its vectors of the corpus.
        about: What its shelf says of itself.
    """

    name: str
    options: LoadOptions
    token_budget: int
    parts: dict[str, Any]
    about: dict[str, Any]

    def open(self, store: Store | None) -> LayerReader:
        """Open the model.

        Args:
            store: Where facts of models are kept, if anywhere.

        Returns:
            Its reader.

        Raises:
            CallError, ModelError: It cannot be opened here.
            ModelError: Its vectors would be others here.
        """
        reader = open_reader(self.name, self.options, store)
        reader.token_budget = self.token_budget
        here = shelf_parts(reader.model, self.parts["prompt"], self.parts["text_sha256"], self.token_budget)
        for part, value in self.parts.items():
            if here[part] != value:
                raise ModelError(
                    f"'{self.name}' gives other vectors here: its {part} is {here[part]}, expected {value}; give every "
                    "machine the same files, versions and devices"
                )
        return reader


@dataclass(frozen=True)
class CorpusOrder:
    """A corpus to open.

    Attributes:
        documents: The corpus, where it is a handle on a file; None where it has to be loaded by name.
        source: The data set it belongs to, where that is known by name.
        text_hash: sha256 over all its ids and texts.
    """

    documents: Documents | None
    source: DatasetSource | None
    text_hash: str

    def open(self) -> Documents:
        """Return the corpus.

        Raises:
            CallError, DataError: It cannot be had here.
            ModelError: It is another one here.
        """
        if self.documents is not None and (self.source is None or _is_here(self.documents)):
            return self.documents
        if self.source is None:
            raise CallError(_NAMELESS)
        documents = load_dataset(self.source.name, self.source.split, self.source.limit).documents
        if documents.text_hash != self.text_hash:
            raise ModelError(f"'{self.source.name}' has other texts here: give every machine the same files")
        return documents


def _is_here(documents: Documents) -> bool:
    path = getattr(getattr(documents, "documents", documents), "path", None)
    return path is None or bool(path.exists())


@dataclass(frozen=True)
class Orders:
    """What every worker is told.

    Attributes:
        contest: The encoders, with the queries taken in.
        models: The models they read.
        corpus: The documents.
        store: Where states are read and kept, if anywhere.
        size: Documents of a chunk.
        folder: The folder that relative paths start from.
    """

    contest: Contest
    models: tuple[ModelOrder, ...]
    corpus: CorpusOrder
    store: Store | None
    size: int
    folder: str

    def go_there(self) -> None:
        """Make relative paths mean what they meant, where the folder is there."""
        if os.path.isdir(self.folder):
            os.chdir(self.folder)


def make_orders(scan: Scan, source: DatasetSource | None, trust: bool, size: int) -> Orders:
    """Return what workers are to be told.

    Args:
        scan: The pass over the documents.
        source: The data set, by name.
        trust: Whether code that a model's folder brings may run.
        size: Documents of a chunk.

    Raises:
        CallError: The documents cannot be sent, and the data set has no name.
    """
    documents = scan.dataset.documents
    sent = documents if can_be_sent(documents) else None
    if sent is None and source is None:
        raise CallError(_NAMELESS)
    corpus = CorpusOrder(sent, source, documents.text_hash)
    models = tuple(_order_model(scan, reader, trust) for reader in scan.readers.values())
    return Orders(scan.contest, models, corpus, scan.store, size, os.getcwd())


def _order_model(scan: Scan, reader: LayerReader, trust: bool) -> ModelOrder:
    model, side = reader.model, document_side(reader, scan.dataset)
    options = LoadOptions(
        dtype=str(model.dtype).removeprefix("torch."),
        device=model.device.type,
        max_tokens=model.max_tokens,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        trust_remote_code=trust,
    )
    open_shelf(reader, side, list(points_of(scan.contest, model.source.name)), scan.store)
    return ModelOrder(model.source.name, options, reader.token_budget, *describe_side(reader, side))
