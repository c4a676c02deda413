"""Folders as people have them: whole or not, adapters, half precision, shards; and which files are in a model's key."""

import shutil
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import change_json, make_texts, write_json, write_model, write_sentence_transformer

from probe.errors import ModelError
from probe.io.model_files import file_set, weight_files
from probe.models.info import ModelFiles, find_files
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.sources import find_source

TinyFolder = Callable[[str], Path]
OPTIONS = LoadOptions(dtype="float32", device="cpu")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: TinyFolder) -> Path:
    """Return a copy of a sentence-transformers folder."""
    return Path(shutil.copytree(tiny_folder("bert"), tmp_path / "model"))


def key(folder: Path) -> tuple[str, ...]:
    files: ModelFiles = find_files(str(folder), OPTIONS)
    return files.weights_hash, files.config_hash, files.tokenizer_hash, files.files_hash


def write_dense(folder: Path, name: str = "2_Dense", *, pickle: bool = False) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    (folder / name).mkdir()
    Dense(32, 8).save(str(folder / name), safe_serialization=not pickle)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), (name, "Dense")]
    listed = [{"idx": i, "name": str(i), "path": p, "type": f"sentence_transformers.models.{t}"} for i, (p, t) in
              enumerate(modules)]  # fmt: skip
    write_json(folder / "modules.json", listed)


MATTERS = [
    "bpe.codes", "tekken.json", "source.spm", "vocab.txt", "merges.txt", "spiece.model", "added_tokens.json",
    "chat_template.jinja", "additional_chat_templates/rag.jinja", "modeling_own.py", "code/inner.py",
    "config_sentence_transformers.json", "sentence_bert_config.json", "modules.json", "config.json", "tokenizer.json",
    "tokenizer_config.json", "preprocessor_config.json", "1_Pooling/config.json", "2_Dense/config.json",
    "2_Dense/model.safetensors", "model.safetensors", "prophetnet.tokenizer", "qwen.tiktoken",
]  # fmt: skip
NEEDLESS = [
    "README.md", "LICENSE", ".gitattributes", "onnx/model.onnx", "pytorch_model.bin", "trainer_state.json",
    "checkpoint-5/config.json", "learned.json", "eval/results.csv", "model.gguf",
]  # fmt: skip


@pytest.mark.parametrize("name", MATTERS + NEEDLESS)
def test_every_file_that_can_change_a_vector_is_in_the_key(folder: Path, name: str) -> None:
    write_dense(folder)
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_text("{}" if path.suffix == ".json" else "x = 1\n")
    if name.endswith("learned.json"):
        path.unlink()
    before = key(folder)
    if path.suffix == ".safetensors":
        save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    elif path.suffix == ".json" and path.exists():
        path.write_text(path.read_text() + " ")
    else:
        path.write_text(" and more")
    if name.endswith("learned.json"):
        path.write_text('{"format": 1, "labels": [], "seen": []}')
    assert (key(folder) != before) == (name in MATTERS)


def test_a_file_that_appears_is_in_the_key(folder: Path) -> None:
    before = key(folder)
    (folder / "bpe.codes").write_text("x")
    assert key(folder) != before


def test_weights_are_listed_apart(folder: Path) -> None:
    write_dense(folder, pickle=True)
    assert [path.name for path in weight_files(folder)] == ["model.safetensors", "pytorch_model.bin"]
    assert not any(path.suffix in (".safetensors", ".bin") for path in file_set(folder))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("1_Pooling", r"lacks a part: 1_Pooling \(the Pooling in its modules\.json\) is missing"),
        ("1_Pooling/config.json", r"1_Pooling \(the Pooling in its modules\.json\) has no config\.json"),
        ("2_Dense/model.safetensors", r"2_Dense \(the Dense in its modules\.json\) has no weights"),
        ("2_Dense/config.json", r"2_Dense \(the Dense in its modules\.json\) has no config\.json"),
        ("config.json", r"has no config\.json"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(folder: Path, broken: str, words: str) -> None:
    write_dense(folder)
    path = folder / broken
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match=words):
        find_source(str(folder))


def test_modules_without_files_may_be_without_a_folder(folder: Path) -> None:
    write_sentence_transformer(folder, extra_modules=("Normalize",))
    (folder / "2_Normalize").rmdir()
    assert load_model(str(folder), OPTIONS).pooling is not None


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointers_of_git_lfs_are_called_so(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    with pytest.raises(ModelError, match="is a Git LFS pointer"):
        find_source(str(folder))


def test_a_plain_folder_is_read_as_sentence_transformers_reads_it_and_says_so(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    plain = write_model(tmp_path / "plain", "qwen3")
    change_json(plain / "config.json", architectures=["Qwen3ForCausalLM"])
    source = find_source(str(plain))
    assert "no modules.json: sentence-transformers' default pooling is used" in source.warnings[0]
    model = load_model(str(plain), OPTIONS)
    assert source.warnings[0] in model.notes
    assert SentenceTransformer(str(plain), device="cpu")[1].pooling_mode in ("lasttoken", ("lasttoken",))


def test_half_precision_and_shards_give_the_same_vectors(folder: Path, tmp_path: Path) -> None:
    tensors = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    names = sorted(tensors)
    sharded = Path(shutil.copytree(folder, tmp_path / "sharded"))
    (sharded / "model.safetensors").unlink()
    parts = {f"model-0000{i}-of-00002.safetensors": names[i - 1 :: 2] for i in (1, 2)}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, sharded / file, {"format": "pt"})
    mapped = {name: file for file, part in parts.items() for name in part}
    write_json(sharded / "model.safetensors.index.json", {"metadata": {}, "weight_map": mapped})
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    texts = make_texts(3)
    vectors = [load_model(str(path), OPTIONS).pipeline.encode_document(texts) for path in (folder, sharded)]
    assert abs(vectors[0] - vectors[1]).max() == 0


def test_blocks_that_the_config_does_not_count_are_noted_and_left_out_of_a_cut(folder: Path, tmp_path: Path) -> None:
    from surgery.cutting.cut import cut
    from surgery.saving.save import save

    change_json(folder / "config.json", num_hidden_layers=2)
    source = find_source(str(folder))
    assert "have 1 more blocks than the config" in source.warnings[-1]
    model = load_model(str(folder), OPTIONS)
    assert model.depth == 2
    save(cut(model, 1), tmp_path / "out")
    kept = {name for name in load_file(tmp_path / "out" / "model.safetensors") if "layer." in name}
    assert {name.split("layer.")[1].split(".")[0] for name in kept} == {"0"}
    texts = make_texts(2)
    whole = load_model(str(folder), LoadOptions(dtype="float32", device="cpu", config=(("num_hidden_layers", "1"),)))
    found = load_model(str(tmp_path / "out"), OPTIONS).pipeline.encode_document(texts, prompt="")
    assert abs(found - whole.pipeline.encode_document(texts, prompt="")).max() < 1e-5


def write_adapter(base: Path, out: Path, *, tokenizer: bool = True, named: str | None = None) -> Path:
    """Write a LoRA adapter with weights that are not zero, as peft saves it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION", init_lora_weights=False)
    adapted: Any = get_peft_model(AutoModel.from_pretrained(str(base), dtype=torch.float32), config)
    adapted.save_pretrained(str(out))
    if tokenizer:
        AutoTokenizer.from_pretrained(str(base)).save_pretrained(str(out))
    change_json(out / "adapter_config.json", base_model_name_or_path=str(base) if named is None else named)
    return out


@pytest.mark.parametrize("beside", [False, True])
def test_an_adapter_is_merged_into_its_base(folder: Path, tmp_path: Path, beside: bool) -> None:
    from sentence_transformers import SentenceTransformer

    adapter = write_adapter(folder, tmp_path / "adapter")
    if beside:
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(folder / name, adapter / name)
    texts = make_texts(4)
    expected = SentenceTransformer(str(adapter), device="cpu").encode_document(texts)
    model = load_model(str(adapter), OPTIONS)
    assert abs(model.pipeline.encode_document(texts) - expected).max() < 1e-5
    assert abs(load_model(str(folder), OPTIONS).pipeline.encode_document(texts) - expected).max() > 1e-3
    assert model.source.name == str(adapter)
    again = find_source(str(adapter)).folder
    assert again == model.source.folder
    change_json(adapter / "adapter_config.json", lora_alpha=64)
    assert find_source(str(adapter)).folder != again


def test_an_adapter_in_a_folder_of_sentence_transformers_keeps_its_modules(folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    adapter = write_sentence_transformer(
        write_adapter(folder, tmp_path / "adapter"), "cls", extra_modules=("Normalize",)
    )
    texts = make_texts(4)
    expected = SentenceTransformer(str(adapter), device="cpu").encode_document(texts)
    assert abs(load_model(str(adapter), OPTIONS).pipeline.encode_document(texts) - expected).max() < 1e-5


def test_an_adapters_base_may_lie_beside_it_and_bring_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    adapter = write_adapter(folder, tmp_path / "adapter", tokenizer=False, named="../model")
    assert load_model(str(adapter), OPTIONS).depth == 3


def test_an_adapter_whose_base_is_nowhere_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = write_adapter(folder, tmp_path / "adapter", named="owner/base")
    with pytest.raises(
        ModelError, match=r"the base 'owner/base' of adapter .* is unavailable: .*hf download owner/base"
    ):
        find_source(str(adapter))


def test_an_adapter_needs_peft(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = write_adapter(folder, tmp_path / "adapter")
    real = find_spec_of()

    def without_peft(name: str, *rest: Any) -> ModuleSpec | None:
        return None if name == "peft" else real(name, *rest)

    monkeypatch.setattr("probe.models.adapters.find_spec", without_peft)
    with pytest.raises(ModelError, match=r"is a LORA adapter: pip install 'encoder-surgery\[lora\]'"):
        find_source(str(adapter))


def find_spec_of() -> Callable[..., ModuleSpec | None]:
    from importlib.util import find_spec

    return find_spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "adds learned vectors to the input"),
        ({"base_model_name_or_path": None}, "without a base model"),
    ],
)
def test_adapters_that_cannot_be_merged_are_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    adapter = write_adapter(folder, tmp_path / "adapter")
    change_json(adapter / "adapter_config.json", **change)
    with pytest.raises(ModelError, match=words):
        find_source(str(adapter))


def test_an_adapter_without_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = write_adapter(folder, tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="is an adapter without weights"):
        find_source(str(adapter))


def test_an_adapter_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", "bert", num_hidden_layers=5)
    adapter = write_adapter(other, tmp_path / "adapter", named=str(folder))
    with pytest.raises(ModelError, match="adapter"):
        find_source(str(adapter))


def test_code_of_another_repository_is_named_where_it_is_refused(folder: Path) -> None:
    auto_map = {"AutoConfig": "owner/code--config.Own", "AutoModel": "owner/code--model.Own"}
    change_json(folder / "config.json", model_type="own", auto_map=auto_map)
    with pytest.raises(ModelError, match=r"needs code from owner/code on the hub: pass --trust-remote-code"):
        load_model(str(folder), OPTIONS)


def test_a_class_that_only_sounds_like_sentence_transformers_own_is_refused(folder: Path) -> None:
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "custom_st.Pooling"}]  # fmt: skip
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=r"a module of the custom class custom_st\.Pooling"):
        load_model(str(folder), OPTIONS)


@pytest.mark.parametrize("name", ["a+b", "a@b", "a:b", "-a", "a b", "a@5:mean", "a+b@x", "minilm"])
def test_a_folder_of_an_odd_name_is_read_by_its_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from probe.layers.hookpoint import Hookpoint, split_fusion

    folder.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert split_fusion(f"./{name}") == [f"./{name}"]
    for suffix, layer in (("", None), ("@2", 2)):
        spec = f"./{name}{suffix}:cls"
        assert split_fusion(spec) == [spec]
        point = Hookpoint.parse(spec)
        assert (point.model, point.layer, str(point)) == (f"./{name}", layer, spec)
    assert find_files(f"./{name}", OPTIONS).source.folder == Path(name)
