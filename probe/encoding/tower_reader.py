"""Reader of one tower of a two-tower model at any layer, for texts or images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from probe.data.images import ImageFile, open_image
from probe.encoding.pipelining import ahead
from probe.encoding.reader import LayerReader, PreparedTexts
from probe.errors import CallError
from probe.layers.device_queue import queue_of
from probe.layers.hookpoint import LayerPooling
from probe.layers.pooling import Pooling
from probe.models.tokenization import Role, as_role, plan_batches, tokenize
from probe.models.tower_loading import LoadedTower, TextInputs

__all__ = ["TowerReader"]


@dataclass(frozen=True)
class _OpenImages:
    """A batch of images in memory.

    Attributes:
        rows: Indices of the B images.
        attention_mask: `(B, T)`, 1 everywhere.
        pixels: What the processor makes of them, `(B, 3, H, W)`.
    """

    rows: list[int]
    attention_mask: Tensor
    pixels: Tensor

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Return the keyword arguments of a tower's forward, on its device."""
        queue = queue_of(device)
        return {"pixel_values": queue.send(self.pixels), "attention_mask": queue.send(self.attention_mask)}


@dataclass(frozen=True)
class _ImageBatch:
    """A batch of images, opened while the one before it runs, because a whole chunk would not fit into memory.

    Attributes:
        rows: Indices of the B images.
        attention_mask: `(B, T)`, 1 everywhere.
    """

    rows: list[int]
    attention_mask: Tensor
    images: tuple[ImageFile, ...]
    processor: Any

    def open(self) -> _OpenImages:
        """Read and process the images."""
        opened = [open_image(image) for image in self.images]
        pixels = self.processor(images=opened, return_tensors="pt")["pixel_values"]
        return _OpenImages(self.rows, self.attention_mask, pixels)


class TowerReader(LayerReader):
    """Reads one tower; the vector of a layer is that of a tower cut there, including its projection."""

    @property
    def tower(self) -> LoadedTower:
        """The tower in memory, loaded on first use."""
        loaded = self.loaded
        if not isinstance(loaded, LoadedTower):
            raise TypeError(f"{self.model.source.name} is not a tower")
        return loaded

    @property
    def _text_inputs(self) -> TextInputs:
        if self.tower.texts is None:
            raise TypeError(f"{self.model.source.name} is not a text tower")
        return self.tower.texts

    @property
    def known_tokens(self) -> int:
        """Size of the tower's vocabulary."""
        return self._text_inputs.known

    def pooling_at(self, layer_pooling: LayerPooling) -> Pooling:
        """Return the function from token states to vectors at a layer and pooling."""
        return self.tower.parts.pooling_at(layer_pooling[1])

    def prepare(self, texts: Sequence[str], role: Role | str) -> PreparedTexts:
        """Tokenize texts with their prompt, or list images, and plan their batches.

        Raises:
            CallError: If a text tower is given images, or an image tower texts.
            ModelError: If a token id is outside the model's vocabulary.
        """
        if self.model.tower == "image":
            return self._line_up(texts)
        return self._prepare_texts(texts, as_role(role))

    def open_batches(self, batches: Sequence[Any]) -> Iterable[Any]:
        """Return batches in memory; images are opened in another thread while the batch before them runs."""
        if self.model.tower != "image":
            return batches
        return ahead(batch.open() for batch in batches)

    def _line_up(self, texts: Sequence[str]) -> PreparedTexts:
        images = tuple(text for text in texts if isinstance(text, ImageFile))
        if len(images) < len(texts):
            raise CallError(f"'{self.model.source.name}' reads images, not texts: use the text tower for this side")
        count = self.model.max_tokens
        plan = plan_batches([count] * len(images), self.token_budget)
        return PreparedTexts(tuple(self._batch(rows, images) for rows in plan), len(images), 0, "document")

    def _batch(self, rows: list[int], images: Sequence[ImageFile]) -> Any:
        mask = torch.ones(len(rows), self.model.max_tokens, dtype=torch.long)
        return _ImageBatch(rows, mask, tuple(images[row] for row in rows), self.loaded.tokenizer)

    def _prepare_texts(self, texts: Sequence[str], role: Role) -> PreparedTexts:
        if any(isinstance(text, ImageFile) for text in texts):
            raise CallError(f"'{self.model.source.name}' reads texts, not images: use the image tower for this side")
        inputs = self._text_inputs
        tokens = tokenize(self.loaded.tokenizer, [role.prompt + text for text in texts], inputs.longest)
        self.check_tokens(max((max(ids, default=0) for ids in tokens.ids), default=0))
        lengths = [inputs.longest if inputs.fills else len(ids) for ids in tokens.ids]
        plan = plan_batches(lengths, self.token_budget)
        batches = tuple(inputs.pad(rows, [tokens.ids[i] for i in rows]) for rows in plan)
        return PreparedTexts(batches, len(texts), tokens.truncated, role.task)
