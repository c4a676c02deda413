"""An adaptor as a sentence-transformers module, for training and in saved models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.modules import Module
from torch import Tensor

from adaptors.modules.base import Adaptor
from adaptors.modules.registry import NETWORKS
from probe.errors import ModelError, first_line

__all__ = ["AdaptorModule", "read_network", "read_weights", "write_network"]

_WEIGHTS = "model.safetensors"


class AdaptorModule(Module):
    """Apply an adaptor to the embeddings of the preceding modules."""

    def __init__(self, adaptor: Adaptor) -> None:
        """Wrap an adaptor."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.adaptor = adaptor

    def forward(self, features: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
        """Replace `sentence_embedding` `(N, D)` by the adaptor's vectors `(N, dim)`, in the adaptor's dtype."""
        vectors = features["sentence_embedding"]
        weight = next(self.adaptor.parameters(), None)
        return {**features, "sentence_embedding": self.adaptor(vectors if weight is None else vectors.to(weight.dtype))}

    def get_embedding_dimension(self) -> int:
        """Return the dimension of the vectors."""
        return self.adaptor.dim

    def save(self, output_path: str, *args: Any, **options: Any) -> None:
        """Write the adaptor into an existing folder."""
        write_network(self.adaptor, Path(output_path))

    @classmethod
    def load(  # type: ignore[override]
        cls, model_name_or_path: str, subfolder: str = "", **options: Any
    ) -> "AdaptorModule":
        """Load a folder or hub repository in the dtype of `model_kwargs`; its other options are for the model."""
        wanted = ("token", "cache_folder", "revision", "local_files_only")
        folder = cls.load_dir_path(model_name_or_path, subfolder, **{k: options[k] for k in wanted if k in options})
        if folder is None:
            raise ModelError(f"'{model_name_or_path}' not found: expected a saved folder or a hub id")
        module = cls(read_network(Path(folder)))
        dtype = _named_dtype(options.get("model_kwargs") or {})
        return module if dtype is None else module.to(dtype)


def _named_dtype(model_kwargs: Mapping[str, Any]) -> torch.dtype | None:
    """Return the dtype in model_kwargs as transformers would read it, or None if none is given."""
    asked = model_kwargs.get("dtype", model_kwargs.get("torch_dtype"))
    if isinstance(asked, str):
        asked = getattr(torch, asked, None)
    return asked if isinstance(asked, torch.dtype) else None


def write_network(network: Adaptor, folder: Path) -> None:
    """Write an instance of one of `NETWORKS` into an existing folder."""
    payload = {"kind": network.kind, "settings": network.settings()}
    (folder / "config.json").write_text(json.dumps(payload, indent=2) + "\n", encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / _WEIGHTS)


def read_weights(network: Adaptor, folder: Path) -> None:
    """Load weights written by `write_network` into an adaptor of the same kind and size."""
    network.load_state_dict(load_file(folder / _WEIGHTS))


def read_network(folder: Path) -> Adaptor:
    """Read an adaptor written by `write_network`; only classes in `NETWORKS` are created.

    Raises:
        ModelError: The folder has no readable adaptor.
    """
    try:
        payload = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        network = NETWORKS[payload["kind"]](**payload["settings"])
        read_weights(network, folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"cannot read an adaptor from {folder}: {first_line(error)}") from error
    return network.eval()
