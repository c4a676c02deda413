"""The start of a healing: the cut with its lens, or with its last blocks replaced by the full model's last blocks.

The last blocks turn states into the final embedding, while the middle ones change little: several of them can be
removed from a deep model at little cost (Gromov et al., "The Unreasonable Ineffectiveness of the Deeper Layers", ICLR
2025). The full model's last blocks replace blocks from the middle, and the number of blocks stays the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.healing.lens import find_head
from adaptors.healing.texts import HealTexts, check_width
from adaptors.training.evaluation import evaluation_mode
from probe.encoding.chunk_states import Progress, silent
from probe.layers.layer_stack import LayerStack

__all__ = ["HealStart", "choose_start", "scored_rows"]

_SAMPLE = 512
_SCORED = 4
_BATCH = 32
# Per text of the sample; the head is regularized towards the identity.
_RIDGE = 0.005


@dataclass(frozen=True)
class HealStart:
    """Initial blocks of the student.

    Attributes:
        own_blocks: Number of first blocks of the cut that are unchanged; the others are the full model's last ones.
        distance: Mean of `1 - cos` to the teacher's vectors, on texts to which no head was fitted.
    """

    own_blocks: int
    distance: float


def scored_rows(texts: HealTexts, seed: int) -> list[int]:
    """Return the rows on which starts are compared, a quarter of the sample; no head may be fitted to them.

    Args:
        texts: Training texts.
        seed: Random seed of the sample.
    """
    drawn = _draw(texts, seed)
    return drawn[: -(-len(drawn) // _SCORED)]


def _draw(texts: HealTexts, seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).permutation(texts.distinct_rows())[:_SAMPLE].tolist()
    return drawn


def choose_start(
    encoder: TrainableEncoder,
    teacher: LayerStack,
    texts: HealTexts,
    *,
    tokens: int | None,
    seed: int,
    has_time: Callable[[], bool] = lambda: True,
    progress: Progress = silent,
) -> tuple[HealStart, ...]:
    """Try starts with the teacher's last blocks, and set the encoder to the one closest to the teacher.

    In every start except the first, the head is a ridge regression to the teacher's vectors, regularized towards the
    identity: `min |X W - Y|^2 + r |W - I|^2` of vectors that are centred if the head has a bias.

    Args:
        encoder: The cut with its lens, changed in place.
        teacher: The full model's blocks, in float32.
        texts: Training texts with their targets.
        tokens: Maximum input length; None for the model's own.
        seed: Random seed of the sample.
        has_time: Called before every start except the first; if it returns False, no more are tried.
        progress: Called after every start.

    Returns:
        The tried starts: the cut with its lens first, then each with one more of the teacher's blocks.

    Raises:
        ModelError: The encoder and its teacher have different dimensions.
    """
    check_width(encoder.model, texts)
    blocks = list(encoder.towers[0].stack.blocks)
    with cut_texts(encoder.model, tokens), evaluation_mode(encoder.model):
        sample = _Sample(encoder.model, texts, seed)
        tried = [HealStart(len(blocks), sample.distance(_embed(list(encoder.model), sample)))]
        head, best = find_head(encoder), _copy(encoder.model)
        if head is None:
            return tuple(tried)
        others = list(_replaceable(blocks, list(teacher.blocks)))
        progress("starts", 1, 1 + len(others))
        for own_blocks in others:
            if not has_time():
                break
            blocks[own_blocks].load_state_dict(teacher.blocks[own_blocks - len(blocks)].state_dict())
            found = HealStart(own_blocks, sample.distance(_fit_head(encoder.model, head, sample)))
            if found.distance < min(start.distance for start in tried):
                best = _copy(encoder.model)
            tried.append(found)
            progress("starts", 1, 1 + len(others))
        encoder.model.load_state_dict(best)
    return tuple(tried)


class _Sample:
    """Sample texts as features, with teacher's vectors; heads are fitted to three quarters, scored on the others."""

    def __init__(self, model: SentenceTransformer, texts: HealTexts, seed: int) -> None:
        """Draw different texts, and batch texts of similar length."""
        rows = sorted(_draw(texts, seed), key=lambda row: len(texts.texts[row]))
        pieces = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        self.batches = [model.preprocess([texts.texts[row] for row in piece]) for piece in pieces]
        self.targets = texts.targets[rows].double()
        self.judging = torch.isin(torch.tensor(rows), torch.tensor(scored_rows(texts, seed)))

    def distance(self, vectors: Tensor) -> float:
        """Return the mean of `1 - cos` over the scored texts, from unit vectors `(N, F)` of all."""
        return float((1 - (vectors[self.judging] * self.targets[self.judging]).sum(dim=1)).mean())


def _replaceable(blocks: Sequence[nn.Module], teacher: Sequence[nn.Module]) -> Iterator[int]:
    """Yield the indices of blocks, from the last one, while the teacher's blocks have the same shapes."""
    for above, (block, rival) in enumerate(zip(reversed(blocks), reversed(teacher), strict=False), start=1):
        if _shapes(block) != _shapes(rival):
            return
        yield len(blocks) - above


def _shapes(block: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in block.state_dict().items()}


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _embed(modules: Sequence[Any], sample: _Sample) -> Tensor:
    """Return the output of a sequence of modules for the texts: unit vectors `(N, F)` in float64."""
    found = []
    for features in sample.batches:
        made = dict(features)
        for module in modules:
            made = module(made)
        found.append(made["sentence_embedding"].double())
    return normalize(torch.cat(found), dim=1)


def _fit_head(model: SentenceTransformer, index: int, sample: _Sample) -> Tensor:
    """Fit the head to the blocks below it, and return its unit vectors `(N, F)`."""
    vectors = _embed(list(model)[:index], sample)
    given, wanted = vectors[~sample.judging], sample.targets[~sample.judging]
    head: Any = model[index]
    # Without a bias, nothing is subtracted.
    centre, target_mean = given.mean(dim=0) * head.bias, wanted.mean(dim=0) * head.bias
    apart, identity = given - centre, torch.eye(given.shape[1], dtype=torch.float64)
    gram = apart.T @ apart + _RIDGE * len(given) * identity
    weight = identity + torch.linalg.solve(gram, apart.T @ (wanted - target_mean - apart))
    offset = target_mean - centre @ weight
    head.linear.weight.copy_(weight.T)
    if head.bias:
        head.linear.bias.copy_(offset)
    return normalize(vectors @ weight + offset.float().double(), dim=1)
