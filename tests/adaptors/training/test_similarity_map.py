"""The map of a sample's similarities: what is drawn are its cosines, on one scale, the same on every run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptors.training.similarity_map import similarity_map
from probe import plot
from probe.errors import CallError
from probe.plots.heat_map import draw_cells
from probe.plots.style import Picture
from probe.results.charts import PairMap

Pair = tuple[Tensor, Tensor]


def make_pair(rows: int = 5, seed: int = 0) -> Pair:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=dice), 2 * torch.randn(rows, 4, generator=dice)


def cosines(pair: Pair) -> list[list[float]]:
    """By loops, in float64."""
    left, right = ([row.double() for row in side] for side in pair)
    return [[float((a @ b) / (a @ a).sqrt() / (b @ b).sqrt()) for b in right] for a in left]


def map_of(before: Pair, after: Pair) -> PairMap:
    return PairMap(np.array(cosines(before)), np.array(cosines(after)), ("queries", "documents"))


def captured(monkeypatch: pytest.MonkeyPatch, *call: Any, **named: Any) -> PairMap:
    found: list[PairMap] = []
    monkeypatch.setattr("adaptors.training.similarity_map.save_picture", lambda pairs, path: found.append(pairs))
    similarity_map(*call, **named)
    return found[0]


def drawn(picture: Picture) -> list[Any]:
    return [axes.collections[0] for axes in picture.axes[:2]]


def test_the_map_holds_the_cosines_of_left_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = make_pair(), make_pair(seed=1)
    found = captured(monkeypatch, before, after, Path("a.png"), sides=("student", "teacher"))
    assert np.allclose(found.before, cosines(before), atol=1e-6)
    assert np.allclose(found.after, cosines(after), atol=1e-6)
    assert found.sides == ("student", "teacher")
    assert captured(monkeypatch, before, after, Path("a.png")).sides == ("queries", "documents")


def test_both_halves_are_drawn_on_one_scale_that_holds_all_cosines() -> None:
    pairs = map_of(make_pair(), make_pair(seed=1))
    first, second = drawn(plot(pairs))
    assert first.get_array().tolist() == pairs.before.tolist()
    assert second.get_array().tolist() == pairs.after.tolist()
    assert first.get_clim() == second.get_clim()
    low, high = first.get_clim()
    every = [*pairs.before.ravel(), *pairs.after.ravel()]
    assert min(every) - 0.1 < low <= min(every) < max(every) <= high < max(every) + 0.1


def test_sides_halves_and_the_scale_have_their_names() -> None:
    picture = plot(map_of(make_pair(), make_pair(seed=1)))
    left, right, bar = picture.axes
    assert [axes.get_title() for axes in (left, right)] == ["before", "after"]
    assert {(axes.get_ylabel(), axes.get_xlabel()) for axes in (left, right)} == {("queries", "documents")}
    assert bar.get_ylabel() == "cosine"
    assert picture.get_suptitle() == "cosines of queries and documents; pairs are on the diagonal"
    assert all(axes.yaxis_inverted() for axes in (left, right))
    assert [label.get_text() for label in left.get_yticklabels()] == ["1", "2", "3", "4", "5"]


def test_cells_have_numbers_only_where_they_have_room_and_lines_only_where_they_hide_nothing() -> None:
    few, more, many = (plot(map_of(make_pair(rows), make_pair(rows, 1))) for rows in (8, 9, 64))
    assert [len(picture.axes[0].texts) for picture in (few, more, many)] == [64, 0, 0]
    assert [bool(len(drawn(picture)[0].get_edgecolor())) for picture in (few, more, many)] == [True, True, False]
    labels = [label.get_text() for label in many.axes[0].get_xticklabels()]
    assert [label for label in labels if label] == ["1", "10", "19", "28", "37", "46", "55", "64"]
    page = few.axes[0].get_window_extent().width / 8
    assert max(text.get_window_extent().width for text in few.axes[0].texts) < page


def test_a_greater_cosine_is_lighter_in_grey() -> None:
    axes = Picture().add_subplot()
    mesh = draw_cells(axes, np.linspace(-1, 1, 21)[None], (-1, 1))
    lightness = mesh.to_rgba(np.linspace(-1, 1, 21))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.filterwarnings("error")
def test_a_collapse_can_be_drawn(tmp_path: Path) -> None:
    one = torch.ones(3, 4)
    similarity_map((one, one), (one, one), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    equal = np.ones((3, 3))
    assert drawn(plot(PairMap(equal, equal, ("queries", "documents"))))[0].get_clim() == (0.9, 1)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_equal_vectors_give_equal_bytes_and_others_do_not(suffix: str, tmp_path: Path) -> None:
    before, after = make_pair(48), make_pair(48, 1)
    files = [tmp_path / f"{number}.{suffix}" for number in range(3)]
    for file, pair in zip(files, (after, after, before), strict=True):
        similarity_map(before, pair, file)
    first, second, third = (file.read_bytes() for file in files)
    assert first == second != third
    assert sorted(tmp_path.iterdir()) == files


def test_a_wrong_call_is_said(tmp_path: Path) -> None:
    pair = make_pair()
    with pytest.raises(CallError, match=r"no picture: expected a file ending in \.png"):
        similarity_map(pair, pair, tmp_path / "a.jpg")
    with pytest.raises(CallError, match=r"the same shape \(B, D\), found \(5, 4\) and \(3, 4\)"):
        similarity_map(pair, (pair[0], pair[1][:3]), tmp_path / "a.png")
    with pytest.raises(CallError, match="NaN or infinity"):
        similarity_map((pair[0] * torch.nan, pair[1]), pair, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named_before_the_work(without: Callable[[str], None], tmp_path: Path) -> None:
    without("matplotlib")
    wrong: Any = (None, None)
    with pytest.raises(CallError, match=r"a similarity map needs matplotlib: pip install 'encoder-surgery\[plot\]'"):
        similarity_map(wrong, wrong, tmp_path / "a.png")
