"""Random states with known neighbours: query i belongs to the documents i, i + 30, i + 60, ..."""

import torch
from torch.nn.functional import normalize

from adaptors.fitting.states import FitData

__all__ = ["BLOCKS", "CENTRES", "WIDTH", "make_states"]

BLOCKS = (("a@3:mean", 10), ("b@2:cls", 14))
WIDTH = 24
CENTRES = 30


def make_states(labelled: bool = False, noise: float = 0.6, seed: int = 3) -> FitData:
    """Return states of 240 documents and 30 queries around 30 centres, perhaps with judgements."""
    dice = torch.Generator().manual_seed(seed)
    centres = torch.randn(CENTRES, WIDTH, generator=dice) * torch.logspace(0.5, -0.5, WIDTH)
    documents = centres.repeat(8, 1) + noise * torch.randn(8 * CENTRES, WIDTH, generator=dice) + 1.0
    queries = centres + noise * torch.randn(CENTRES, WIDTH, generator=dice) + 1.0
    documents, queries = normalize(documents, dim=1), normalize(queries, dim=1)
    pairs = [(i % CENTRES, i, 1 + i % 2) for i in range(8 * CENTRES)] if labelled else []
    return FitData(
        documents=documents,
        queries=queries,
        blocks=BLOCKS,
        targets=torch.cat([documents, queries]),
        pairs=torch.tensor(pairs, dtype=torch.long).reshape(-1, 3),
        labels="train" if labelled else "none",
        fitted_on=(("tiny", "0"),),
    )
