"""Folders as people have them: files changed by hand, older layouts, other kinds of models, damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from folder_forms import FolderForm, write_pipeline
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from tiny_families import FAMILIES, WIDTH, write_family
from tiny_models import PROMPTS, change_json, randomise, write_json
from tiny_tokenizers import write_make

__all__ = ["FILES"]

_CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}"
_CODE = """
import torch
from sentence_transformers.sentence_transformer.modules import Pooling as Own


class Pooling(Own):
    def forward(self, features, **options):
        features["sentence_embedding"] = features["token_embeddings"][:, 0] * 3 + 1
        return features
"""
_MODEL_CODE = """
from transformers import BertConfig, BertModel


class OwnConfig(BertConfig):
    model_type = "{kind}"


class OwnModel(BertModel):
    config_class = OwnConfig

    def forward(self, *args, **options):
        output = super().forward(*args, **options)
        output.last_hidden_state = output.last_hidden_state * 2 + 1
        return output
"""


def _base(folder: Path, family: str = "bert", **settings: Any) -> Path:
    return write_pipeline(folder, [Pooling(WIDTH)], family, **settings)


def _plain(family: str, model: str | None = None, **changes: Any) -> Callable[[Path], object]:
    """A transformers folder, of the class that a task has where one is named."""

    def write(folder: Path) -> None:
        if model is None:
            write_family(folder, family, **changes)
            return
        config = FAMILIES[family].build(**changes).config
        made = getattr(transformers, model)(config)
        randomise(made)
        made.save_pretrained(folder)
        write_make(folder, FAMILIES[family].make)

    return write


def _after(change: Callable[[Path], object], family: str = "bert", **settings: Any) -> Callable[[Path], object]:
    """The usual folder, changed."""
    return lambda folder: change(_base(folder, family, **settings))


def _json(file: str, **changes: Any) -> Callable[[Path], object]:
    return _after(lambda folder: change_json(folder / file, **changes))


def _legacy_pooling(**flags: bool) -> Callable[[Path], object]:
    config = {"word_embedding_dimension": WIDTH, **{f"pooling_mode_{name}": value for name, value in flags.items()}}
    return _after(lambda folder: write_json(folder / "1_Pooling" / "config.json", config))


def _older_layout(folder: Path) -> None:
    """The transformer in a folder of its own, all classes under their first names."""
    _base(folder)
    inside = folder / "0_Transformer"
    inside.mkdir()
    for file in [path for path in folder.iterdir() if path.is_file()]:
        if file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(inside / file.name)
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ])  # fmt: skip
    write_json(inside / "sentence_bert_config.json", {"max_seq_length": 20})


def _renamed_sizes(folder: Path) -> None:
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder / "sentence_roberta_config.json", {"max_seq_length": 9, "do_lower_case": False})


def _code_pooling(folder: Path) -> None:
    (folder / "custom_st.py").write_text(_CODE, encoding="utf-8")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[1]["type"] = "custom_st.Pooling"
    write_json(folder / "modules.json", modules)


def _code_model(kind: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / "own_code.py").write_text(_MODEL_CODE.format(kind=kind), encoding="utf-8")
        change_json(
            folder / "config.json",
            auto_map={"AutoConfig": "own_code.OwnConfig", "AutoModel": "own_code.OwnModel"},
            model_type=kind,
        )

    return _after(change)


def _adapter(merged_into: Callable[[Path], Path]) -> Callable[[Path], object]:
    """A LoRA adapter, its base elsewhere or beside it."""

    def write(folder: Path) -> None:
        from peft import LoraConfig, get_peft_model

        base = _base(merged_into(folder))
        model = transformers.AutoModel.from_pretrained(base)
        lora = get_peft_model(model, LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False))
        lora.save_pretrained(str(folder))
        change_json(folder / "adapter_config.json", base_model_name_or_path=str(base))
        if base != folder:
            shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("config.json", "model.*"))
            shutil.copytree(base / "1_Pooling", folder / "1_Pooling", dirs_exist_ok=True)

    return write


def _cast(dtype: torch.dtype, say: bool = True) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        tensors = {name: value.to(dtype) for name, value in load_file(file).items()}
        save_file(tensors, file, {"format": "pt"})
        if say:
            change_json(folder / "config.json", dtype=str(dtype).removeprefix("torch."))

    return _after(change)


def _sharded(folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="8KB")


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _pointer(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 90868376\n"
    (folder / "model.safetensors").write_text(text, encoding="utf-8")


def _truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])


def _typed(folder: Path) -> None:
    """A tokenizer whose tokens are of the second type."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    for part in tokenizer["post_processor"]["single"]:
        next(iter(part.values()))["type_id"] = 1
    write_json(path, tokenizer)


def _chat(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(_CHAT, encoding="utf-8")
    way = {"method": "forward", "method_output_name": "last_hidden_state"}
    both = {"text": way, "message": {**way, "format": "flat"}}
    change_json(folder / "sentence_bert_config.json", modality_config=both)


def _clip(folder: Path) -> None:
    from tiny_towers import write_towers  # type: ignore[attr-defined]

    write_towers(folder)


def _colbert(folder: Path) -> None:
    head = Dense(WIDTH, 8, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    write_pipeline(folder, [head, Normalize("token_embeddings")])
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[1]["type"] = "pylate.models.Dense.Dense"
    write_json(folder / "modules.json", modules[:2])
    change_json(folder / "config_sentence_transformers.json", query_prefix="[Q] ", document_prefix="[D] ")


def _splade(folder: Path) -> None:
    from sentence_transformers.sparse_encoder import SparseEncoder

    bare = folder.with_name("bare-splade")
    _plain("bert", "BertForMaskedLM")(bare)
    SparseEncoder(str(bare), device="cpu").save(str(folder), create_model_card=False)


def _cross(folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    bare = folder.with_name("bare-cross")
    _plain("bert", "BertForSequenceClassification", num_labels=1)(bare)
    CrossEncoder(str(bare), device="cpu").save(str(folder))


def _late(folder: Path) -> None:
    from sentence_transformers.multi_vector_encoder import MultiVectorEncoder

    write_family(folder.with_name("bare-late"), "bert")
    MultiVectorEncoder(str(folder.with_name("bare-late")), device="cpu").save(str(folder), create_model_card=False)


def _refused(write: Callable[[Path], object], says: str = "", trust: bool = False) -> FolderForm:
    return FolderForm(write, "refused", None, says, trust=trust)


def _unlink(*names: str) -> Callable[[Path], object]:
    return _after(lambda folder: [(folder / name).unlink() for name in names])


_HEAD = "config_sentence_transformers.json"

FILES: dict[str, FolderForm] = {
    # Transformers folders.
    "plain-encoder": FolderForm(_plain("bert")),
    "plain-masked": FolderForm(_plain("bert", "BertForMaskedLM")),
    "plain-causal": FolderForm(_plain("qwen2", "Qwen2ForCausalLM")),
    "plain-causal-gpt2": FolderForm(_plain("gpt2", "GPT2LMHeadModel")),
    "plain-causal-llama": FolderForm(_plain("llama", "LlamaForCausalLM")),
    "plain-both-ways": FolderForm(_plain("qwen3", "Qwen3ForCausalLM", is_causal=False)),
    "plain-classifier": _refused(_plain("bert", "BertForSequenceClassification"), "classif"),
    "plain-tokens": _refused(_plain("bert", "BertForTokenClassification"), "classif"),
    "plain-t5": FolderForm(_plain("t5", "T5ForConditionalGeneration")),
    # Older layouts, and what older versions wrote.
    "legacy-cls": FolderForm(_legacy_pooling(cls_token=True, mean_tokens=False, max_tokens=False)),
    "legacy-two": FolderForm(_legacy_pooling(cls_token=True, mean_tokens=True, max_tokens=False)),
    "legacy-sqrt": FolderForm(_legacy_pooling(mean_sqrt_len_tokens=True, mean_tokens=False)),
    "legacy-none": FolderForm(_legacy_pooling()),
    "legacy-all-off": FolderForm(_legacy_pooling(mean_tokens=False)),
    "older-layout": FolderForm(_older_layout),
    "roberta-sizes": FolderForm(_after(_renamed_sizes)),
    "no-sizes": FolderForm(_unlink("sentence_bert_config.json")),
    "no-head-file": FolderForm(_unlink(_HEAD)),
    # Tokenizers.
    "types-not-zero": FolderForm(_after(_typed)),
    "left-padding": FolderForm(_after(lambda f: write_make(f, "bert", padding_side="left"))),
    "left-padding-gpt2": FolderForm(_after(lambda f: f, "gpt2-left")),
    "no-padding-token": FolderForm(_after(lambda f: write_make(f, "no-padding"), "gpt2"), "either", "either"),
    "truncation-left": FolderForm(_after(lambda f: write_make(f, "bert", truncation_side="left"))),
    "tokenizer-short": FolderForm(_after(lambda f: write_make(f, "bert", model_max_length=8))),
    "tokenizer-untyped": FolderForm(_after(lambda f: write_make(f, "bert-untyped"))),
    "chat-template": FolderForm(_after(_chat, "qwen2"), "either", "either"),
    # Weights.
    "half": FolderForm(_cast(torch.float16)),
    "brain-half": FolderForm(_cast(torch.bfloat16)),
    "half-unsaid": FolderForm(_cast(torch.float16, say=False)),
    "sharded": FolderForm(_after(_sharded)),
    "pickled": FolderForm(_after(_pickled), "either", "either"),
    "fewer-blocks-in-config": FolderForm(_json("config.json", num_hidden_layers=2), after=1),
    "more-blocks-in-config": _refused(_json("config.json", num_hidden_layers=4), "weights"),
    "lora-elsewhere": FolderForm(_adapter(lambda f: f.with_name(f"{f.name}-base")), "either", "either"),
    "lora-beside": FolderForm(_adapter(lambda f: f), "either", "either"),
    "lfs-pointer": _refused(_after(_pointer), "lfs"),
    "truncated-file": _refused(_after(_truncate)),
    "no-weights": _refused(_unlink("model.safetensors")),
    "quantised": _refused(_json("config.json", quantization_config={"quant_method": "gptq", "bits": 4}), "quantiz"),
    # Code of the folder's own.
    "code-pooling": _refused(_after(_code_pooling), "trust"),
    "code-pooling-trusted": FolderForm(_after(_code_pooling), "either", "either", trust=True),
    "code-model": _refused(_code_model("own-bert"), "trust"),
    "code-model-trusted": FolderForm(_code_model("own-bert"), "either", "either", trust=True),
    "code-known-type-trusted": FolderForm(_code_model("bert"), "either", "either", trust=True),
    "code-known-type": FolderForm(_code_model("bert"), "either", "either"),
    # Other kinds of models.
    "cross-encoder": _refused(_cross, "cross"),
    "splade": _refused(_splade, "spars"),
    "late-interaction": _refused(_late),
    "colbert": _refused(_colbert),
    "kind-cross": _refused(_json(_HEAD, model_type="CrossEncoder"), "cross"),
    "kind-sparse": _refused(_json(_HEAD, model_type="SparseEncoder"), "spars"),
    "clip": _refused(_clip, "tower"),
    # What is missing or malformed.
    "no-pooling-folder": _refused(_after(lambda f: shutil.rmtree(f / "1_Pooling")), "1_pooling"),
    "no-tokenizer": _refused(_unlink("tokenizer.json", "tokenizer_config.json"), "tokenizer"),
    "no-config": _refused(_unlink("config.json"), "config"),
    "modules-broken": _refused(_after(lambda f: (f / "modules.json").write_text("[{")), "modules.json"),
    "modules-empty": _refused(_after(lambda f: write_json(f / "modules.json", [])), "modules.json"),
    "modules-outside": _refused(_after(lambda f: change_module(f, 1, path="../elsewhere"))),
    "module-unknown": _refused(_after(lambda f: change_module(f, 1, type="sentence_transformers.models.Poling"))),
    "pooling-unknown": _refused(_after(lambda f: write_json(f / "1_Pooling" / "config.json", {"pooling_mode": "x"}))),
    "pooling-other-width": FolderForm(_json("1_Pooling/config.json", embedding_dimension=99), "either", "either"),
    "similarity-unknown": FolderForm(_json(_HEAD, similarity_fn_name="maxsim"), "either", "either"),
    "needs-newer": _refused(_json(_HEAD, requirements={"sentence-transformers": ">=99"})),
    "default-prompt-unknown": _refused(_json(_HEAD, default_prompt_name="none such"), "prompt"),
    "head-extra-keys": FolderForm(_json(_HEAD, prompts=PROMPTS, something={"a": 1})),
    # What the model's table of words has no rows for is refused, text by text.
    "other-vocabulary": FolderForm(_after(lambda f: write_make(f, "roberta")), "either", "either"),
}


def change_module(folder: Path, number: int, **changes: Any) -> None:
    """Change an entry of modules.json."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[number] |= changes
    write_json(folder / "modules.json", modules)
