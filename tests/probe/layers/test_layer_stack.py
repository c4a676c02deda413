"""Finding the layer stack: every family by structure and behaviour, and a clear refusal of the rest."""

from itertools import pairwise

import pytest
import torch
from tiny_models import DEPTH, ENCODERS, ToyEncoder, count_hooks, make_tiny
from torch import nn

from probe.errors import ModelError
from probe.layers.layer_stack import find_layers

_PATHS = {
    "distilbert": "transformer.layer",
    "modernbert": "layers",
    "nomic-bert": "layers",
    "qwen3": "layers",
}
_FINAL_NORMS = {"modernbert": "final_norm", "qwen3": "norm"}


@pytest.mark.parametrize("family", ENCODERS)
def test_finds_the_stack_of_every_family(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    assert stack.path == _PATHS.get(family, "encoder.layer")
    assert stack.blocks is model.get_submodule(stack.path)
    assert stack.depth == DEPTH


@pytest.mark.parametrize("family", ENCODERS)
def test_finds_the_final_norm_where_there_is_one(family: str) -> None:
    model = make_tiny(family)
    name = _FINAL_NORMS.get(family)
    assert find_layers(model).final_norm is (model.get_submodule(name) if name else None)


def test_norm_of_relative_embeddings_is_no_final_norm() -> None:
    model = make_tiny("deberta-v2")
    assert isinstance(model.get_submodule("encoder.LayerNorm"), nn.LayerNorm)
    assert find_layers(model).final_norm is None


@pytest.mark.parametrize("family", ["modernbert", "bert"])
def test_depth_of_one_is_a_stack_too(family: str) -> None:
    stack = find_layers(make_tiny(family, num_hidden_layers=1))
    assert stack.depth == 1
    assert (stack.final_norm is None) == (family == "bert")


@pytest.mark.parametrize("family", ENCODERS)
def test_finding_leaves_no_hook_behind(family: str) -> None:
    model = make_tiny(family)
    find_layers(model)
    assert count_hooks(model) == 0


def test_finding_leaves_no_hook_behind_when_the_forward_fails() -> None:
    model = ToyEncoder()
    model.blocks[1] = nn.Linear(7, 7)
    with pytest.raises(ModelError):
        find_layers(model)
    assert count_hooks(model) == 0


def test_refuses_shared_layers_and_lists_what_it_found() -> None:
    with pytest.raises(ModelError) as refusal:
        find_layers(make_tiny("albert"))
    message = str(refusal.value)
    assert "AlbertModel" in message
    assert "encoder.albert_layer_groups (1)" in message
    assert f"{DEPTH} layers" in message


def test_takes_the_list_that_makes_the_output_where_another_is_as_long() -> None:
    model = ToyEncoder()
    model.norms = nn.ModuleList(nn.Identity() for _ in range(DEPTH))
    assert find_layers(model).path == "blocks"


class _Interleaved(ToyEncoder):
    """Gives states through two lists in turn, the last of both unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.Identity() for _ in range(DEPTH))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        hidden = self.embeddings(input_ids)
        for block, norm in zip(self.blocks, self.norms, strict=True):
            hidden = norm(block(hidden_states=hidden)[0])
        return (hidden,)


def test_refuses_two_lists_that_both_make_the_output() -> None:
    with pytest.raises(ModelError, match=r"blocks \(3\).*norms \(3\)"):
        find_layers(_Interleaved())


def test_takes_the_outer_list_where_a_block_holds_one_as_long() -> None:
    model = ToyEncoder()
    assert len(list(model.get_submodule("blocks.0.experts").children())) == DEPTH
    assert find_layers(model).path == "blocks"


def test_refuses_a_config_without_a_number_of_layers() -> None:
    model = ToyEncoder()
    del model.config.num_hidden_layers
    with pytest.raises(ModelError, match="num_hidden_layers"):
        find_layers(model)


def test_refuses_an_output_that_no_module_explains() -> None:
    with pytest.raises(ModelError, match="is not that of its last block or of modules"):
        find_layers(ToyEncoder(scale=2.0))


@pytest.mark.parametrize("family", ENCODERS)
def test_whole_model_counts_all_parameters_but_the_poolers(family: str) -> None:
    model = make_tiny(family)
    expected = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("pooler."))
    assert find_layers(model).count_parameters(model, DEPTH) == expected


@pytest.mark.parametrize("family", ENCODERS)
def test_one_layer_more_counts_one_block_more(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    counts = [stack.count_parameters(model, layer) for layer in range(DEPTH + 1)]
    blocks = [sum(p.numel() for p in block.parameters()) for block in stack.blocks]
    assert [after - before for before, after in pairwise(counts)] == blocks
    assert min(blocks) > 0
    assert counts[0] > 0


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
def test_no_layer_needs_the_pooler(family: str) -> None:
    stack = find_layers(make_tiny(family))
    assert not stack.needs("pooler.dense.weight")
    assert stack.needs("embeddings.word_embeddings.weight")
    assert stack.needs("encoder.layer.0.attention.self.query.weight")


@pytest.mark.parametrize("family", list(_FINAL_NORMS))
def test_every_layer_needs_the_final_norm(family: str) -> None:
    assert find_layers(make_tiny(family)).needs(f"{_FINAL_NORMS[family]}.weight")


@pytest.mark.parametrize("family", ENCODERS)
def test_final_norm_explains_the_output(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    last: list[torch.Tensor] = []
    handle = stack.blocks[-1].register_forward_hook(
        lambda module, args, output: last.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    ids = torch.tensor([[5, 9, 6, 8, 7]])
    with torch.inference_mode():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        explained = last[0] if stack.final_norm is None else stack.final_norm(last[0])
    handle.remove()
    assert torch.equal(explained, output)
