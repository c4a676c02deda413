"""Reader of encoders without layers, run by sentence-transformers: static embeddings, routers of other routes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from probe.data.images import refuse_image_files
from probe.encoding.reader import LayerReader, LayerStates, default_prompt
from probe.errors import ModelError, first_line
from probe.layers.hookpoint import OWN, LayerPooling
from probe.layers.products import fast_products
from probe.models.info import NO_LIMIT, ModelFacts, ModelFiles, ModelProfile, build_profile
from probe.models.tokenization import Role, as_role

__all__ = ["LoadedWhole", "WholeReader", "load_whole"]

# Number of texts per batch.
_BATCH = 64


@dataclass(frozen=True)
class _Texts:
    """Texts with their role."""

    texts: list[str]
    role: Role


@dataclass(frozen=True, repr=False)
class LoadedWhole(ModelProfile):
    """A loaded encoder without layers.

    Attributes:
        pipeline: The SentenceTransformer.
    """

    pipeline: Any = field(repr=False)


class WholeReader(LayerReader):
    """Reads an encoder that has only its own vectors; a router that is read whole picks a route by the text's task."""

    @cached_property
    def loaded(self) -> Any:
        """Not available: there are no layers.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{self.model.source.name} has no layers")

    @cached_property
    def _pipeline(self) -> Any:
        model: Any = self.model if isinstance(self.model, LoadedWhole) or self._load is None else self._load()
        return model.pipeline

    @property
    def plain_role(self) -> Role:
        """Role of texts that are neither queries nor documents."""
        return Role("document", default_prompt(self._pipeline))

    def prepare(self, texts: Sequence[str], role: Role | str) -> Any:
        """Prepare texts.

        Raises:
            CallError: If one of the texts is an image.
        """
        refuse_image_files(texts, self.model.source.name)
        return _Texts(list(texts), as_role(role))

    def run(
        self, texts: Any, layer_poolings: Sequence[LayerPooling], on_batch: Callable[[int], None] = lambda done: None
    ) -> LayerStates:
        """Embed prepared texts."""
        began = time.perf_counter()
        rows = [np.empty((0, self.model.width), np.float32)]
        for start in range(0, len(texts.texts), _BATCH):
            batch = texts.texts[start : start + _BATCH]
            with fast_products(self._pipeline.device):
                found = self._pipeline.encode(
                    batch, prompt=texts.role.prompt, task=texts.role.task, show_progress_bar=False, batch_size=_BATCH
                )
            rows.append(found.astype(np.float32))
            on_batch(len(batch))
        vectors = np.concatenate(rows)
        return LayerStates(dict.fromkeys(layer_poolings, vectors), {0: time.perf_counter() - began}, 0)


def load_whole(files: ModelFiles, facts: ModelFacts | None = None) -> LoadedWhole:
    """Load an encoder without layers from its files.

    Args:
        files: The located files with their settings.
        facts: Facts from an earlier load of the same files, if known.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from probe.models.pipeline import load_pipeline

    pipeline = load_pipeline(files)[0].to(files.device)
    profile = vars(build_profile(files, facts or _find_facts(files, pipeline)))
    return LoadedWhole(**profile, pipeline=pipeline)


def _find_facts(files: ModelFiles, pipeline: Any) -> ModelFacts:
    try:
        width = [
            len(pipeline.encode(["a"], task=task, prompt="", show_progress_bar=False)[0])
            for task in ("query", "document")
        ][1]
    except Exception as error:  # routers and custom modules may raise anything
        raise ModelError(
            f"'{files.source.name}' has no vectors of queries and documents: sentence-transformers says "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    longest = getattr(pipeline, "max_seq_length", None)
    return ModelFacts(
        depth=0,
        width=width,
        parameters=(sum(p.numel() for p in pipeline.parameters()),),
        max_tokens=longest if isinstance(longest, int) and longest < NO_LIMIT else NO_LIMIT,
        notes=files.config.notes,
        pooling=OWN,
        own_width=width,
        state_hashes=(f"{files.weights_hash} {files.files_hash}",),
    )
