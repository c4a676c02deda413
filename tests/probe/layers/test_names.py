"""Names in specs (`mine=./folder@5:mean`): parsed, printed and refused; folders keep `=` and `+` in their names."""

import random
from pathlib import Path

import pytest

from probe.errors import CallError
from probe.layers.hookpoint import Hookpoint, split_fusion, split_name, split_spec

ODD = ["runs/lr=3e-4", "a+b", "x=y", "p+q=r", "a@1+b:cls", "lr=1+lr=2"]
MODELS = ["minilm", "owner/name", "owner/name@v1.0", "./plain", "clip@image", *(f"./{folder}" for folder in ODD), "a+b"]
NAMES = ["", "mine", "mpnet", "v1.5", "my-model_2", "Größe"]
LAYERS = ["", "@0", "@12", "@last"]
POOLINGS = ["", ":mean", ":cls", ":own"]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ODD:
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def draw(rng: random.Random) -> tuple[str, str, str, str]:
    return rng.choice(NAMES), rng.choice(MODELS), rng.choice(LAYERS), rng.choice(POOLINGS)


def write(name: str, model: str, layer: str, pooling: str) -> str:
    # The layer of a tower follows a full stop.
    layer = layer.replace("@", ".") if model == "clip@image" else layer
    return f"{name}={model}{layer}{pooling}" if name else f"{model}{layer}{pooling}"


@pytest.mark.parametrize("seed", range(200))
def test_any_spec_prints_back_and_any_fusion_comes_apart(seed: int) -> None:
    rng = random.Random(seed)
    drawn = [draw(rng) for _ in range(rng.randint(1, 4))]
    parts = [write(*one) for one in drawn]
    for (name, model, layer, pooling), spec in zip(drawn, parts, strict=True):
        point = Hookpoint.parse(spec)
        assert str(point) == spec
        assert split_name(point.model) == (name or None, model)
        assert (point.layer, point.pooling) == (
            int(layer[1:]) if layer[1:].isdigit() else layer[1:] or None,
            pooling[1:] or None,
        )
    assert split_fusion("+".join(parts)) == parts


def test_an_existing_folder_with_an_equals_sign_is_that_folder() -> None:
    assert split_name("x=y") == (None, "x=y")
    assert split_name("x=y@5:mean") == (None, "x=y@5:mean")
    assert split_spec("x=y@5:mean") == ("x=y", "5", "mean")
    assert split_name("mine=x=y@5") == ("mine", "x=y@5")
    assert split_name("./not/there/lr=3@5") == (None, "./not/there/lr=3@5")


def test_a_plus_sign_in_the_folder_of_a_member_is_no_joint() -> None:
    assert split_fusion("./a+b@3:mean+minilm:mean") == ["./a+b@3:mean", "minilm:mean"]
    assert split_fusion("minilm+m=./a+b+x=y") == ["minilm", "m=./a+b", "x=y"]
    assert split_fusion("a+b") == ["a+b"]
    assert split_fusion("a+c") == ["a", "c"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("=minilm", "invalid name '' in '=minilm'"),
        ("my model=minilm", "'my model' .* expected letters, digits"),
        ("a:b=minilm", "invalid name 'a:b'"),
        ("a@b=minilm@5", "invalid name 'a@b'"),
        ("mine=", "no model in 'mine=': expected one after '='"),
        ("mine=@5", "no model in"),
        ("mine=other=minilm", "two names in .*, 'mine' and 'other'"),
        ("minilm+mine=", "no model in"),
    ],
)
def test_a_malformed_name_is_refused_in_a_line(spec: str, words: str) -> None:
    with pytest.raises(CallError, match=words) as caught:
        [split_spec(part) for part in split_fusion(spec)]
    assert "\n" not in str(caught.value)
