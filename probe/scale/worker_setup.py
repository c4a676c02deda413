"""Setup of a Ray worker: everything it opens, with the same models as the caller."""

from dataclasses import dataclass, replace
from typing import Any

from probe.encoding.chunk_states import describe_shelf, open_shelf, prompted_documents
from probe.encoding.opening import name_reader, open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.evaluation.scan import Scan, points_of
from probe.evaluation.tracker import TopKTracker
from probe.layers.hookpoint import LayerPooling
from probe.models.options import LoadOptions
from probe.scale.corpus import CorpusSetup
from probe.store.keys import content_ids, shelf_parts
from probe.store.store import Store

__all__ = ["ModelSetup", "WorkerSetup", "set_up_workers"]


@dataclass(frozen=True)
class ModelSetup:
    """A model to open in a worker.

    Attributes:
        name: Name in tables.
        typed: Alias, hub id or folder, with the name given to it.
        options: Load options, with no value left to the worker's machine.
        token_budget: Maximum tokens per batch.
        parts: Key parts of its vectors of the corpus.
        about: Description of its store entry.
        contents: Content ids of the layers and poolings read.
    """

    name: str
    typed: str
    options: LoadOptions
    token_budget: int
    parts: dict[str, Any]
    about: dict[str, Any]
    contents: dict[LayerPooling, str]

    def open(self, store: Store | None) -> LayerReader:
        """Open the model; its facts may be in the store.

        Raises:
            CallError, ModelError: If it cannot be opened here.
            ModelError: If its vectors would differ here.
        """
        reader = name_reader(open_reader(self.typed, self.options, store), self.name)
        reader.token_budget = self.token_budget
        role = reader.model.as_document
        here = shelf_parts(reader.model, role, self.parts["text_sha256"], token_budget=self.token_budget)
        for part, value in self.parts.items():
            if here[part] != value:
                raise ModelError(
                    f"'{self.name}' gives different vectors here: its {part} is {here[part]}, expected {value}; use "
                    "the same files, versions and devices on every machine"
                )
        return reader


@dataclass(frozen=True)
class WorkerSetup:
    """Everything a worker opens.

    Attributes:
        tracker: The encoders, with the queries added.
        models: The models.
        corpus: The documents.
        store: Store for states, or None.
    """

    tracker: TopKTracker
    models: tuple[ModelSetup, ...]
    corpus: CorpusSetup
    store: Store | None


def set_up_workers(scan: Scan, corpus: CorpusSetup, trust: bool) -> WorkerSetup:
    """Return the setup of workers for a pass over the documents."""
    models = tuple(_set_up_model(scan, reader, trust) for reader in scan.readers.values())
    return WorkerSetup(scan.tracker, models, corpus, scan.context.pass_store)


def _set_up_model(scan: Scan, reader: LayerReader, trust: bool) -> ModelSetup:
    model, side = reader.model, prompted_documents(reader, scan.dataset)
    if not model.source.typed:
        raise CallError(
            f"'{model.source.name}' is in memory and cannot be sent to workers: save it, and pass its folder"
        )
    options = replace(
        model.options,
        dtype=str(model.dtype).removeprefix("torch."),
        device=model.device.type,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        query_prompt_name=None,
        document_prompt_name=None,
        trust_remote_code=trust,
    )
    open_shelf(reader, side, list(points_of(scan.tracker, reader)), store=scan.context.pass_store)
    wanted = list(points_of(scan.tracker, reader))
    contents = content_ids(model, side.role, map(reader.at, wanted), token_budget=reader.token_budget)
    name, typed = model.source.name, model.source.typed
    return ModelSetup(name, typed, options, reader.token_budget, *describe_shelf(reader, side), contents)
