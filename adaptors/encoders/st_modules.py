"""An adaptor as modules of a saved model: sentence-transformers' own if it is linear, this package's otherwise."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptors.modules.base import Adaptor
from adaptors.modules.linear import Linear, Projection
from probe.errors import ModelError, first_line
from surgery.saving.files import write_json
from surgery.saving.heads import DenseLayer, TopModule, read_dense, write_dense

__all__ = ["NETWORK_MODULE", "NETWORK_MODULES", "is_plain", "is_scale_free", "read_top", "top_modules"]

# The class that sentence-transformers imports, if this package is installed and the user trusts it.
NETWORK_MODULE = "adaptors.AdaptorModule"
# Older folders use the class's former import path.
NETWORK_MODULES = (NETWORK_MODULE, "adaptors.adaptor_module.AdaptorModule")
_NORM_WEIGHTS = "model.safetensors"


def is_plain(adaptor: Adaptor) -> bool:
    """Return whether an adaptor can be saved with sentence-transformers' own modules."""
    return isinstance(adaptor, Projection | Linear)


def is_scale_free(adaptor: Adaptor) -> bool:
    """Return whether the length of the states changes only the length of the vectors: a linear map without a bias."""
    return isinstance(adaptor, Projection) and not adaptor.bias.any()


def top_modules(adaptor: Adaptor, dim: int) -> tuple[TopModule, ...]:
    """Return an adaptor as modules in order; a linear one is truncated to `dim` dimensions."""
    if isinstance(adaptor, Projection):
        return (_dense(adaptor.weight, adaptor.bias, dim),)
    if isinstance(adaptor, Linear):
        norm = TopModule("LayerNorm", partial(_write_norm, adaptor))
        return (norm, _dense(adaptor.map.weight.T, adaptor.map.bias, dim))
    from adaptors.modules.st_module import write_network

    return (TopModule(NETWORK_MODULE, partial(write_network, adaptor)),)


def read_top(folders: Sequence[Path]) -> Adaptor:
    """Return the adaptor written by `top_modules`, given its folders in order.

    Raises:
        ModelError: The folders have changed.
    """
    kinds = tuple(folder.name.partition("_")[2] for folder in folders)
    if kinds == ("AdaptorModule",):
        from adaptors.modules.st_module import read_network

        return read_network(folders[0])
    if kinds not in (("Dense",), ("LayerNorm", "Dense")):
        raise ModelError(
            f"{folders[0].parent} has unexpected modules on top ({', '.join(kinds)}): expected an adaptor's"
        )
    dense = read_dense(folders[-1])
    weight = torch.from_numpy(dense.weight)
    bias = torch.zeros(weight.shape[1]) if dense.bias is None else torch.from_numpy(dense.bias)
    return Projection.of(weight, bias) if len(kinds) == 1 else _read_linear(folders[0], weight, bias)


def _dense(weight: Tensor, bias: Tensor, dim: int) -> TopModule:
    layer = DenseLayer.of(weight[:, :dim].detach().numpy(), bias[:dim].detach().numpy())
    return TopModule("Dense", partial(write_dense, layer), scale_free=layer.bias is None)


def _write_norm(adaptor: Linear, folder: Path) -> None:
    write_json(folder / "config.json", {"dimension": adaptor.width})
    save_file({f"norm.{name}": tensor for name, tensor in adaptor.norm.state_dict().items()}, folder / _NORM_WEIGHTS)


@torch.no_grad()
def _read_linear(folder: Path, weight: Tensor, bias: Tensor) -> Linear:
    adaptor = Linear(*weight.shape)
    try:
        tensors = load_file(folder / _NORM_WEIGHTS)
        adaptor.norm.weight.copy_(tensors["norm.weight"])
        adaptor.norm.bias.copy_(tensors["norm.bias"])
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"cannot read a LayerNorm from {folder}: {first_line(error)}") from error
    adaptor.map.weight.copy_(weight.T)
    adaptor.map.bias.copy_(bias)
    return adaptor.eval()
