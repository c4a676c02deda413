"""Capture: what it reads at every layer, what it leaves on the model, and what it keeps in memory."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import DEPTH, ENCODERS, ToyEncoder, count_hooks, make_batch, make_tiny
from torch import Tensor, nn

from probe.errors import ModelError
from probe.layers.capture import Capture, StopForward
from probe.layers.layer_stack import LayerStack, find_layers, first_tensor
from probe.layers.pooling import POOLINGS

Batch = dict[str, Tensor]

LENGTHS = (21, 4, 9, 1)
EVERYWHERE = {layer: tuple(POOLINGS) for layer in range(DEPTH + 1)}


@pytest.fixture
def bert() -> tuple[nn.Module, LayerStack, Batch]:
    """Return a fresh model with its stack and a batch for it."""
    model = make_tiny("bert")
    return model, find_layers(model), make_batch(model, LENGTHS)


def capture_states(
    model: nn.Module, stack: LayerStack, wanted: dict[int, tuple[str, ...]], batch: Batch
) -> dict[tuple[int, str], Tensor]:
    with torch.inference_mode(), Capture(model, stack, wanted) as capture:
        return capture.run(batch)


def reference_states(model: nn.Module, stack: LayerStack, batch: Batch) -> list[Tensor]:
    with torch.inference_mode():
        output = model(**batch, output_hidden_states=True)
        norm = stack.final_norm or nn.Identity()
        inner = [norm(hidden) for hidden in output.hidden_states[:-1]]
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    return [*inner, output.last_hidden_state]


def count_runs(monkeypatch: pytest.MonkeyPatch, block: nn.Module) -> list[int]:
    runs: list[int] = []
    forward: Callable[..., Any] = block.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        runs.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(block, "forward", spy)
    return runs


@pytest.mark.parametrize("family", ENCODERS)
def test_states_are_the_pooled_hidden_states(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    batch = make_batch(model, LENGTHS)
    states = capture_states(model, stack, EVERYWHERE, batch)
    for layer, hidden in enumerate(reference_states(model, stack, batch)):
        for name, pool in POOLINGS.items():
            difference = (states[layer, name] - pool(hidden, batch["attention_mask"])).abs().max()
            assert difference <= 1e-5, (layer, name)
    assert len(states) == len(POOLINGS) * (DEPTH + 1)


@pytest.mark.parametrize("family", ENCODERS)
def test_neighbouring_layers_differ_so_that_a_wrong_one_shows(family: str) -> None:
    model = make_tiny(family)
    states = capture_states(model, find_layers(model), EVERYWHERE, make_batch(model, LENGTHS))
    for layer in range(DEPTH):
        assert (states[layer, "mean"] - states[layer + 1, "mean"]).abs().max() > 0.01


@pytest.mark.parametrize("family", ENCODERS)
def test_padding_changes_nothing(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    batch = make_batch(model, LENGTHS)
    together = capture_states(model, stack, EVERYWHERE, batch)
    for row, length in enumerate(LENGTHS):
        alone = {name: tensor[row : row + 1, :length] for name, tensor in batch.items()}
        for place, state in capture_states(model, stack, EVERYWHERE, alone).items():
            assert (state[0] - together[place][row]).abs().max() <= 1e-5, (place, row)


def test_toy_states_are_known_by_hand() -> None:
    model = ToyEncoder()
    batch = {"input_ids": torch.tensor([[3, 8, 10], [5, 1, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    states = capture_states(model, find_layers(model), {0: ("max",), 2: ("mean", "cls"), 3: ("last",)}, batch)
    assert {place: state[:, 0].tolist() for place, state in states.items()} == {
        (0, "max"): [10.0, 5.0],
        (2, "mean"): [9.0, 5.0],
        (2, "cls"): [5.0, 7.0],
        (3, "last"): [13.0, 4.0],
    }


@pytest.mark.parametrize("family", ["bert", "qwen3"])
def test_bfloat16_states_are_pooled_in_float32(family: str) -> None:
    model = make_tiny(family).bfloat16()
    stack = find_layers(model)
    batch = make_batch(model, LENGTHS)
    states = capture_states(model, stack, EVERYWHERE, batch)
    for layer, hidden in enumerate(reference_states(model, stack, batch)):
        assert hidden.dtype == torch.bfloat16
        assert torch.equal(states[layer, "mean"], POOLINGS["mean"](hidden.float(), batch["attention_mask"]))


def test_order_of_wanted_layers_does_not_matter(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    states = capture_states(model, stack, {3: ("mean",), 0: ("cls",), 1: ("mean",)}, batch)
    everywhere = capture_states(model, stack, EVERYWHERE, batch)
    assert set(states) == {(3, "mean"), (0, "cls"), (1, "mean")}
    assert all(torch.equal(state, everywhere[place]) for place, state in states.items())


def test_blocks_above_the_deepest_layer_never_run(
    bert: tuple[nn.Module, LayerStack, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stack, batch = bert
    runs = [count_runs(monkeypatch, block) for block in stack.blocks]
    capture_states(model, stack, {1: ("mean",), 0: ("mean",)}, batch)
    assert [len(calls) for calls in runs] == [1, 0, 0]


def test_modules_after_the_last_block_never_run(
    bert: tuple[nn.Module, LayerStack, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stack, batch = bert
    runs = count_runs(monkeypatch, model.get_submodule("pooler"))
    capture_states(model, stack, {DEPTH: ("mean",)}, batch)
    assert not runs


@pytest.mark.parametrize("family", ENCODERS)
def test_full_forward_after_an_early_stop_is_intact(family: str) -> None:
    model = make_tiny(family)
    stack = find_layers(model)
    batch = make_batch(model, LENGTHS)
    with torch.inference_mode():
        before = model(**batch).last_hidden_state
        capture_states(model, stack, {1: ("mean",)}, batch)
        after = model(**batch).last_hidden_state
    assert torch.equal(before, after)


def test_direct_forward_inside_the_block_is_neither_read_nor_stopped(
    bert: tuple[nn.Module, LayerStack, Batch],
) -> None:
    model, stack, batch = bert
    with torch.inference_mode(), Capture(model, stack, {1: ("mean",)}) as capture:
        states = capture.run(batch)
        output = model(**batch).last_hidden_state
        again = capture.run(batch)
    assert output.shape[:2] == batch["input_ids"].shape
    assert torch.equal(states[1, "mean"], again[1, "mean"])


def test_hooks_live_only_inside_the_block(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, _ = bert
    capture = Capture(model, stack, EVERYWHERE)
    assert count_hooks(model) == 0
    with capture:
        assert count_hooks(model) == DEPTH + 1
    assert count_hooks(model) == 0


def test_hooks_go_and_the_error_stays_when_the_body_raises(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert

    def fail_after_a_run() -> None:
        with Capture(model, stack, EVERYWHERE) as capture:
            capture.run(batch)
            raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        fail_after_a_run()
    assert count_hooks(model) == 0


def test_error_of_the_forward_is_not_masked(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    batch["input_ids"] = batch["input_ids"] + 10_000
    with pytest.raises(IndexError), Capture(model, stack, EVERYWHERE) as capture:
        capture.run(batch)
    assert count_hooks(model) == 0


def test_capture_works_again_after_a_failed_run(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    broken = {**batch, "input_ids": batch["input_ids"] + 10_000}
    with torch.inference_mode(), Capture(model, stack, {1: ("mean",)}) as capture:
        with pytest.raises(IndexError):
            capture.run(broken)
        states = capture.run(batch)
    assert torch.equal(states[1, "mean"], capture_states(model, stack, EVERYWHERE, batch)[1, "mean"])


def test_only_its_own_hooks_are_removed(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    seen: list[str] = []
    stack.blocks[0].register_forward_pre_hook(lambda module, args: seen.append("first"))
    stack.blocks[-1].register_forward_hook(lambda module, args, output: seen.append("last"))
    capture_states(model, stack, EVERYWHERE, batch)
    seen.clear()
    model(**batch)
    assert seen == ["first", "last"]
    assert count_hooks(model) == 2


def test_failed_entry_leaves_no_hook_behind(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, _ = bert
    with pytest.raises(IndexError), Capture(model, stack, {0: ("mean",), 99: ("mean",)}):
        pass
    assert count_hooks(model) == 0


def test_stop_of_another_capture_passes_through(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    other = Capture(model, stack, {0: ("mean",)})

    def stop(module: nn.Module, args: Any) -> None:
        raise StopForward(other)

    stack.blocks[1].register_forward_pre_hook(stop)
    with pytest.raises(StopForward) as stopped, Capture(model, stack, {DEPTH: ("mean",)}) as capture:
        capture.run(batch)
    assert stopped.value.capture is other


def test_nested_captures_read_as_each_would_alone(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    everywhere = capture_states(model, stack, EVERYWHERE, batch)
    with torch.inference_mode(), Capture(model, stack, {3: ("mean",)}) as outer:
        with Capture(model, stack, {1: ("cls",)}) as inner:
            assert torch.equal(inner.run(batch)[1, "cls"], everywhere[1, "cls"])
            assert torch.equal(outer.run(batch)[3, "mean"], everywhere[3, "mean"])
        assert list(outer.run(batch)) == [(3, "mean")]
    assert count_hooks(model) == 0


def test_run_outside_the_block_is_refused(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    capture = Capture(model, stack, EVERYWHERE)
    with pytest.raises(RuntimeError, match="with block"):
        capture.run(batch)
    with capture:
        pass
    with pytest.raises(RuntimeError, match="with block"):
        capture.run(batch)


def test_layer_that_never_ran_is_named(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, _, batch = bert
    stranger = find_layers(make_tiny("bert"))
    with pytest.raises(ModelError, match=r"\[2\] did not run"):
        capture_states(model, stranger, {2: ("mean",)}, batch)


def test_states_without_a_token_axis_are_refused() -> None:
    model = ToyEncoder()
    stack = find_layers(model)
    model.embeddings = nn.Flatten()
    batch = {"input_ids": torch.ones(2, 3), "attention_mask": torch.ones(2, 3)}
    with pytest.raises(ModelError, match=r"layer 1 .*\(2, 3\)"):
        capture_states(model, stack, {1: ("mean",)}, batch)


def test_deeper_layers_take_longer(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    with torch.inference_mode(), Capture(model, stack, EVERYWHERE) as capture:
        capture.run(batch)
        once = dict(capture.seconds)
        capture.run(batch)
    assert 0 < once[0] < once[1] < once[2] < once[3]
    assert all(capture.seconds[layer] > once[layer] for layer in once)


def watch_token_states(stack: LayerStack) -> tuple[list["weakref.ref[Tensor]"], list[int]]:
    """Follow the states that enter each block: references to them, and how many of them live at each block."""
    entered: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def watch(module: nn.Module, args: Any) -> None:
        entered.append(weakref.ref(first_tensor(args[0])))
        alive.append(sum(state() is not None for state in entered))

    for block in stack.blocks:
        block.register_forward_pre_hook(watch)
    stack.blocks[-1].register_forward_hook(lambda m, args, output: entered.append(weakref.ref(first_tensor(output))))
    return entered, alive


@pytest.mark.parametrize("family", ENCODERS)
def test_no_token_states_are_kept_from_layer_to_layer_nor_after_a_run(family: str) -> None:
    depth = 8
    model = make_tiny(family, num_hidden_layers=depth)
    stack = find_layers(model)
    batch = make_batch(model, LENGTHS)
    entered, alive = watch_token_states(stack)
    with torch.inference_mode():
        model(**batch)
    plain = [alive.pop() for _ in range(depth)]
    wanted = {layer: tuple(POOLINGS) for layer in range(depth + 1)}
    with torch.inference_mode(), Capture(model, stack, wanted) as capture:
        states = capture.run(batch)
        assert len(entered) == 2 * (depth + 1)
        assert all(state() is None for state in entered)
    assert max(alive) <= max(plain)
    assert {state.shape for state in states.values()} == {(len(LENGTHS), states[0, "cls"].shape[1])}


@pytest.mark.parametrize("family", ["bert", "deberta", "modernbert", "qwen3"])
def test_pooled_states_are_no_views_of_token_states(family: str) -> None:
    model = make_tiny(family)
    states = capture_states(model, find_layers(model), EVERYWHERE, make_batch(model, LENGTHS))
    assert all(state.untyped_storage().nbytes() == 4 * state.numel() for state in states.values())


def test_a_stopped_run_keeps_no_token_states(bert: tuple[nn.Module, LayerStack, Batch]) -> None:
    model, stack, batch = bert
    entered, _ = watch_token_states(stack)
    with torch.inference_mode(), Capture(model, stack, {1: ("max",)}) as capture:
        capture.run(batch)
        assert len(entered) == 2
        assert all(state() is None for state in entered)
