"""Hookpoints: what a spec means, that it prints back unchanged, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from probe.errors import CallError
from probe.layers.hookpoint import Hookpoint, check_pooling, split_spec
from probe.layers.layer_numbers import parse_layers

PARSED = [
    ("minilm", Hookpoint("minilm")),
    ("minilm@5", Hookpoint("minilm", 5)),
    ("./pair@query", Hookpoint("./pair@query")),
    ("./pair@document.5:mean", Hookpoint("./pair@document", 5, "mean")),
    ("owner/pair@query:cls", Hookpoint("owner/pair@query", None, "cls")),
    ("minilm@0:cls", Hookpoint("minilm", 0, "cls")),
    ("minilm:mean", Hookpoint("minilm", None, "mean")),
    ("arctic-m@last", Hookpoint("arctic-m", "last")),
    ("arctic-m@last:max", Hookpoint("arctic-m", "last", "max")),
    ("owner/name", Hookpoint("owner/name")),
    ("owner/name@12", Hookpoint("owner/name", 12)),
    ("owner/name.v1_5@12:last", Hookpoint("owner/name.v1_5", 12, "last")),
    ("./folder@3:mean", Hookpoint("./folder", 3, "mean")),
    ("/some/where/model:cls", Hookpoint("/some/where/model", None, "cls")),
    ("../up/model@1", Hookpoint("../up/model", 1)),
    ("./v@2/model", Hookpoint("./v@2/model")),
    ("./a:b/model@2:cls", Hookpoint("./a:b/model", 2, "cls")),
]

FOLDERS = ["./odd@name", "./odd@5", "./odd:name", "./odd:cls", "./odd@5:cls", "./odd:a@2", "odd@name", "odd:mean"]
SUFFIXES = [("", None, None), ("@2", 2, None), (":max", None, "max"), ("@2:max", 2, "max"), ("@last", "last", None)]


@pytest.mark.parametrize(("spec", "expected"), PARSED)
def test_parses(spec: str, expected: Hookpoint) -> None:
    assert Hookpoint.parse(spec) == expected


@pytest.mark.parametrize("spec", [spec for spec, _ in PARSED])
def test_prints_back_unchanged(spec: str) -> None:
    assert str(Hookpoint.parse(spec)) == spec


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(("suffix", "layer", "pooling"), SUFFIXES)
def test_existing_folder_keeps_its_odd_name(
    folder: str,
    suffix: str,
    layer: int | str | None,
    pooling: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    parsed = Hookpoint.parse(folder + suffix)
    assert parsed == Hookpoint(folder, layer, pooling)
    assert str(parsed) == folder + suffix


def test_file_of_an_odd_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd@5").write_text("")
    monkeypatch.chdir(tmp_path)
    assert Hookpoint.parse("odd@5") == Hookpoint("odd", 5)


def test_hookpoints_are_values() -> None:
    assert len({Hookpoint.parse("m@5:cls"), Hookpoint("m", 5, "cls"), Hookpoint("m", 5, "mean")}) == 2
    with pytest.raises(AttributeError):
        Hookpoint("m").layer = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("minilm:median", "unknown pooling 'median'.*cls, last, max, mean"),
        ("minilm@5:", "unknown pooling ''"),
        ("minilm@five", "invalid layer 'five' in 'minilm@five'"),
        ("minilm@", "invalid layer"),
        ("minilm@-1", "invalid layer '-1' in "),
        ("minilm@1.5", "invalid layer"),
        ("minilm@all", "several layers in 'minilm@all': expected one, such as minilm@5"),
        ("minilm@0-5:cls", "several layers"),
        ("minilm@1,3", "several layers"),
        ("minilm@05", "leading zeros: write 5"),
        ("minilm@٣", "layer"),
        ("", "no model in"),
        ("@5", "no model in"),
        (":mean", "no model in"),
        ("@5:mean", "no model in"),
    ],
)
def test_malformed_specs_are_refused(spec: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        Hookpoint.parse(spec)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("minilm@all", ("minilm", "all", None)),
        ("minilm@0-5:cls", ("minilm", "0-5", "cls")),
        ("owner/name@1,3,5", ("owner/name", "1,3,5", None)),
        ("minilm", ("minilm", None, None)),
    ],
)
def test_many_layers_split_off_as_typed(spec: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_spec(spec) == parts


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("all", (0, 1, 2, 3, 4, 5, 6)),
        ("last", (6,)),
        ("0", (0,)),
        ("6", (6,)),
        ("0-2", (0, 1, 2)),
        ("4-4", (4,)),
        ("1,3", (1, 3)),
        ("5,1,3,1", (1, 3, 5)),
        ("0-2,2-4,last", (0, 1, 2, 3, 4, 6)),
        ("1, 3", (1, 3)),
        ("0 - 2", (0, 1, 2)),
    ],
)
def test_layers_are_read(text: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(text, depth=6) == layers


@pytest.mark.parametrize("text", ["7", "0-7", "1,99", "8-9"])
def test_layers_out_of_range_name_the_range(text: str) -> None:
    with pytest.raises(CallError, match=r"out of range: the model has layers 0 to 6"):
        parse_layers(text, depth=6)


def test_range_that_runs_backwards_is_turned_in_the_message() -> None:
    with pytest.raises(CallError, match="descending range '5-2' of layers: use 2-5"):
        parse_layers("5-2", depth=6)


@pytest.mark.parametrize("text", ["", ",", "1,,2", "1,", "-1", "1-", "-", "x", "1x", "0-2-4", "1.0", "٣", "²", "1 2"])
def test_junk_is_no_list_of_layers(text: str) -> None:
    with pytest.raises(CallError, match="invalid layer"):
        parse_layers(text, depth=12)


def test_check_pooling_returns_the_name_or_lists_all() -> None:
    assert check_pooling("mean") == "mean"
    with pytest.raises(CallError, match="cls, last, max, mean"):
        check_pooling("MEAN")


def test_place_needs_layer_and_pooling_written_out() -> None:
    assert Hookpoint("m", 5, "cls").layer_pooling == (5, "cls")
    for spec in ("m@5", "m:cls", "m@last:cls"):
        with pytest.raises(ValueError, match=spec):
            _ = Hookpoint.parse(spec).layer_pooling


def test_parsing_a_spec_does_not_import_torch() -> None:
    code = "import sys; from probe.layers.hookpoint import Hookpoint; Hookpoint.parse('m@5')"
    code += "; print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("owner/name@v1.0", ("owner/name@v1.0", None, None)),
        ("owner/name@main:cls", ("owner/name@main", None, "cls")),
        ("owner/name@v1.0@5:mean", ("owner/name@v1.0", "5", "mean")),
        ("owner/name@refs/pr/1@2", ("owner/name@refs/pr/1", "2", None)),
        (f"owner/name@{COMMIT}", (f"owner/name@{COMMIT}", None, None)),
        (f"owner/name@{COMMIT}@last", (f"owner/name@{COMMIT}", "last", None)),
        ("owner/name@v1@image.5:cls", ("owner/name@v1@image", "5", "cls")),
        ("owner/name@5", ("owner/name", "5", None)),
        ("owner/name@last", ("owner/name", "last", None)),
        ("owner/name@image", ("owner/name@image", None, None)),
    ],
)
def test_a_revision_belongs_to_the_model(spec: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_spec(spec) == parts
    if parts[1] != "last":
        assert str(Hookpoint.parse(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        (r"C:\models\x@5:mean", (r"C:\models\x", "5", "mean")),
        (r"C:\models\x", (r"C:\models\x", None, None)),
        (r"C:\a@b\x:cls", (r"C:\a@b\x", None, "cls")),
        (r"C:\a@b\x", (r"C:\a@b\x", None, None)),
        ("C:/models/x@5:mean", ("C:/models/x", "5", "mean")),
        (r".\x@last", (r".\x", "last", None)),
    ],
)
def test_paths_of_windows_are_paths(spec: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_spec(spec) == parts


@pytest.mark.parametrize("spec", ["minilm@v1.0", "./folder@v1.0", "owner/name@1-", "owner/name@x y"])
def test_what_can_be_no_revision_is_no_layer_either(spec: str) -> None:
    with pytest.raises(CallError, match="invalid layer"):
        split_spec(spec)
