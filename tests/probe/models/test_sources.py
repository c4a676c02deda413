"""Where models are found: folders, the hub's cache, the installed package; and what is said when they are not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import change_json, write_json

from probe.errors import CallError, ModelError
from probe.io import hub
from probe.models import catalog
from probe.models.sources import find_offline, find_source, hash_files

ARCTIC = "Snowflake/snowflake-arctic-embed-m-v1.5"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# A file of safetensors without any.
NO_TENSORS = b"\x02\0\0\0\0\0\0\0{}"
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

WriteFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the hub's client an empty cache and no network."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture(autouse=True)
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the package that brings a model, whether it is installed here or not."""
    monkeypatch.setattr(catalog, "_PACKAGED", "a_package_that_is_not_installed")


def write_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(NO_TENSORS if name.endswith(".safetensors") else b"{}")
    return folder


def write_snapshot(cache: Path, hub_id: str, *names: str) -> Path:
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return write_folder(repository / "snapshots" / COMMIT, *names)


def write_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_folder(root / "packaged_model" / "model", "config.json", "model.safetensors")
    (root / "packaged_model" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(catalog, "_PACKAGED", "packaged_model")
    return folder


def test_folder_is_itself(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "config.json", "model.safetensors")
    source = find_source(str(folder))
    assert (source.name, source.folder) == (str(folder), folder)
    assert (source.hub_id, source.revision, source.entry) == (None, None, None)


def test_relative_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "model", "config.json", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert find_source("./model").folder.resolve() == (tmp_path / "model").resolve()


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "/nowhere/at/all", "~/model", "some/where/else"])
def test_missing_folder_is_a_wrong_call(name: str) -> None:
    with pytest.raises(CallError, match=f"folder '{name}' not found"):
        find_source(name)


def test_folder_without_config_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "model.safetensors")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        find_source(str(folder))


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "config.json")
    with pytest.raises(ModelError, match="has no weights: expected safetensors"):
        find_source(str(folder))


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(tmp_path: Path, pickle: str) -> None:
    folder = write_folder(tmp_path / "model", "config.json", pickle)
    with pytest.raises(ModelError, match=f"only the pickle {pickle}.*save_pretrained"):
        find_source(str(folder))


def test_pickle_beside_safetensors_does_not_matter(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "config.json", "pytorch_model.bin", "model.safetensors")
    assert find_source(str(folder)).folder == folder


@pytest.mark.parametrize("name", ["arctic-m", ARCTIC])
def test_cached_model_is_found_by_alias_and_by_hub_id(hub_cache: Path, name: str) -> None:
    folder = write_snapshot(hub_cache, ARCTIC, "config.json", "model.safetensors")
    source = find_source(name)
    assert (source.name, source.folder) == (name, folder)
    assert (source.hub_id, source.revision) == (ARCTIC, COMMIT)
    assert source.entry is not None
    assert source.entry.pooling == "cls"


def test_cached_model_outside_the_catalog_is_found(hub_cache: Path) -> None:
    folder = write_snapshot(hub_cache, "owner/name", "config.json", "model.safetensors")
    source = find_source("owner/name")
    assert (source.folder, source.hub_id, source.entry) == (folder, "owner/name", None)


def test_find_offline_returns_none_for_what_is_not_here() -> None:
    assert find_offline(ARCTIC) is None
    assert find_offline(MINILM) is None


def test_find_offline_does_not_take_a_half_cached_model(hub_cache: Path) -> None:
    write_snapshot(hub_cache, ARCTIC, "config.json")
    assert find_offline(ARCTIC) is None


def test_half_cached_model_is_told_to_be_fetched(hub_cache: Path) -> None:
    write_snapshot(hub_cache, ARCTIC, "config.json")
    with pytest.raises(ModelError, match=f"hf download {ARCTIC}"):
        find_source("arctic-m")


def test_cached_pickle_is_refused(hub_cache: Path) -> None:
    write_snapshot(hub_cache, "owner/name", "config.json", "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only the pickle pytorch_model\.bin"):
        find_source("owner/name")


@pytest.mark.parametrize(("name", "label"), [("arctic-m", rf"'arctic-m' \({ARCTIC}\)"), (ARCTIC, f"'{ARCTIC}'")])
def test_absent_model_offline_says_what_is_missing_and_how_to_get_it(name: str, label: str) -> None:
    with pytest.raises(ModelError, match=f"{label} is not cached.*hf download {ARCTIC}"):
        find_source(name)


def test_absent_default_model_names_the_package_that_brings_it() -> None:
    with pytest.raises(ModelError, match=r"pip install 'encoder-surgery\[offline\]'"):
        find_source("minilm")


def test_unknown_alias_names_the_nearest() -> None:
    with pytest.raises(CallError, match=r"unknown model 'arctik-m': did you mean .*arctic-m"):
        find_source("arctik-m")


def test_alias_like_no_other_lists_them_all() -> None:
    with pytest.raises(CallError, match=r"unknown model 'zzzz': known: .*minilm.*modernbert"):
        find_source("zzzz")


@pytest.mark.parametrize(
    ("name", "hub_id"),
    [
        ("all-MiniLM-L6-v2", MINILM),
        ("paraphrase-albert-small-v2", "sentence-transformers/paraphrase-albert-small-v2"),
        ("some-model_1.0", "sentence-transformers/some-model_1.0"),
        ("bert-base-uncased", "bert-base-uncased"),
    ],
)
def test_a_bare_name_is_read_as_sentence_transformers_reads_it(name: str, hub_id: str, hub_cache: Path) -> None:
    folder = write_snapshot(hub_cache, hub_id, "config.json", "model.safetensors")
    source = find_source(name)
    assert (source.name, source.hub_id, source.folder) == (name, hub_id, folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("all-MiniLM-L6-v3", "did you mean all-MiniLM-L6-v2 or "),
        ("minlm", "did you mean minilm or .*'sentence-transformers/minlm' is not cached"),
        ("bert-base-uncase", "did you mean bert-base-uncased"),
    ],
)
def test_a_misspelt_bare_name_is_a_wrong_call(name: str, words: str) -> None:
    with pytest.raises(CallError, match=f"unknown model '{name}': {words}") as caught:
        find_source(name)
    assert "\n" not in str(caught.value)


def test_a_known_bare_name_that_is_not_here_is_no_wrong_call() -> None:
    with pytest.raises(ModelError, match=r"'LaBSE' \(sentence-transformers/LaBSE\) is not cached"):
        find_source("LaBSE")


def test_a_model_may_be_given_a_name(tmp_path: Path, hub_cache: Path) -> None:
    folder = write_folder(tmp_path / "x=y", "config.json", "model.safetensors")
    source = find_source(f"mine={folder}")
    assert (source.name, source.folder, source.path, source.typed) == ("mine", folder, str(folder), f"mine={folder}")
    assert find_source(str(folder)).name == str(folder)
    write_snapshot(hub_cache, "owner/name", "config.json", "model.safetensors")
    named = find_source("ours=owner/name")
    assert (named.name, named.hub_id, named.path) == ("ours", "owner/name", None)


@pytest.mark.parametrize("name", ["owner/na me", "owner/name--x", "owner/.."])
def test_malformed_hub_id_is_a_wrong_call(name: str) -> None:
    with pytest.raises(CallError, match="hub id"):
        find_source(name)


@pytest.mark.parametrize("name", ["minilm", MINILM, "all-MiniLM-L6-v2"])
def test_packaged_model_is_found_when_its_weights_are_upstreams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = write_package(tmp_path, monkeypatch)
    monkeypatch.setattr(catalog, "_PACKAGED_SHA256", hash_files([folder / "model.safetensors"]))
    source = find_source(name)
    assert (source.folder, source.hub_id) == (folder, MINILM)


def test_packaged_model_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path, monkeypatch)
    with pytest.raises(ModelError, match="checksum mismatch"):
        find_source("minilm")


def test_package_is_not_looked_at_for_other_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path, monkeypatch)
    assert find_offline(ARCTIC) is None


def test_package_without_weights_falls_back_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub_cache: Path
) -> None:
    (write_package(tmp_path, monkeypatch) / "model.safetensors").unlink()
    folder = write_snapshot(hub_cache, MINILM, "config.json", "model.safetensors")
    assert find_source("minilm").folder == folder


def test_transformer_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path / "model" / "0_Transformer", "config.json", "model.safetensors")
    modules = [{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    write_json(tmp_path / "model" / "modules.json", modules)
    assert find_source(str(tmp_path / "model")).folder == tmp_path / "model"


def test_hash_is_the_sha256_of_the_bytes_in_order(tmp_path: Path) -> None:
    for name, text in (("1", "a"), ("2", "bc"), ("3", "abc")):
        (tmp_path / name).write_text(text)
    assert hash_files([tmp_path / "3"]) == ABC_SHA256
    assert hash_files([tmp_path / "1", tmp_path / "2"]) == ABC_SHA256
    assert hash_files([tmp_path / "2", tmp_path / "1"]) != ABC_SHA256


def test_cached_tiny_model_loads_with_the_catalogs_settings(
    hub_cache: Path, tiny_folder: Callable[[str], Path]
) -> None:
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions

    folder = write_snapshot(hub_cache, ARCTIC)
    shutil.copytree(tiny_folder("bert"), folder, dirs_exist_ok=True)
    change_json(folder / "config_sentence_transformers.json", prompts={"query": "other: "})
    model = load_model("arctic-m", LoadOptions(dtype="float32", device="cpu"))
    assert (model.pooling, model.document_prompt) == ("mean", "")
    assert model.query_prompt == "Represent this sentence for searching relevant passages: "
    assert model.source.revision == COMMIT


CLIP = "sentence-transformers/clip-ViT-B-32"
_CLIP_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "vocab.json", "merges.txt")


def test_cached_two_tower_model_is_found_in_its_own_folder(hub_cache: Path) -> None:
    folder = write_snapshot(hub_cache, CLIP)
    write_folder(folder / "0_CLIPModel", "config.json", "model.safetensors")
    modules = [{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    write_json(folder / "modules.json", modules)
    assert find_offline(CLIP) == folder
    assert find_source("clip").folder == folder


def test_cached_two_tower_model_loads_with_the_catalogs_settings(hub_cache: Path) -> None:
    from tiny_towers import write_towers

    from probe.models.loading import load_model
    from probe.models.options import LoadOptions

    folder = write_snapshot(hub_cache, CLIP)
    write_towers(folder / "0_CLIPModel")
    write_json(folder / "modules.json", [{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}])
    model = load_model("clip@text", LoadOptions(dtype="float32", device="cpu"))
    assert (model.source.name, model.source.hub_id, model.source.revision) == ("clip@text", CLIP, COMMIT)
    assert (model.pooling, model.max_tokens) == ("last", 16)


def test_everything_a_two_tower_model_needs_is_downloaded_and_nothing_twice() -> None:
    from huggingface_hub.utils import filter_repo_objects

    siglip = ("spiece.model", "tokenizer_config.json", "special_tokens_map.json", "processor_config.json")
    wanted = [*(f"0_CLIPModel/{name}" for name in _CLIP_FILES), *_CLIP_FILES, *siglip, "modules.json"]
    needless = ["0_CLIPModel/pytorch_model.bin", "pytorch_model.bin", "onnx/model.onnx", "openvino/model.xml"]
    chosen = filter_repo_objects(
        [*wanted, *needless], allow_patterns=list(hub.WANTED), ignore_patterns=list(hub.UNWANTED)
    )
    assert list(chosen) == wanted


def test_a_folder_named_like_an_alias_needs_a_separator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_towers import write_towers

    from probe.models.info import find_files
    from probe.models.options import LoadOptions

    write_towers(tmp_path / "minilm")
    monkeypatch.chdir(tmp_path)
    assert find_files("./minilm@text", LoadOptions(device="cpu")).tower == "text"
    with pytest.raises(CallError, match=r"'\./minilm' has two towers"):
        find_files("./minilm", LoadOptions(device="cpu"))
    with pytest.raises(CallError, match="'minilm' is not a two-tower model"):
        find_files("minilm@text", LoadOptions(device="cpu"))


def test_a_changed_file_has_another_hash(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    hashes = set()
    for content in (b"one", b"two", b"three"):
        file.write_bytes(content)
        os.utime(file, ns=(0, len(hashes)))
        hashes.add(hash_files([file]))
    assert len(hashes) == 3


def test_a_transformer_under_another_class_name_is_a_transformer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(NO_TENSORS)
    (tmp_path / "modules.json").write_text('[{"path": "", "type": "custom_code.OwnTransformer"}]')
    assert find_source(str(tmp_path)).folder == tmp_path
