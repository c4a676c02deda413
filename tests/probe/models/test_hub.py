"""Models on the hub: what is downloaded is found again without a network, and every failure is said in words."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, commit_of, serve_hub
from tiny_models import change_json, write_json, write_sentence_transformer

from probe.errors import CallError, ModelError
from probe.io import hub as hub_module
from probe.models.sources import find_offline, find_source, split_revision

TinyFolder = Callable[[str], Path]
NAME = "owner/model"
# As git keeps no empty folders, the hub has none for modules without files.
EMPTY = "2_Normalize"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the hub's client an empty cache."""
    from huggingface_hub import constants

    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serve_hub(monkeypatch) as server:
        yield server


@pytest.fixture
def model(tmp_path: Path, tiny_folder: TinyFolder) -> Path:
    """Return the folder of a model with all that sentence-transformers may read, and much that it never does."""
    folder = Path(shutil.copytree(tiny_folder("bert"), tmp_path / "model"))
    write_sentence_transformer(folder, "cls", extra_modules=("Normalize",))
    (folder / EMPTY).rmdir()
    for name in ("chat_template.jinja", "bpe.codes", "source.spm", "README.md", "pytorch_model.bin", "model.gguf"):
        (folder / name).write_text("x")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_text("x")
    (folder / "onnx" / "config.json").write_text("{}")
    return folder


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_what_was_downloaded_is_found_without_a_network(
    hub: FakeHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add(NAME, model)
    source = find_source(NAME)
    assert (source.revision, source.warnings, source.refusal) == (commit, (), "")
    go_offline(monkeypatch)
    assert find_offline(NAME) == source.folder == find_source(NAME).folder


def test_all_that_is_needed_is_downloaded_and_nothing_else(hub: FakeHub, model: Path) -> None:
    hub.add(NAME, model)
    folder = find_source(NAME).folder
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    there = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert there - here == {"README.md", "pytorch_model.bin", "model.gguf", "onnx/model.onnx", "onnx/config.json"}


def test_a_cached_model_asks_the_hub_for_nothing(hub: FakeHub, model: Path) -> None:
    hub.add(NAME, model)
    find_source(NAME)
    hub.asked.clear()
    find_source(NAME)
    assert hub.asked == []


def test_the_head_of_a_model_may_be_a_pickle(hub: FakeHub, model: Path) -> None:
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "pytorch_model.bin").write_text("x")
    (model / "0_Transformer").mkdir()
    (model / "0_Transformer" / "pytorch_model.bin").write_text("x")
    hub.add(NAME, model)
    folder = find_source(NAME).folder
    assert (folder / "2_Dense" / "pytorch_model.bin").is_file()
    assert not (folder / "0_Transformer").exists()


def test_every_vocabulary_of_transformers_is_wanted() -> None:
    import re

    import transformers
    from huggingface_hub.utils._paths import filter_repo_objects

    sources = Path(transformers.__file__).parent.glob("models/*/tokenization*.py")
    names = {name for path in sources for name in re.findall(r'"\w+_file": *"([^"/{]+)"', path.read_text("utf-8"))}
    assert len(names) > 15
    names |= {"tekken.json", "qwen.tiktoken", "vocab.bpe", "additional_chat_templates/rag.jinja"}
    assert set(filter_repo_objects(names, allow_patterns=list(hub_module.WANTED))) == names


@pytest.mark.parametrize("written", ["option", "name"])
def test_a_revision_is_found_on_the_hub_and_without_a_network(
    hub: FakeHub, model: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    hub.add(NAME, model)
    other = hub.add(NAME, model, "v1.0")
    name, revision = (NAME, "v1.0") if written == "option" else (f"{NAME}@v1.0", None)
    assert find_source(name, revision).revision == other
    go_offline(monkeypatch)
    assert find_source(name, revision).revision == other
    assert find_source(f"{NAME}@{other}").revision == other
    with pytest.raises(ModelError, match="is not cached, and HF_HUB_OFFLINE is set"):
        find_source(NAME)


def test_a_commit_is_a_revision(hub: FakeHub, model: Path) -> None:
    commit = hub.add(NAME, model)
    assert find_source(f"{NAME}@{commit}").revision == commit == commit_of(f"{NAME} main")


def test_a_revision_that_is_not_there_is_named(hub: FakeHub, model: Path) -> None:
    hub.add(NAME, model)
    with pytest.raises(CallError, match=r"revision 'v2' of 'owner/model' not found on the hub"):
        find_source(NAME, "v2")


def test_revisions_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(CallError, match="are two revisions"):
        find_source(f"{NAME}@v1", "v2")


def test_a_folder_has_no_revision(model: Path) -> None:
    with pytest.raises(CallError, match="is a folder and has no revisions: for the hub, use owner/name@v1"):
        find_source(str(model), "v1")


@pytest.mark.parametrize("revision", ["../../etc", "-x", "a b"])
def test_what_can_be_no_revision_is_refused(revision: str) -> None:
    with pytest.raises(CallError, match="invalid revision"):
        find_source(NAME, revision)


def test_a_name_is_split_from_its_revision() -> None:
    assert split_revision("owner/name@refs/pr/1") == ("owner/name", "refs/pr/1")
    assert split_revision("owner/name") == ("owner/name", None)
    assert split_revision("./owner/name@x") == ("./owner/name@x", None)


def test_a_repository_that_is_not_there_is_a_wrong_call(hub: FakeHub) -> None:
    with pytest.raises(CallError, match="model 'owner/model' not found on the hub"):
        find_source(NAME)


@pytest.mark.parametrize(("status", "words"), [(503, "HTTP 503"), (500, "HTTP 500"), (429, "HTTP 429"), (403, "403")])
def test_an_answer_that_is_none_is_said(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, status: int, words: str) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.status = status
    with pytest.raises(ModelError, match=words):
        find_source(NAME)


def test_a_hub_that_cannot_be_reached_is_said(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"'owner/model' is not cached, and the hub is unreachable"):
        find_source(NAME)


def raising(error: Exception) -> Callable[..., str]:
    def download(*args: object, local_files_only: bool = False, **options: object) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        raise LocalEntryNotFoundError("nothing") if local_files_only else error

    return download


def hub_http() -> Any:
    """Return the HTTP library of the hub's client, which is not the same in all its versions."""
    return getattr(import_module("huggingface_hub.utils"), "httpx")  # noqa: B009


def http_error(kind: str) -> Exception:
    error: Exception = getattr(hub_http(), kind)("407 Proxy Authentication Required")
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ProxyError", r"proxy error \(407 Proxy Authentication Required; check HTTPS_PROXY\)"),
        ("ReadTimeout", "the hub timed out"),
        ("RemoteProtocolError", "the hub is unreachable"),
        ("InvalidURL", "cannot be downloaded from the hub: InvalidURL"),
        (OSError(errno.ENOSPC, "No space left on device"), r"disk full at the hub cache .*HF_HOME"),
        (PermissionError(errno.EACCES, "denied"), "no access to the hub cache .*HF_HOME"),
        (RuntimeError("odd"), "cannot be downloaded from the hub: RuntimeError: odd"),
    ],
)
def test_whatever_the_client_raises_is_words(
    monkeypatch: pytest.MonkeyPatch, error: str | Exception, words: str
) -> None:
    raised = http_error(error) if isinstance(error, str) else error
    monkeypatch.setattr("huggingface_hub.snapshot_download", raising(raised))
    with pytest.raises(ModelError, match=words):
        find_source(NAME)


def fetch_as_transformers_do(hub: FakeHub, cache: Path, *names: str) -> Path:
    """Put single files into the cache, as libraries do that know what they read."""
    from huggingface_hub import hf_hub_download

    return Path([hf_hub_download(NAME, name) for name in names][-1]).parent


TRANSFORMERS_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def test_a_snapshot_of_another_library_is_completed(hub: FakeHub, cache: Path, model: Path) -> None:
    hub.add(NAME, model)
    folder = fetch_as_transformers_do(hub, cache, *TRANSFORMERS_FILES)
    assert find_offline(NAME) is None
    assert find_source(NAME).folder == folder
    assert (folder / "1_Pooling" / "config.json").is_file()


def test_without_a_network_the_pooling_of_such_a_snapshot_has_to_be_named(
    hub: FakeHub, cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probe.models.loading import load_model

    hub.add(NAME, model)
    fetch_as_transformers_do(hub, cache, *TRANSFORMERS_FILES)
    go_offline(monkeypatch)
    assert "without modules.json" in find_source(NAME).refusal
    loaded = load_model(NAME)
    assert loaded.pooling is None
    assert "to complete it: `hf download owner/model`" in loaded.refusal


def test_a_repository_that_has_no_modules_is_read_as_sentence_transformers_reads_it(
    hub: FakeHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "modules.json").unlink()
    hub.add(NAME, model)
    for _ in range(2):
        source = find_source(NAME)
        assert source.refusal == ""
        assert "no modules.json: sentence-transformers' default pooling is used" in source.warnings[0]
        go_offline(monkeypatch)


def test_half_a_snapshot_is_completed_or_refused(
    hub: FakeHub, cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model)
    fetch_as_transformers_do(hub, cache, *TRANSFORMERS_FILES, "modules.json")
    with monkeypatch.context() as patch:
        go_offline(patch)
        with pytest.raises(ModelError, match=r"is incomplete: it lacks a part: 1_Pooling .* is missing.*hf download"):
            find_source(NAME)
    assert find_source(NAME).refusal == ""


def test_a_download_that_was_broken_off_is_told_by_its_listing(
    hub: FakeHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, model)
    (find_source(NAME).folder / "sentence_bert_config.json").unlink()
    with monkeypatch.context() as patch:
        go_offline(patch)
        with pytest.raises(ModelError, match=r"is incomplete: 1 files are missing \(sentence_bert_config\.json"):
            find_source(NAME)
    assert (find_source(NAME).folder / "sentence_bert_config.json").is_file()


def test_code_in_another_repository_is_fetched_and_found_without_a_network(
    hub: FakeHub, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probe.io.model_files import code_repositories, file_set

    other = tmp_path / "code"
    other.mkdir()
    (other / "modeling.py").write_text("x = 1")
    (other / "model.safetensors").write_text("x")
    change_json(model / "config.json", auto_map={"AutoModel": "other/code--modeling.Model"})
    hub.add(NAME, model)
    hub.add("other/code", other)
    folder = find_source(NAME).folder
    go_offline(monkeypatch)
    assert code_repositories(folder) == ("other/code",)
    code = [path for path in file_set(folder) if path.name == "modeling.py"]
    assert [path.read_text() for path in code] == ["x = 1"]
    assert not any(path.name == "model.safetensors" for path in code[0].parent.iterdir())


def test_gated_models_name_the_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import GatedRepoError

    httpx = hub_http()
    answer = httpx.Response(403, request=httpx.Request("GET", "http://hub"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", raising(GatedRepoError("gated", response=answer)))
    with pytest.raises(ModelError, match="gated: accept its terms"):
        find_source(NAME)


def test_an_alias_is_not_shadowed_by_a_folder_of_its_name(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.symlink(model, tmp_path / "arctic-m")
    monkeypatch.chdir(tmp_path)
    go_offline(monkeypatch)
    with pytest.raises(ModelError, match=r"'arctic-m' \(Snowflake/"):
        find_source("arctic-m")
    assert find_source("./arctic-m").folder == Path("arctic-m")


def test_the_listing_of_modules_may_not_leave_the_folder(model: Path) -> None:
    write_json(model / "modules.json", [{"path": "../other", "type": "sentence_transformers.models.Transformer"}])
    with pytest.raises(ModelError, match="expected a path inside the folder"):
        find_source(str(model))


def test_prompts_under_other_names_are_listed(hub: FakeHub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from encoder_surgery.probe_commands.known_models import list_models, model_notes

    change_json(model / "config_sentence_transformers.json", prompts={"query": "q: ", "clustering": "group: "})
    hub.add("Snowflake/snowflake-arctic-embed-m-v1.5", model)
    find_source("arctic-m")
    go_offline(monkeypatch)
    found = {known.alias: known for known in list_models()}
    assert (found["arctic-m"].offline, found["arctic-m"].other_prompts) == (True, {"clustering": "group: "})
    assert found["mpnet"].other_prompts == {}
    said = "arctic-m has other named prompts (--query-prompt-name, --document-prompt-name): clustering 'group: '"
    assert said in model_notes(list(found.values()))
