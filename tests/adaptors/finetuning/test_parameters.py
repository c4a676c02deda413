"""Which weights are trained: all that an embedding needs, low-rank matrices alone, or the last blocks alone."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import DEPTH
from tiny_tuning import QUICK, changed, embed, make_pairs, open_tiny, weights
from torch import Tensor, nn

from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.lora import add_lora
from adaptors.finetuning.parameters import Scope, TrainedWeights, choose_weights
from adaptors.finetuning.rounds import train_rounds
from adaptors.training.trainer import EncoderTrainer
from probe.errors import CallError
from surgery.fusing.folder import save
from surgery.fusing.model import fuse

FAMILIES = ["bert", "mpnet", "modernbert"]


@pytest.fixture(params=FAMILIES)
def student(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path]) -> TrainableEncoder:
    return open_tiny(tiny_folder(request.param))


@pytest.fixture
def bert(tiny_folder: Callable[[str], Path]) -> TrainableEncoder:
    return open_tiny(tiny_folder("bert"))


def trainable(student: TrainableEncoder) -> set[str]:
    return {name for name, parameter in student.model.named_parameters() if parameter.requires_grad}


def within(student: TrainableEncoder, modules: list[nn.Module]) -> set[str]:
    """Names of the weights inside some modules."""
    inside = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in student.model.named_parameters() if id(parameter) in inside}


def last_blocks(student: TrainableEncoder, count: int) -> list[nn.Module]:
    return list(student.towers[0].stack.blocks)[DEPTH - count :]


def linear_weights(student: TrainableEncoder, blocks: list[nn.Module]) -> set[str]:
    linear = {id(m.weight) for block in blocks for m in block.modules() if isinstance(m, nn.Linear)}
    return {name for name, parameter in student.model.named_parameters() if id(parameter) in linear}


def norms(student: TrainableEncoder) -> list[nn.Module]:
    return [norm for norm in (student.towers[0].stack.final_norm,) if norm is not None]


def test_low_rank_matrices_begin_as_nothing_and_are_all_that_is_trainable(student: TrainableEncoder) -> None:
    before, expected = embed(student), linear_weights(student, last_blocks(student, DEPTH))
    choose_weights(student, Scope(lora=2))
    assert torch.equal(embed(student), before)
    names = trainable(student)
    assert {name.rpartition(".lora_")[0] + ".weight" for name in names} == expected
    assert all(min(student.model.get_parameter(name).shape) == 2 for name in names)


@pytest.mark.parametrize("top", [None, 1])
def test_merged_matrices_leave_the_layout_and_the_vectors_as_they_were(
    student: TrainableEncoder, top: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, start, seen = weights(student), embed(student), []
    allowed = linear_weights(student, last_blocks(student, top or DEPTH))

    merge = TrainedWeights.merge_adapters

    def spy(chosen: TrainedWeights) -> None:
        seen.append(embed(student))
        merge(chosen)

    monkeypatch.setattr(TrainedWeights, "merge_adapters", spy)
    train_rounds(student, make_pairs(8), (), options=replace(QUICK, scope=Scope(lora=2, last_blocks=top)))
    assert changed(student, before) == allowed
    assert torch.allclose(embed(student), seen[0], atol=1e-5)
    assert not torch.allclose(seen[0], start, atol=1e-4)
    assert not any(type(module).__module__.startswith("peft") for module in student.model.modules())
    assert not hasattr(student.towers[0].module, "peft_config")


def test_the_merged_weight_is_the_sum_with_the_doubled_product(bert: TrainableEncoder) -> None:
    block = last_blocks(bert, 1)[0]
    module = bert.towers[0].module
    adapter = add_lora(module, [block], 3)
    (name,) = [name for name, _ in module.named_modules() if name.endswith("2.output.dense")]
    layer = module.get_submodule(name)
    up, down = (layer.get_submodule(f"lora_{side}.default").get_parameter("weight") for side in "BA")
    nn.init.normal_(up)
    begin = layer.get_submodule("base_layer").get_parameter("weight").detach().clone()
    expected = begin.double() + 2 * up.detach().double() @ down.detach().double()
    TrainedWeights({}, (adapter,)).merge_adapters()
    assert torch.allclose(module.get_submodule(name).get_parameter("weight").double(), expected, atol=1e-6)


def reached(student: TrainableEncoder) -> set[str]:
    """Names of the weights that an embedding depends on: those a gradient comes to."""
    student.model.requires_grad_(True)
    features = student.model.preprocess(["river stone", "sun"])
    student.model(features)["sentence_embedding"].sum().backward()
    found = {name for name, parameter in student.model.named_parameters() if parameter.grad is not None}
    student.model.zero_grad(set_to_none=True)
    return found


def test_without_a_scope_all_that_an_embedding_depends_on_is_trained_and_nothing_else(
    student: TrainableEncoder,
) -> None:
    needed = reached(student)
    assert trainable_after(student, Scope()) == needed
    assert within(student, last_blocks(student, DEPTH)) < needed


def trainable_after(student: TrainableEncoder, scope: Scope) -> set[str]:
    choose_weights(student, scope)
    return trainable(student)


def test_the_pooler_is_not_trained_and_the_embeddings_are(bert: TrainableEncoder) -> None:
    before = weights(bert)
    train_rounds(bert, make_pairs(8), (), options=QUICK)
    found = changed(bert, before)
    assert not any("pooler" in name for name in found)
    assert {name for name in before if "pooler" in name}
    assert any("word_embeddings" in name for name in found)
    assert within(bert, last_blocks(bert, DEPTH)) <= found | {n for n in before if n.endswith("key.bias")}


@pytest.mark.parametrize("top", [1, 2])
def test_the_top_alone_leaves_all_below_it_bit_by_bit(student: TrainableEncoder, top: int) -> None:
    before = weights(student)
    allowed = within(student, [*last_blocks(student, top), *norms(student)])
    assert trainable_after(student, Scope(last_blocks=top)) == allowed
    train_rounds(student, make_pairs(8), (), options=replace(QUICK, scope=Scope(last_blocks=top)))
    found = changed(student, before)
    assert linear_weights(student, last_blocks(student, top)) <= found <= allowed


def rates(student: TrainableEncoder, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, float]]:
    """By weight, the learning rate and the decay that the trainer's optimizer has for it when it is built."""
    found: dict[str, tuple[float, float]] = {}
    create = EncoderTrainer.create_optimizer

    def spy(self: EncoderTrainer, model: object = None) -> torch.optim.Optimizer:
        made = create(self, model)
        names = {id(parameter): name for name, parameter in student.model.named_parameters()}
        for group in made.param_groups:
            found.update({names[id(p)]: (group["lr"], group["weight_decay"]) for p in group["params"]})
        return made

    monkeypatch.setattr(EncoderTrainer, "create_optimizer", spy)
    train_rounds(student, make_pairs(4), (), options=replace(QUICK, scope=scope))
    return found


@pytest.mark.parametrize("lora", [None, 2])
def test_every_block_learns_slower_than_the_one_above_it(
    student: TrainableEncoder, lora: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rates(student, Scope(lora=lora, layer_decay=0.5), monkeypatch)
    rate, blocks = 1e-3, last_blocks(student, DEPTH)
    for below, block in enumerate(reversed(blocks)):
        names = {name.replace(".weight", "") for name in linear_weights(student, [block])}
        own = [value for name, (value, _) in found.items() if any(name.startswith(one) for one in names)]
        assert len(own) >= len(names)
        assert own == pytest.approx([rate * 0.5**below] * len(own))
    embeddings = [value for name, (value, _) in found.items() if "embeddings" in name or "relative" in name]
    assert embeddings == ([] if lora else pytest.approx([rate * 0.5**DEPTH] * len(embeddings)))
    assert bool(embeddings) == (lora is None)
    for name in within(student, norms(student)) if lora is None else ():
        assert found[name][0] == rate


def test_biases_and_norms_do_not_decay(bert: TrainableEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rates(bert, Scope(), monkeypatch)
    assert set(found) == trainable(bert)
    for name, (_, decay) in found.items():
        assert decay == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.01)


def test_all_weights_are_in_one_group_alone(student: TrainableEncoder) -> None:
    factors = choose_weights(student, Scope(layer_decay=0.9)).factors
    assert set(factors) == trainable(student)
    patterns = TrainedWeights(factors).learning_rates(1.0)
    found = [[rate for pattern, rate in patterns.items() if re.search(pattern, f"model.{name}")] for name in factors]
    assert found == [[] if factor == 1 else [factor] for factor in factors.values()]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope(lora=0), "--lora 0 is out of range: expected a rank of 1 or more"),
        (Scope(last_blocks=0), "--last-blocks 0 is out of range: '.*' has 3 blocks"),
        (Scope(last_blocks=4), "--last-blocks 4 is out of range: '.*' has 3 blocks"),
        (Scope(layer_decay=0), "--layer-decay 0 is out of range: expected more than 0, and 1 at most"),
        (Scope(layer_decay=1.5), "--layer-decay 1.5 is out of range"),
        (Scope(layer_decay=float("nan")), "--layer-decay nan is out of range"),
    ],
)
def test_numbers_out_of_range_are_wrong_calls(bert: TrainableEncoder, scope: Scope, words: str) -> None:
    with pytest.raises(CallError, match=words):
        choose_weights(bert, scope)


def test_a_fusion_has_as_many_last_blocks_as_its_deepest_member(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    specs = [f"{tiny_folder('bert')}@1:mean", f"{tiny_folder('mpnet')}@2:cls"]
    fused = open_trainable(str(save(fuse(specs), tmp_path / "both")), Path())
    choose_weights(fused, Scope(last_blocks=2))
    for tower in fused.towers:
        assert all(parameter.requires_grad for parameter in tower.stack.blocks.parameters())
    with pytest.raises(CallError, match="--last-blocks 3 is out of range"):
        choose_weights(fused, Scope(last_blocks=3))


def test_a_model_without_matrices_stays_as_it_is(bert: TrainableEncoder) -> None:
    before: dict[str, Tensor] = weights(bert)
    choose_weights(bert, Scope()).merge_adapters()
    assert changed(bert, before) == set()
