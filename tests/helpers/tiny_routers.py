"""Tiny routers of sentence-transformers, as other people make them, and static folders to pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tiny_models import WIDTH
from torch import nn

__all__ = ["make_static", "modules_of", "write_router", "write_static"]


def make_static(tokenizer: Any, seed: int = 3, width: int = WIDTH) -> StaticEmbedding:
    """Return a table of random token vectors for a tokenizer."""
    torch.manual_seed(seed)
    return StaticEmbedding(tokenizer, embedding_dim=width)


def write_static(folder: Path, like: Path, width: int = WIDTH, **settings: Any) -> Path:
    """Write a static encoder with the tokenizer of a model, and return its folder."""
    modules = [make_static(SentenceTransformer(str(like), device="cpu").tokenizer, width=width), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", **settings).save(str(folder), create_model_card=False)
    return folder


def modules_of(folder: Path) -> list[nn.Module]:
    """Return the modules that sentence-transformers loads from a folder."""
    return list(SentenceTransformer(str(folder), device="cpu"))


def write_router(
    folder: Path,
    routes: Mapping[str, Sequence[nn.Module]],
    *after: nn.Module,
    mappings: Mapping[Any, str] | None = None,
    default: str | None = None,
    **settings: Any,
) -> Path:
    """Write a router and return its folder.

    Args:
        folder: Where to.
        routes: The modules of every route.
        after: Modules after the router.
        mappings: Routes by task and modality.
        default: The route of texts without a task.
        settings: What a `SentenceTransformer` is given: prompts, similarity, dimensions.
    """
    router = Router({name: list(modules) for name, modules in routes.items()}, default, True, dict(mappings or {}))
    model = SentenceTransformer(modules=[router, *after], device="cpu", **settings)
    model.save(str(folder), create_model_card=False)
    return folder
