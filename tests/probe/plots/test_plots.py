"""Pictures: they draw the result's numbers, every kind of result has one, and equal results give equal files."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli
from probe import plot
from probe.errors import CallError
from probe.plots.cost import FRONT
from probe.plots.picture import save_picture
from probe.results.charts import COST, pareto_front
from probe.results.colours import ADAPTED, FROZEN
from probe.results.geometry import GeometryResult, GeometryRow
from probe.results.leaderboard import Leaderboard, Row
from probe.results.row import Reading

SCORES = (0.2, 0.06, 0.05, 0.0, 0.3)
PNG = b"\x89PNG\r\n\x1a\n"


def settings(**more: Any) -> dict[str, Any]:
    data = {"name": "notes", "split": "test", "queries": 3, "documents": 1234, "limited": False, "synthetic": None}
    return {"metric": "ndcg@10", "metrics": ["ndcg@10"], "baseline": "tiny@4:mean", "dataset": data, **more}


def make_row(encoder: str, score: float, **more: Any) -> Row:
    interval = (max(0.0, score - 0.04), score + 0.05)
    points = [part.rpartition("@") for part in encoder.split("+") if re.search(r"@[0-9]+:[a-z]+$", part)]
    reads = tuple(Reading(name, int(rest.split(":")[0]), rest.split(":")[1]) for name, _, rest in points)
    return Row(1, encoder, scores={"ndcg@10": score}, **{"dim": 8, "ci95": interval, "hookpoints": reads, **more})


def layer_rows(model: str = "tiny", scores: tuple[float, ...] = SCORES, **more: Any) -> list[Row]:
    return [
        make_row(f"{model}@{layer}:mean", score, layer=layer, pooling="mean", cost=0.1 + 3 * layer, **more)
        for layer, score in enumerate(scores)
    ]


def board_of(rows: list[Row], **more: Any) -> Leaderboard:
    ranked = sorted(rows, key=lambda row: -row.scores["ndcg@10"])
    return Leaderboard(
        "probe", "now", settings(**more), tuple(replace(row, rank=n) for n, row in enumerate(ranked, start=1))
    )


def ladder(encoders: tuple[str, ...] = ("tiny@4:mean",), **more: Any) -> Leaderboard:
    rows = [make_row(encoder, 0.3, dim=64) for encoder in encoders]
    for encoder in encoders:
        for kind, gain in (("pca", 0.0), ("linear", 0.02), ("truncate", -0.1)):
            told = {"adaptor": kind, "transductive": kind != "truncate"}
            rows += [make_row(encoder, 0.2 + gain + dim / 1000, dim=dim, **told) for dim in (16, 32)]
    return board_of(rows, recommended="linear", **more)


def geometry(*models: str, alignment: float | None = 0.5, layers: int = 3) -> GeometryResult:
    rows = tuple(
        GeometryRow(
            encoder=f"{model}@{layer}:cls",
            layer=layer,
            pooling="cls",
            dim=8,
            mean_cosine=0.9 - layer / 10,
            effective_rank=2.0 + layer,
            top_share=0.5,
            norm=1.0 + layer,
            norm_deviation=0.1,
            alignment=alignment,
            uniformity=-float(layer),
            dominant=((0, 0.5),),
            spectrum=(0.5, 0.3, 0.2, 0.0),
            collapsed=layer == 0,
        )
        for model in models
        for layer in range(layers)
    )
    cka = tuple(tuple(1.0 if i == j else 0.25 for j in range(len(rows))) for i in range(len(rows)))
    return GeometryResult("probe geometry", "now", settings(), rows, cka)


def fusions() -> Leaderboard:
    rows = [make_row(f"a@{i}:mean+b@{j}:cls", (i + j) / 10, cost=1.0 + i + j) for i in range(3) for j in range(2)]
    return board_of([*rows, make_row("bm25", 0.15, cost=None, dim=None, transductive=True)])


BOARDS: dict[str, Callable[[], Any]] = {
    "layers": lambda: board_of(layer_rows()),
    "two models": lambda: board_of([*layer_rows("a"), *layer_rows("b", SCORES[:3])]),
    "lens": lambda: board_of([*layer_rows(), *layer_rows(scores=(0.2,) * 4, adaptor="lens", transductive=True)]),
    "with bm25": lambda: board_of([*layer_rows(), make_row("bm25", 0.25, dim=None, transductive=True)]),
    "many singles beside curves": lambda: board_of([*layer_rows(), *[make_row(f"./x{n}", n / 9) for n in range(5)]]),
    "two layers": lambda: board_of(layer_rows(scores=SCORES[:2])),
    "one row": lambda: board_of(layer_rows(scores=(0.3,))),
    "one row, score zero, no interval": lambda: board_of([make_row("x", 0.0, ci95=None)]),
    "zero scores": lambda: board_of(layer_rows(scores=(0.0,) * 4)),
    "no intervals, no costs": lambda: board_of([replace(row, ci95=None, cost=None) for row in layer_rows()]),
    "equal costs": lambda: board_of([replace(row, cost=2.0) for row in layer_rows()]),
    "a cost of zero": lambda: board_of([replace(row, cost=float(row.layer or 0)) for row in layer_rows()]),
    "fusions": fusions,
    "ladder": ladder,
    "ladder of three": lambda: ladder(("a@1:mean", "b@2:cls", "c@3:mean+" * 9 + "d@4:mean")),
    "ladder, labels": lambda: board_of(
        [make_row("a", 0.1, adaptor="mlp", labels=name, dim=dim) for name in ("none", "train") for dim in (2, 4)]
    ),
    "geometry": lambda: geometry("tiny"),
    "geometry of two": lambda: geometry("tiny", "small", layers=8),
    "geometry of four": lambda: geometry(*"abcd", layers=1),
    "geometry, nothing judged": lambda: geometry("tiny", alignment=None),
    "geometry of one layer": lambda: geometry("tiny", layers=1),
}


def drawn(figure: Figure, axes: int = 0) -> list[tuple[list[float], list[float]]]:
    return [
        (list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in figure.axes[axes].lines
    ]


def words(figure: Figure) -> str:
    texts = [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(texts)


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.filterwarnings("error")
def test_every_board_is_drawn_without_a_warning_into_a_page_of_one_width(name: str) -> None:
    figure = plot(BOARDS[name]())
    assert figure.axes
    assert figure.get_figwidth() == pytest.approx(7.6)
    sizes = [text.get_fontsize() for axes in figure.axes for text in (*axes.texts, *axes.get_xticklabels())]
    assert min(sizes) >= 8
    assert "mathdefault" not in words(figure)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("layers", "png"), ("layers", "pdf"), ("ladder", "svg"), ("geometry of one layer", "svg")],
)
def test_equal_boards_give_equal_bytes(name: str, suffix: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.{suffix}" for n in range(2)]
    for file in files:
        save_picture(BOARDS[name](), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith({"png": PNG, "svg": b"<?xml", "pdf": b"%PDF-"}[suffix])
    assert sorted(tmp_path.iterdir()) == files


def test_layers_are_the_numbers_of_the_board() -> None:
    figure = plot(board_of(layer_rows()))
    assert drawn(figure)[0] == ([0, 1, 2, 3, 4], list(SCORES))
    assert figure.axes[0].get_xlabel() == "layer (0 = embeddings)"
    assert figure.axes[0].get_ylabel() == "nDCG@10, 95% CI"
    (band, bars) = figure.axes[0].collections
    ends = {tuple(point) for point in band.get_paths()[0].vertices.round(6).tolist()}
    assert {(4.0, 0.26), (4.0, 0.35), (0.0, 0.16), (0.0, 0.25)} <= ends
    assert [path.vertices[:, 1].round(6).tolist() for path in bars.get_paths()][4] == [0.26, 0.35]


def test_the_cost_picture_has_every_point_and_its_front() -> None:
    board = board_of(layer_rows())
    figure = plot(board)
    costs = [(row.cost or 0.0, row.scores["ndcg@10"]) for row in board.rows]
    front = [costs[place] for place in pareto_front(costs)]
    line, *points = drawn(figure, 1)
    assert list(zip(*line, strict=True))[:-1] == front == [(0.1, 0.2), (12.1, 0.3)]
    assert sorted((x, y) for xs, ys in points for x, y in zip(xs, ys, strict=True)) == sorted(costs)
    assert [text.get_text() for text in figure.axes[1].texts] == ["0", "4"]
    assert (figure.axes[1].get_xscale(), figure.axes[1].get_xlabel()) == ("log", f"{COST} (log)")
    assert line_style(figure.axes[1].lines[0]) == "steps-post"


def line_style(line: Any) -> str:
    return str(line.get_drawstyle())


def test_costs_next_to_nothing_share_the_left_end_of_the_axis() -> None:
    costs = (0.0, 1e-6, 0.25, 0.5, 1.0)
    figure = plot(board_of([replace(row, cost=cost) for row, cost in zip(layer_rows(), costs, strict=True)]))
    axes = figure.axes[1]
    assert axes.get_xscale() == "log"
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["≈ 0", "50", "100"]
    shown = sorted(x for xs, _ in drawn(figure, 1)[1:] for x in xs)
    assert shown == [0.125, 0.125, 0.25, 0.5, 1.0]


def test_a_small_span_of_costs_is_linear() -> None:
    figure = plot(board_of([replace(row, cost=5.0 + (row.layer or 0)) for row in layer_rows()]))
    assert figure.axes[1].get_xscale() == "linear"


def test_a_lens_differs_in_its_colour_and_line_and_is_hollow() -> None:
    figure = plot(BOARDS["lens"]())
    raw, lens = (line for line in figure.axes[0].lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 2)
    assert (raw.get_color(), lens.get_color()) == (FROZEN.light, ADAPTED.light)
    assert (raw.get_linestyle(), lens.get_linestyle()) == ("-", "--")
    fills = {line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_linestyle() == "None"}
    assert fills == {FROZEN.light, "white"}
    assert "tiny:mean with lens" in words(figure)
    assert "hollow: fitted on these same documents" in words(figure)


def test_what_has_no_layer_is_a_level_with_its_name() -> None:
    figure = plot(BOARDS["with bm25"]())
    assert any(ys == [0.25, 0.25] for _, ys in drawn(figure))
    assert "bm25" in words(figure)


def test_a_level_too_long_for_its_label_is_known_by_its_marker() -> None:
    name = "./" + "long-" * 12
    figure = plot(board_of([*layer_rows(), make_row(name, 0.4, cost=20.0)]))
    handle = next(
        handle
        for handle, text in zip(figure.legends[0].legend_handles, figure.legends[0].get_texts(), strict=True)
        if text.get_text() == name
    )
    assert any(
        (line.get_marker(), line.get_xdata().tolist()) == (handle.get_marker(), [20.0]) for line in figure.axes[1].lines
    )
    assert name not in [text.get_text() for text in figure.axes[1].texts]


def test_collapsed_layers_are_crossed_out() -> None:
    rows = [replace(row, collapsed=row.layer == 3) for row in layer_rows()]
    figure = plot(board_of(rows))
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() == "x"] == [[3]]
    assert "collapsed" in words(figure)
    assert "collapsed" not in words(plot(board_of(layer_rows())))


def test_made_up_data_are_marked() -> None:
    board = board_of(layer_rows())
    board.settings["dataset"]["synthetic"] = "known-item"
    assert "SYNTHETIC" in words(plot(board))
    assert "SYNTHETIC" not in words(plot(board_of(layer_rows())))
    assert "nDCG@10 on notes (test): 3 queries, 1,234 documents" in words(plot(board))


def test_few_layers_are_dots_the_best_at_the_top() -> None:
    figure = plot(board_of([make_row("./one", 0.1), make_row("tiny@4:mean", 0.3)]))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["#1 tiny@4:mean", "#2 ./one"]
    assert axes.yaxis_inverted()
    assert ([0.3, 0.1], [0.0, 1.0]) in drawn(figure)
    assert ([0.3, 0.3], [0.0, 1.0]) in drawn(figure)  # the baseline, over the whole height


def test_fusions_are_a_map() -> None:
    figure = plot(fusions())
    axes = next(axes for axes in figure.axes if axes.get_ylabel() == "layer of a:mean")
    assert axes.get_xlabel() == "layer of b:cls"
    assert axes.yaxis_inverted()
    assert axes.collections[0].get_array().tolist() == [[0.0, 0.1], [0.1, 0.2], [0.2, 0.3]]
    assert [text.get_text() for text in axes.texts] == [".00", ".10", ".10", ".20", ".20", ".30"]
    (frame,) = axes.patches
    assert frame.get_xy() == (1.0, 2.0)


def test_a_ladder_is_a_line_per_kind_and_the_frozen_encoder() -> None:
    figure = plot(ladder())
    lines = [ys for _, ys in drawn(figure)]
    for expected in ([0.216, 0.232], [0.236, 0.252], [0.116, 0.132], [0.3, 0.3]):
        assert any(ys == pytest.approx(expected) for ys in lines)
    widths = {line.get_linewidth() for line in figure.axes[0].lines if line.get_color() == "black"}
    assert max(widths) > 2
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["16", "32"]
    assert "linear (recommended)" in words(figure)
    assert "truncate" in words(figure)


def test_a_ladder_has_a_panel_per_encoder_with_one_scale() -> None:
    figure = plot(BOARDS["ladder of three"]())
    assert len(figure.axes) == 3
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert "b@2:cls" in words(figure)
    assert "c@3:mean+" * 9 + "d@4:mean" in words(figure).replace("\n", "")


def test_geometry_has_a_panel_per_measure() -> None:
    board = geometry("tiny")
    figure = plot(board)
    panels = {axes.get_title().partition("\n")[0]: number for number, axes in enumerate(figure.axes)}
    read = {
        "mean cosine (anisotropy)": [row.mean_cosine for row in board.rows],
        "effective rank / dimensions": [row.effective_rank / 8 for row in board.rows],
        "norm, ± standard deviation": [row.norm for row in board.rows],
        "alignment of relevant pairs": [row.alignment for row in board.rows],
        "uniformity": [row.uniformity for row in board.rows],
    }
    for title, values in read.items():
        assert drawn(figure, panels[title])[0] == ([0, 1, 2], values)
        assert "better" in figure.axes[panels[title]].get_title()
    spectrum = figure.axes[panels["spectrum, tiny:cls"]]
    assert spectrum.get_yscale() == "log"
    assert [ys for _, ys in drawn(figure, panels["spectrum, tiny:cls"])] == [[0.5, 0.3, 0.2, 0.0]] * 3
    cka = figure.axes[panels["linear CKA of layers (1 = equal up to rotation, scale and shift)"]]
    assert cka.collections[0].get_array().tolist() == [list(line) for line in board.cka]
    assert len(cka.texts) == 9 + 2


def test_the_cka_of_two_models_is_one_map_without_numbers_where_it_is_large() -> None:
    figure = plot(geometry("tiny", "small", layers=8))
    cka = next(axes for axes in figure.axes if axes.get_title().startswith("linear CKA"))
    assert cka.collections[0].get_array().shape == (16, 16)
    assert [text.get_text() for text in cka.texts] == ["tiny:cls", "tiny:cls", "small:cls", "small:cls"]


def test_labels_of_the_front_do_not_cover_each_other() -> None:
    close = layer_rows(scores=(0.1, 0.101, 0.102, 0.103))
    rows = [replace(row, cost=10 + (row.layer or 0) / 100) for row in close]
    figure = plot(board_of([*rows, make_row("tiny@9:mean", 0.9, layer=9, pooling="mean", cost=90.0)]))
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    assert len(boxes) == 5
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])


def test_a_long_name_is_not_cut() -> None:
    name = "/models/" + "a-very-long-folder-name/" * 6 + "encoder"
    figure = plot(board_of([make_row(name, 0.1), make_row("short", 0.2)]))
    assert name in words(figure).replace("\n", "")
    page = figure.bbox
    for label in figure.axes[0].get_yticklabels():
        assert label.get_window_extent().x0 >= page.x0


def test_an_svg_holds_its_words_as_text(tmp_path: Path) -> None:
    save_picture(board_of(layer_rows("$o$")), tmp_path / "a.svg")
    root = ET.parse(tmp_path / "a.svg").getroot()
    texts = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    expected = {"layer (0 = embeddings)", "nDCG@10, 95% CI", "$o$:mean", FRONT}
    assert {*expected, "nDCG@10 on notes (test): 3 queries, 1,234 documents"} <= texts


def test_the_users_style_changes_nothing_and_is_left_alone(tmp_path: Path) -> None:
    import matplotlib as mpl

    save_picture(board_of(layer_rows()), tmp_path / "a.svg")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9, "axes.facecolor": "red"}):
        save_picture(board_of(layer_rows()), tmp_path / "b.svg")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_pyplot_is_never_imported_nor_matplotlib_before_it_is_needed() -> None:
    child = """
import sys, cli, probe.plots.picture, encoder_surgery.shell.output
assert "matplotlib" not in sys.modules
import probe.plots.leaderboard, probe.plots.geometry
assert "matplotlib.pyplot" not in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", child], check=True)


def test_a_notebook_gets_a_png() -> None:
    assert plot(board_of(layer_rows()))._repr_png_().startswith(PNG)


def test_nothing_to_draw_is_said() -> None:
    for board in (board_of([]), geometry()):
        with pytest.raises(CallError, match="nothing to draw: "):
            plot(board)
    with pytest.raises(CallError, match="a str cannot be drawn: expected DatasetMatrix or Leaderboard or Geo"):
        plot("board")


def run(app: Any, *args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def call(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return str(tiny_folder("bert")), str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


COMMANDS = {
    "layers": (cli.probe_app, "layers", "-m"),
    "rank": (cli.probe_app, "rank"),
    "geometry": (cli.probe_app, "geometry", "-m"),
    "ladder": (cli.adaptors_app, "rank", "--kinds", "pca,truncate", "--dims", "4,8", "-m"),
}


WRONG = {
    "a.jpg": "expected a file ending in .png, .svg, .pdf",
    "a": "expected a file ending in .png, .svg, .pdf",
    "none/a.png": "not found; create it first",
    "folder.png": "is a folder",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_draws(command: str, call: tuple[str, str], tmp_path: Path) -> None:
    (app, *args), (model, data), file = COMMANDS[command], call, tmp_path / "a.SVG"
    result = run(app, *args, model, "-d", data, "--no-store", "--plot", file)
    assert result.exit_code == 0, result.stderr
    assert f"saved {file}" in result.stderr
    assert ET.parse(file).getroot().tag.endswith("svg")
    assert "on tiny (test)" in file.read_text()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_refused_before_the_work(command: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    app, *args = COMMANDS[command]
    result = run(app, *args, "no-such-model", "--plot", tmp_path / wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: --plot '" in result.stderr
    assert WRONG[wrong] in result.stderr
    assert "loading" not in result.stderr


def test_without_matplotlib_the_extra_is_named(without: Callable[[str], None], tmp_path: Path) -> None:
    without("matplotlib")
    result = run(cli.probe_app, "layers", "-m", "no-such-model", "--plot", tmp_path / "a.png")
    assert result.exit_code == 2
    assert result.stderr == "error: --plot needs matplotlib: pip install 'encoder-surgery[plot]'\n"
    with pytest.raises(CallError, match="a picture needs matplotlib"):
        plot(board_of(layer_rows()))
