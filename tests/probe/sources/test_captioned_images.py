"""Folders of images with captions as data sets, in both directions; every fault with file and line."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_data import make_dataset, write_lines, zip_folder
from tiny_images import draw_shape, draw_shapes, write_captions
from typer.testing import CliRunner

import cli
from adaptors.choosing.fusion_weights import tune_weights
from adaptors.fitting.data import select_fit_data
from adaptors.healing.texts import load_heal_texts
from probe.data.dataset import Dataset
from probe.data.images import ImageFile, open_image
from probe.data.texts import BLOCK, Texts
from probe.documents.build import build_dataset
from probe.encoding.reader import LayerReader
from probe.errors import CallError, DataError
from probe.evaluation.bm25 import evaluate_bm25
from probe.experiments.data_summary import summarize
from probe.experiments.geometry import measure_geometry
from probe.experiments.provenance import dataset_settings
from probe.metrics.retrieval import Metric, score_run
from probe.models.loaded import LoadedModel
from probe.results.query_examples import choose_examples
from probe.sources.loading import load_dataset


def write(folder: Path, *lines: Any, images: tuple[str, ...] = ("a.png", "b.png")) -> str:
    """Write captions and the images they name, all different, and return the folder's name."""
    for number, name in enumerate(images):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8 + number), "red").save(folder / name)
    return str(write_captions(folder, list(lines)))


def line(image: str = "a.png", caption: Any = "something red", **more: Any) -> dict[str, Any]:
    return {"image": image, "caption": caption, **more}


def run(command: str) -> Any:
    name, *words = shlex.split(command)
    return CliRunner().invoke(getattr(cli, f"{name}_app"), words, prog_name=name)


@pytest.fixture
def shapes(tmp_path: Path) -> str:
    return str(draw_shapes(tmp_path / "shapes", 24))


@pytest.fixture
def two_captions(tmp_path: Path) -> str:
    """Two images in test: one with two captions by one line, the other with one each by two."""
    rows = [line("a.png", ["one", "two"]), line("x/b.png", "three"), line("x/b.png", "four", _id="own")]
    return write(tmp_path / "mine", *rows, images=("a.png", "x/b.png"))


@pytest.mark.parametrize("suffix", ["", ":images"])
def test_captions_search_images(two_captions: str, suffix: str) -> None:
    dataset = load_dataset(two_captions + suffix)
    assert (dataset.name, dataset.split, dataset.images, dataset.defects) == ("mine", "test", "documents", ())
    assert dataset.queries == Texts(("c1", "c2", "c3", "own"), ("one", "two", "three", "four"))
    assert [name for name, _ in dataset.documents] == ["a.png", "x/b.png"]
    assert dataset.qrels == {"c1": {"a.png": 1}, "c2": {"a.png": 1}, "c3": {"x/b.png": 1}, "own": {"x/b.png": 1}}


def test_images_search_captions(two_captions: str) -> None:
    dataset = load_dataset(f"{two_captions}:captions")
    assert (dataset.name, dataset.images) == ("mine:captions", "queries")
    assert dataset.documents == Texts(("c1", "c2", "c3", "own"), ("one", "two", "three", "four"))
    assert dataset.queries.ids == ("a.png", "x/b.png")
    assert dataset.qrels == {"a.png": {"c1": 1, "c2": 1}, "x/b.png": {"c3": 1, "own": 1}}


def test_the_images_of_a_data_set_can_be_opened(shapes: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(shapes).parent)
    dataset = load_dataset("shapes")
    monkeypatch.chdir(tmp_path / "shapes" / "images")
    for name, image in dataset.documents:
        assert isinstance(image, ImageFile)
        assert image.name == name
        colour, shape, position = name.removesuffix(".png").partition("-")[2].split("-", 2)
        drawn = draw_shape(shape, colour, position.replace("-", " "))
        assert open_image(image).tobytes() == drawn.tobytes()


def test_only_a_splits_own_images_and_captions_are_searched(shapes: str) -> None:
    found = {split: load_dataset(shapes, split) for split in ("train", "test")}
    assert load_dataset(shapes).split == "test"
    for first, dataset in zip((0, 12), found.values(), strict=True):
        assert dataset.queries.ids == tuple(f"c{number}" for number in range(first + 1, first + 13))
        assert [name.split("/")[1].split("-")[0] for name, _ in dataset.documents] == [
            str(number) for number in range(first, first + 12)
        ]
    assert found["train"].text_hash != found["test"].text_hash


def test_images_that_no_line_names_are_not_in_the_corpus(tmp_path: Path) -> None:
    folder = write(tmp_path, line("a.png"), images=("a.png", "b.png"))
    assert [name for name, _ in load_dataset(folder).documents] == ["a.png"]


def test_images_of_other_splits_need_not_be_there(tmp_path: Path) -> None:
    folder = write(tmp_path, line("a.png"), line("far.png", split="train"))
    assert len(load_dataset(folder).documents) == 1
    with pytest.raises(DataError, match=r"captions.jsonl:2: image 'far.png' not found in"):
        load_dataset(folder, "train")


def test_the_only_split_there_is_needs_no_name(tmp_path: Path) -> None:
    assert load_dataset(write(tmp_path, line(split="val"))).split == "val"


def test_a_split_that_is_not_there_is_a_wrong_call(shapes: str) -> None:
    with pytest.raises(CallError, match="no split 'dev': available are test, train"):
        load_dataset(shapes, "dev")


def test_hugging_faces_names_are_read_too(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    (tmp_path / "mine" / "captions.jsonl").unlink()
    write_captions(tmp_path / "mine", [{"file_name": "./a.png", "text": " red "}], "metadata.jsonl")
    dataset = load_dataset(str(tmp_path / "mine"))
    assert dataset.queries.texts == ("red",)
    assert dataset.qrels == {"c1": {"a.png": 1}}


def test_images_in_a_zip_or_in_a_folder_further_down_are_refused(two_captions: str, tmp_path: Path) -> None:
    archive = zip_folder(Path(two_captions), tmp_path / "mine.zip")
    for name in (archive, tmp_path):
        with pytest.raises(CallError, match="for images with captions, use the captions' own folder"):
            load_dataset(str(name))


def test_an_empty_column_gives_way_to_the_other(tmp_path: Path) -> None:
    rows = [{"image": None, "file_name": "a.png", "caption": None, "text": "red"}, {**line("b.png"), "text": "blue"}]
    assert load_dataset(write(tmp_path, *rows)).queries.texts == ("red", "something red")


def test_one_image_under_two_spellings_is_one_document(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, line("a.png"), line("./a.png"), line("x/../a.png")))
    assert [name for name, _ in dataset.documents] == ["a.png"]
    assert len(dataset.queries) == 3


def test_a_folder_with_a_corpus_is_beirs(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "mine")
    write_captions(folder, [line()])
    assert load_dataset(str(folder)).images == ""


def test_a_folder_whose_name_ends_like_a_direction_is_itself(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert load_dataset(write(tmp_path / "mine:captions", line())).images == "documents"


def test_the_text_hash_follows_the_bytes_of_every_image(two_captions: str) -> None:
    before = [load_dataset(two_captions + side).text_hash for side in ("", ":captions")]
    Image.new("RGB", (9, 9), "blue").save(Path(two_captions) / "x" / "b.png")
    after = [load_dataset(two_captions + side).text_hash for side in ("", ":captions")]
    assert len({*before, *after}) == 4


def test_a_limit_keeps_images_of_the_captions_drawn(shapes: str) -> None:
    dataset = load_dataset(shapes, limit=3)
    assert (len(dataset.documents), dataset.limited) == (3, True)
    assert {image for docs in dataset.qrels.values() for image in docs} == {name for name, _ in dataset.documents}
    assert list(dataset.documents.read(1, 2)) == list(dataset.documents)[1:3]
    assert dataset.documents.read(BLOCK, 2) == Texts((), ())
    assert all(isinstance(text, ImageFile) for text in dataset.documents.read(0, 12).texts)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{}:words", "expected ':images' or ':captions' after it, found ':words'"),
        ("{}/images:captions", "has no images with captions"),
        ("{}x:captions", "no data set"),
    ],
)
def test_a_direction_that_is_none_is_a_wrong_call(shapes: str, name: str, told: str) -> None:
    with pytest.raises(CallError, match=told):
        load_dataset(name.format(shapes))


FAULTS = [
    ({"caption": "red"}, 'no image: expected its path as "image"'),
    (line(""), "no image: expected"),
    (line(3), 'expected a path as "image"'),
    (line("a\ud800.png"), 'expected a path as "image"'),
    (line("../a.png"), "'../a.png' is outside the captions' folder"),
    (line("x/../../a.png"), "is outside the captions' folder"),
    (line("/etc/a.png"), "is outside the captions' folder"),
    (line("."), "is outside the captions' folder"),
    (line("c.png"), "'c.png' not found in .*: add it or remove its lines"),
    (line("x"), "'x' not found in"),
    (line("a.png\0"), "not found in"),
    (line("captions.jsonl"), "'captions.jsonl' is not an image"),
    ({"image": "a.png"}, "no caption: expected a string or a list"),
    (line(caption=[]), "no caption"),
    (line(caption=3), "expected a string or a list"),
    (line(caption=["red", None]), "expected a string or a list"),
    (line(caption=" "), "empty caption"),
    (line(caption=["red", ""]), "empty caption"),
    (line(split=""), 'expected a name such as train or test as "split"'),
    (line(split=1), 'expected a name such as train or test as "split"'),
    (line(_id=[]), 'expected a string or an integer as "_id"'),
    (line(_id=""), 'empty id "_id"'),
    (line(caption=["red", "blue"], _id="own"), 'one "_id" for 2 captions'),
    (line(_id="c1"), "duplicate id 'c1' .first used at .*captions.jsonl:1"),
    (line(_id="a.png"), "the caption's id 'a.png' is also an image name"),
    (["a.png"], "expected {.*, found .*a.png"),
]


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, fault: Any, told: str) -> None:
    folder = write(tmp_path / "mine", line("b.png"), fault)
    (tmp_path / "mine" / "x").mkdir()
    with pytest.raises(DataError, match=f"mine/captions.jsonl:2: .*{told}") as caught:
        load_dataset(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_or_no_utf8_is_told_with_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    file = write_lines(tmp_path / "mine" / "captions.jsonl", ["", json.dumps(line()), "{"])
    with pytest.raises(DataError, match=r"mine/captions.jsonl:3: not JSON"):
        load_dataset(str(tmp_path / "mine"))
    file.write_bytes(b'{"image": "a.png", "caption": "\xff"}\n')
    with pytest.raises(DataError, match=r"mine/captions.jsonl:1: not UTF-8"):
        load_dataset(str(tmp_path / "mine"))


def test_a_file_without_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no relevance labels"):
        load_dataset(write(tmp_path))


def test_numbers_are_ids_too(tmp_path: Path) -> None:
    assert load_dataset(write(tmp_path, line(_id=0), line(_id=7))).queries.ids == ("0", "7")


def test_what_is_laid_on_white_or_grey_is_told(tmp_path: Path) -> None:
    modes = {"a.png": "RGBA", "b.png": "LA", "c.png": "L", "d.png": "RGB"}
    folder = write(tmp_path, *(line(name, name) for name in modes), images=())
    for number, (name, mode) in enumerate(modes.items()):
        Image.new(mode, (4, 4 + number)).save(tmp_path / name)
    Image.new("I;16", (4, 4)).save(tmp_path / "e.png")
    assert load_dataset(folder).defects == (
        "2 images with transparency (blended onto white): a.png, b.png",
        "2 greyscale images (read as RGB): b.png, c.png",
    )


def test_sixteen_bits_of_grey_are_without_colour(tmp_path: Path) -> None:
    folder = write(tmp_path, line(), images=())
    Image.new("I;16", (4, 4)).save(tmp_path / "a.png")
    assert load_dataset(folder).defects == ("1 greyscale images (read as RGB): a.png",)


def test_animations_are_told(tmp_path: Path) -> None:
    folder = write(tmp_path, line("a.gif"), images=())
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load_dataset(folder).defects == ("1 images with several frames (only the first is used): a.gif",)


def test_captions_that_several_images_share_are_told_and_kept_apart(tmp_path: Path) -> None:
    rows = [line("a.png", "red"), line("b.png", "red"), line("b.png", "long"), line("b.png", "long")]
    dataset = load_dataset(write(tmp_path / "mine", *rows, line("a.png", "long", split="train")))
    assert dataset.defects == (
        "2 captions shared by several images (each is relevant to its own image only): "
        "mine/captions.jsonl:1, mine/captions.jsonl:2",
    )
    assert dataset.qrels["c1"] == {"a.png": 1}
    assert dataset.qrels["c2"] == {"b.png": 1}


def test_recall_and_success_of_an_image_with_two_captions(two_captions: str) -> None:
    dataset = load_dataset(f"{two_captions}:captions")
    run_ = {"a.png": {"c1": 2.0, "c3": 1.0, "c2": 0.5}, "x/b.png": {"c1": 2.0, "own": 1.0}}
    metrics = [Metric.parse(name) for name in ("recall@1", "success@1", "success@2")]
    scores = score_run(run_, dataset.qrels, metrics)
    assert [scores[metric].tolist() for metric in metrics] == [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0]]


def test_the_summary_tells_sizes_and_modes(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", line("a.png", "one two"), line("b.png", "one two three"))
    Image.new("L", (4, 20)).save(tmp_path / "mine" / "a.png")
    found = summarize(load_dataset(folder))
    assert found.images == "documents"
    assert found.image_sizes == {"width": (4, 5, 6, 7, 8), "height": (9, 11, 14, 17, 20), "modes": {"L": 1, "RGB": 1}}
    assert (found.document_words, found.query_words) == (None, (2, 2, 2, 2, 3))
    assert (found.example_query, found.example_document) == ("one two", "a.png")
    turned = summarize(load_dataset(f"{folder}:captions"))
    assert (turned.images, turned.document_words, turned.query_words) == ("queries", (2, 2, 2, 2, 3), None)
    assert (turned.image_sizes, turned.example_query) == (found.image_sizes, "a.png")


def test_data_show_prints_images(two_captions: str) -> None:
    shown = run(f"probe data show {two_captions}").stdout
    assert "2 images" in shown
    assert "8 to 9 pixels" in shown
    assert "2 RGB" in shown
    assert "words per query" in shown
    assert "words per document" not in shown
    facts = json.loads(run(f"probe data show {two_captions}:captions --format json").stdout)
    assert (facts["name"], facts["images"], facts["query_words"]) == ("mine:captions", "queries", None)
    assert json.loads(run("probe data show docstrings -f json").stdout)["images"] is None


def test_the_footer_tells_which_side_is_images(shapes: str, dataset: Dataset) -> None:
    assert dataset_settings(load_dataset(shapes))["images"] == "documents"
    assert dataset_settings(load_dataset(f"{shapes}:captions"))["images"] == "queries"
    assert dataset_settings(dataset)["images"] is None


def test_the_report_shows_an_image_by_its_name(shapes: str) -> None:
    import numpy as np

    images, captions = load_dataset(f"{shapes}:captions"), load_dataset(shapes)
    by_name = choose_examples(np.zeros((1, 12)), [{}], images)
    assert by_name.queries[0].text == by_name.queries[0].query
    assert all(name == text for name, text in choose_examples(np.zeros((1, 12)), [{}], captions).texts.items())
    assert "sha256:" not in images._repr_html_()


def test_a_reader_of_texts_refuses_images(model: LoadedModel, shapes: str) -> None:
    reader = LayerReader(model)
    with pytest.raises(CallError, match=r"'images/12-.*png' is an image, and '.*' supports only text: .* clip@image"):
        reader.prepare(["a text", *load_dataset(f"{shapes}:captions").queries.texts], "")


READERS: dict[str, Callable[[Dataset], Any]] = {
    "BM25": lambda data: evaluate_bm25(data, [Metric("ndcg", 10)]),
    "probe geometry": lambda data: measure_geometry([], data),
    "an adaptor": lambda data: select_fit_data("shapes", data, "none"),
    "surgery fuse": lambda data: tune_weights(None, data, Metric("ndcg", 10)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("who", READERS)
@pytest.mark.parametrize("side", ["", ":captions"])
def test_what_reads_texts_only_refuses_a_data_set_of_images(shapes: str, who: str, side: str) -> None:
    with pytest.raises(CallError, match=f"'shapes{side}' contains images, and {who} supports only text"):
        READERS[who](load_dataset(shapes + side))


def test_healing_and_building_refuse_images(shapes: str, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="'shapes' contains images, and healing supports only text"):
        load_heal_texts([shapes])
    with pytest.raises(CallError, match="is already a data set: see probe data show"):
        build_dataset([Path(shapes)], tmp_path / "out")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("probe layers -m {model} -d {data} --no-store", "two-tower model, such as clip"),
        ("probe layers -m {model} -d {data}:captions --no-store", "two-tower model, such as clip"),
        ("probe rank {model} -d {data} --no-store --baseline bm25", "BM25 supports only text"),
        ("probe geometry -m {model} -d {data} --no-store", "probe geometry supports only text"),
        ("probe classify -m {model} -d {data} --no-store", "labelled data set"),
        ("probe similarity -m {model} -d {data} --no-store", "scored pairs"),
        ("probe data build {data} --out {out}", "is already a data set"),
        ("adaptors rank -m {model}@1 -d {data} --no-store", "an adaptor supports only text"),
        ("adaptors fit lens -m {model}@1 -d {data} --out {out} --no-store", "an adaptor supports only text"),
        ("surgery cut -m {model} --after 1 -d {data} --out {out} --no-store", "a changed model supports only text"),
        ("surgery cut -m {model} --after 1 --lens -d {data} --out {out} --no-store", "an adaptor supports only text"),
    ],
)
def test_a_command_that_reads_texts_refuses_images_in_one_line(
    tiny_folder: Callable[[str], Path], shapes: str, tmp_path: Path, command: str, told: str
) -> None:
    out = tmp_path / "out"
    result = run(command.format(model=tiny_folder("bert"), data=shapes, out=out))
    assert result.exit_code == 2
    assert result.stderr.count("error: ") == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last
    assert not out.exists()


def test_the_drawings_are_the_same_every_time(tmp_path: Path) -> None:
    hashes = {load_dataset(str(draw_shapes(tmp_path / name / "s", 8, seed))).text_hash for name, seed in ("a0", "b0")}
    assert len(hashes) == 1


def test_no_two_drawings_are_alike(tmp_path: Path) -> None:
    folder = draw_shapes(tmp_path / "s", 72)
    digests = {path.read_bytes() for path in (folder / "images").iterdir()}
    captions = {json.loads(row)["caption"] for row in (folder / "captions.jsonl").read_text().splitlines()}
    assert (len(digests), len(captions)) == (72, 72)
