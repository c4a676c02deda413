"""A model is left as it was found, whatever its forward does to it."""

import random

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BigBirdConfig, BigBirdModel

from probe.layers.capture import Capture
from probe.layers.layer_stack import dummy_inputs, find_layers
from probe.layers.unchanged import unchanged


class Restless(nn.Module):
    """Remembers what it saw in every way that a module can."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.longest = 0
        self.part = nn.Identity()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, states: Tensor) -> Tensor:
        self.seen.append(states)
        self.longest = max(self.longest, len(states))
        self.latest = states
        self.part = nn.ReLU()
        self.total += 1
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        return states


def test_attributes_modules_buffers_and_generators_are_put_back() -> None:
    model = Restless()
    part, generators = model.part, (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    with unchanged(model) as changed:
        model(torch.ones(3))
        assert changed == []
    assert changed == ["Restless", "Tensor"]
    assert (model.seen, model.longest, model.part is part, hasattr(model, "latest")) == ([], 0, True, False)
    assert torch.equal(model.total, torch.zeros(2))
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1])  # noqa: NPY002
    assert random.getstate() == generators[2]


def test_a_model_that_stays_as_it_is_has_changed_nothing() -> None:
    model = nn.Linear(2, 2)
    with unchanged(model) as changed:
        model(torch.ones(1, 2))
    assert changed == []


def test_hooks_set_meanwhile_are_left_to_their_owners() -> None:
    model = nn.Linear(2, 2)
    with unchanged(model):
        handle = model.register_forward_hook(lambda *call: None)
    assert len(model._forward_hooks) == 1
    handle.remove()


def make_big_bird() -> BigBirdModel:
    torch.manual_seed(3)
    config = BigBirdConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        block_size=4,
        num_random_blocks=1,
    )
    return BigBirdModel(config).eval()


def test_a_short_dummy_leaves_big_birds_attention_sparse() -> None:
    model = make_big_bird()
    attention = model.encoder.layer[0].attention.self
    stack = find_layers(model)
    assert stack.restless
    assert model.attention_type == model.config.attention_type == "block_sparse"
    assert model.encoder.layer[0].attention.self is attention


def test_a_long_text_is_read_alike_after_a_short_one() -> None:
    long = dummy_inputs(make_big_bird(), 64)
    model = make_big_bird()
    with torch.inference_mode():
        expected = make_big_bird()(**long).last_hidden_state.mean(dim=1)
        with Capture(model, find_layers(model), {2: ("mean",)}) as capture:
            capture.run(dummy_inputs(model))
            found = capture.run(long)[2, "mean"]
    assert torch.allclose(found, expected, atol=1e-6)
