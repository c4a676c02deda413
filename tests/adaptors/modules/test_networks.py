"""Networks: untrained they are the identity on principal axes; saved and read again they are the same."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_states import BLOCKS, WIDTH, make_states
from torch import Tensor, nn
from torch.nn.functional import normalize

from adaptors.fitting.closed_form import fit_pca, fit_spectral
from adaptors.fitting.network import NETWORK_LOSSES, make_network
from adaptors.losses.prefixes import prefix_lengths, ranking_lengths
from adaptors.modules.base import Network
from adaptors.modules.block_mixing import Attention, ScalarMix, describe_shares
from adaptors.modules.mlp import Autoencoder
from adaptors.modules.registry import NETWORKS
from adaptors.modules.rotation import Rotation
from adaptors.modules.st_module import AdaptorModule, read_network, write_network
from probe.errors import ModelError

DIM = 8
RANDOM = ("linear-original", "mlp-original")
KINDS = [kind for kind in NETWORK_LOSSES if kind not in RANDOM]
DATA = make_states()


def cosines(vectors: Tensor) -> Tensor:
    units = normalize(vectors, dim=1)
    return units @ units.T


def shaken(kind: str) -> Network:
    """A network whose every weight has moved."""
    network = make_network(kind, DATA, DIM, seed=0).eval()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            dice = torch.Generator().manual_seed(number)
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=dice))
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_identity_law_untrained_it_is_pca(kind: str) -> None:
    network = make_network(kind, DATA, DIM, seed=0)
    prepared = replace(DATA, documents=network.prepare(DATA.documents), queries=network.prepare(DATA.queries))
    expected = fit_pca(prepared, DIM)(prepared.queries)
    assert torch.allclose(network(DATA.queries), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_identity_law_at_full_width_untrained_no_cosine_changes(kind: str) -> None:
    network = make_network(kind, DATA, WIDTH, seed=0)
    assert torch.allclose(cosines(network(DATA.queries)), cosines(network.prepare(DATA.queries)), atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("linear", "rotation")])
def test_whitened_it_begins_as_spectral(kind: str) -> None:
    expected = fit_spectral(DATA, DIM)(DATA.queries)
    assert torch.allclose(make_network(kind, DATA, DIM, seed=0, is_whitened=True)(DATA.queries), expected, atol=1e-4)


@pytest.mark.parametrize("kind", RANDOM)
def test_the_originals_begin_at_random_from_the_seed(kind: str) -> None:
    first, again, other = (make_network(kind, DATA, DIM, seed=seed).eval()(DATA.queries) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_making_one_leaves_the_dice_alone() -> None:
    before = torch.random.get_rng_state()
    make_network("mlp", DATA, DIM, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_rotation_changes_no_cosine_at_full_width_whatever_its_weights() -> None:
    rotation = Rotation(WIDTH, WIDTH)
    nn.init.normal_(rotation.normals)
    assert torch.allclose(cosines(rotation(DATA.queries)), cosines(DATA.queries), atol=1e-5)
    assert not torch.allclose(rotation(DATA.queries), DATA.queries, atol=0.1)


def test_a_rotation_is_its_reflections_one_after_another() -> None:
    rotation = Rotation(WIDTH, DIM)
    nn.init.normal_(rotation.normals)
    states = DATA.queries
    for normal in rotation.normals:
        states = states - 2 * torch.outer(states @ normal, normal) / (normal @ normal)
    assert torch.allclose(rotation(DATA.queries), states[:, :DIM], atol=1e-5)
    assert torch.allclose(rotation.flatten()(DATA.queries), states[:, :DIM], atol=1e-5)


def test_a_scalar_mix_weighs_the_cosines_of_blocks() -> None:
    mix = ScalarMix(WIDTH, WIDTH, [10, 14])
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.25, 0.75]).log())
    first, second = DATA.queries.split([10, 14], dim=1)
    expected = torch.cat([0.5 * first, 1.5 * second], dim=1)
    assert torch.allclose(mix(DATA.queries), expected, atol=1e-6)
    assert torch.allclose(mix.flatten()(DATA.queries), expected, atol=1e-6)
    shares = describe_shares(mix, DATA.queries, [name for name, _ in BLOCKS])
    assert shares == ("weights a@3:mean 0.250, b@2:cls 0.750",)


def test_attention_weights_are_shares_and_begin_equal() -> None:
    untrained = make_network("attention", DATA, DIM, seed=0)
    assert isinstance(untrained, Attention)
    assert torch.allclose(untrained.attend(DATA.queries), torch.full((30, 4, 2), 0.5))
    trained = shaken("attention")
    assert isinstance(trained, Attention)
    weights = trained.attend(DATA.queries)
    assert torch.allclose(weights.sum(dim=2), torch.ones(30, 4))
    assert not torch.allclose(weights[0], weights[1])
    assert torch.allclose(trained.shares(DATA.queries), weights.mean(dim=(0, 1)))


def test_a_head_holds_its_dimensions_only() -> None:
    network = shaken("attention")
    assert isinstance(network, Attention)
    before = network(DATA.queries)
    with torch.no_grad():
        network.queries[1].add_(3.0)
    changed = (network(DATA.queries) - before).abs().amax(dim=0) > 1e-6
    assert changed.nonzero().flatten().tolist() == [1, 5]


def test_an_untrained_autoencoder_at_full_width_loses_nothing() -> None:
    network = make_network("autoencoder", DATA, WIDTH, seed=0)
    assert isinstance(network, Autoencoder)
    assert torch.allclose(network.decode(network(DATA.queries)), DATA.queries, atol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_saved_and_read_again_it_is_the_same(kind: str, tmp_path: Path) -> None:
    network = shaken(kind)
    write_network(network, tmp_path)
    again = read_network(tmp_path)
    assert type(again) is type(network)
    assert torch.equal(again(DATA.queries), network(DATA.queries))
    module = AdaptorModule.load(str(tmp_path))
    given = {"sentence_embedding": DATA.queries}
    assert torch.equal(module(given)["sentence_embedding"], network(DATA.queries))
    assert given["sentence_embedding"] is DATA.queries
    assert module.get_embedding_dimension() == DIM


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "kind", "size"])
def test_a_damaged_folder_is_named(damage: str, tmp_path: Path) -> None:
    write_network(shaken("mlp"), tmp_path)
    config = tmp_path / "config.json"
    if damage in ("kind", "size"):
        found, other = {"kind": ('"mlp"', '"os.system"'), "size": (f'"dim": {DIM}', '"dim": 5')}[damage]
        assert found in config.read_text()
        config.write_text(config.read_text().replace(found, other))
    else:
        (tmp_path / damage).write_bytes(b"{")
    with pytest.raises(ModelError, match="cannot read an adaptor"):
        read_network(tmp_path)


def test_prefixes_are_halves_down_to_32() -> None:
    assert prefix_lengths(512) == (512, 256, 128, 64, 32)
    assert prefix_lengths(100) == (100, 50)
    assert prefix_lengths(8) == (8,)
    assert ranking_lengths(512) == (512, 256, 128)
    assert ranking_lengths(2) == (2, 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", NETWORK_LOSSES)
def test_a_network_computes_in_its_own_precision_whatever_comes_before_it(kind: str, dtype: torch.dtype) -> None:
    network = make_network(kind, DATA, DIM, seed=0).eval()
    expected = network(DATA.queries)
    found = AdaptorModule(network).to(dtype)({"sentence_embedding": DATA.queries})["sentence_embedding"]
    assert found.dtype == dtype
    assert torch.cosine_similarity(found.float(), expected, dim=1).min() > 0.99


@pytest.mark.parametrize("asked", [{"dtype": torch.bfloat16}, {"torch_dtype": "bfloat16"}])
def test_a_network_is_loaded_in_the_dtype_that_is_asked_for(tmp_path: Path, asked: dict[str, object]) -> None:
    write_network(Rotation(8, 8), tmp_path)
    assert {p.dtype for p in AdaptorModule.load(str(tmp_path), model_kwargs=asked).parameters()} == {torch.bfloat16}
    assert {p.dtype for p in AdaptorModule.load(str(tmp_path)).parameters()} == {torch.float32}
