"""Distributed training (`torchrun`, `accelerate launch`) on shared batches."""

import atexit
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.data_loader import prepare_data_loader  # type: ignore[import-untyped]
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor, nn
from torch.utils.data import DataLoader

__all__ = [
    "SharedModel",
    "init",
    "is_first",
    "on_first",
    "own_part",
    "rank",
    "share_loss",
    "whole",
    "world_size",
]

# Attribute names of models in losses.
_NAMES = ("model", "sentence_embedder", "guide")


T = TypeVar("T")

# The other processes wait while the first one mines or evaluates, which may take long.
_TIMEOUT = timedelta(days=7)


def init() -> None:
    """Join the process group if there are several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=_TIMEOUT)
        # Threads of the group that outlive the interpreter abort the process.
        atexit.register(_leave)


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def world_size() -> int:
    """Return the number of processes."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, starting at 0."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the process that writes files and output."""
    return rank() == 0


def on_first(make: Callable[[], T]) -> T:
    """Call a function in the first process; return its result, or raise its error, in all (both are pickled)."""
    if world_size() == 1:
        return make()
    payload: list[Any] = [None, None]
    if is_first():
        try:
            payload[0] = make()
        except Exception as error:  # raised below in every process
            payload[1] = error
    torch.distributed.broadcast_object_list(payload, src=0)
    if payload[1] is not None:
        raise payload[1]
    value: T = payload[0]
    return value


class SharedModel(nn.Module):
    """A model that returns the vectors of the whole batch, given one process's part of it.

    Every process computes the loss of all rows. The gradients of a row's vector are summed over the processes, those of
    the weights are averaged. The result equals training in one process with all rows.
    """

    def __init__(self, model: nn.Module, original: Any, is_trained: bool = True) -> None:
        """Wrap a model.

        Args:
            model: The wrapped model; a trained one averages its weights' gradients over the processes.
            original: The SentenceTransformer in it, for the attributes that losses use.
            is_trained: Gather vectors only if gradients are enabled; every process has all held-out rows anyway.
        """
        super().__init__()
        self.model = model
        self.is_trained = is_trained
        self.preprocess = original.preprocess
        self.get_embedding_dimension = original.get_embedding_dimension
        self.device = original.device

    def forward(self, features: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
        """Return the features of the part, with the `sentence_embedding` `(B, D)` of the whole batch."""
        found: dict[str, Tensor] = self.model(features, **options)
        if self.is_trained and not torch.is_grad_enabled():
            return found
        return {**found, "sentence_embedding": all_gather_with_grad(found["sentence_embedding"])}


def share_loss(loss: nn.Module, model: nn.Module) -> None:
    """Replace the SentenceTransformer in a loss, and in its inner losses, by a `SharedModel`."""
    # An outer loss hooks the model of its inner loss, so both must share one object.
    shared: dict[SentenceTransformer, SharedModel] = {}
    for part in list(loss.modules()):
        for name, child in list(part.named_children()):
            if name in _NAMES and isinstance(child, SentenceTransformer) and not isinstance(part, SharedModel):
                made = SharedModel(child, child, False) if name == "guide" else SharedModel(model, child)
                setattr(part, name, shared.setdefault(child, made))


class _Part:
    """A batch sampler that gives every process an equal share of each batch, in order.

    If a batch does not divide evenly (usually the last one), the remaining rows are dropped.
    """

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            if share := len(batch) // world_size():
                yield batch[rank() * share : (rank() + 1) * share]

    def __len__(self) -> int:
        return len(self._batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batches, name)


def own_part(loader: DataLoader[Any], device: torch.device) -> DataLoader[Any]:
    """Return a loader of this process's part of each batch, given a loader that is the same in every process."""
    prepared: Any = whole(loader, device)
    part: DataLoader[Any] = DataLoader(
        loader.dataset,
        batch_sampler=_Part(prepared.batch_sampler),
        collate_fn=loader.collate_fn,
    )
    return whole(part, device)


def whole(loader: DataLoader[Any], device: torch.device) -> DataLoader[Any]:
    """Return a loader that gives every process the same complete batches, with tensors on a device."""
    prepared: DataLoader[Any] = prepare_data_loader(
        loader, device, num_processes=1, process_index=0, put_on_device=True, use_seedable_sampler=True
    )
    return prepared
