"""Loading: the same vectors as sentence-transformers, the right limits, and refusals that say what to do."""

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    DEPTH,
    POSITIONS,
    PROMPTS,
    WORDS,
    change_json,
    make_texts,
    write_json,
    write_model,
    write_sentence_transformer,
    write_tokenizer,
)

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.metrics.vectors import Embeddings
from probe.models.info import find_files, known_facts
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.own_vectors import find_own_vectors
from probe.models.pipeline import _load_options

LIMIT = 24
TEXTS = [*make_texts(12), "", "apple unknownword bird", "  acid\n air ", " ".join(WORDS[: LIMIT * 2]), "APPLE Bird"]


def load(folder: Path, **options: Any) -> LoadedModel:
    return load_model(str(folder), LoadOptions(**{"dtype": "float32", "device": "cpu", **options}))


def open_encoder(model: LoadedModel) -> HookpointEncoder:
    return HookpointEncoder(LayerReader(model, token_budget=128), model.stack.depth, own_pooling(model))


def normalise(vectors: Embeddings) -> Embeddings:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def assert_like_sentence_transformers(folder: Path, normalised: bool = False) -> None:
    """Compare queries and documents with what sentence-transformers makes of the same folder."""
    from sentence_transformers import SentenceTransformer

    ours = open_encoder(load(folder))
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    finish = normalise if normalised else np.asarray
    for mine, reference in (
        (ours.encode_query(TEXTS), theirs.encode_query(TEXTS)),
        (ours.encode_document(TEXTS), theirs.encode_document(TEXTS)),
    ):
        assert np.abs(finish(mine) - reference).max() <= 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "qwen3"])
def test_last_layer_is_what_sentence_transformers_gives(tmp_path: Path, family: str, pooling: str) -> None:
    write_model(tmp_path, family)
    write_sentence_transformer(tmp_path, pooling, PROMPTS, {"max_seq_length": LIMIT})
    assert_like_sentence_transformers(tmp_path)


@pytest.mark.parametrize("family", ["xlm-roberta", "electra", "distilbert", "deberta-v2", "modernbert", "nomic-bert"])
def test_other_families_give_what_sentence_transformers_gives(family: str, tiny_folder: Callable[[str], Path]) -> None:
    assert_like_sentence_transformers(tiny_folder(family))


@pytest.mark.parametrize("whole", ["T5Model", "T5EncoderModel"])
def test_of_an_encoder_decoder_the_encoder_is_read(tmp_path: Path, whole: str) -> None:
    import transformers

    sizes = {"vocab_size": len(WORDS) + 10, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": DEPTH, "num_heads": 4}
    torch.manual_seed(0)
    getattr(transformers, whole)(transformers.T5Config(**sizes)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    write_sentence_transformer(tmp_path, "mean", PROMPTS, {"max_seq_length": LIMIT})
    assert load(tmp_path).stack.depth == DEPTH
    assert_like_sentence_transformers(tmp_path)


def test_plain_transformers_folder_is_pooled_as_sentence_transformers_does(tmp_path: Path) -> None:
    assert_like_sentence_transformers(write_model(tmp_path))


def test_normalised_model_differs_in_length_only(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), prompts=PROMPTS, extra_modules=("Normalize",))
    assert_like_sentence_transformers(tmp_path, normalised=True)


def test_lower_casing_model_gives_what_sentence_transformers_gives(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"do_lower_case": True})
    assert_like_sentence_transformers(tmp_path)


def test_prompts_of_the_two_sides_matter(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), prompts=PROMPTS)
    encoder = open_encoder(load(tmp_path))
    assert np.abs(encoder.encode_query(TEXTS) - encoder.encode_document(TEXTS)).max() > 0.01


def test_model_with_a_folder_for_its_transformer_gives_what_sentence_transformers_gives(tmp_path: Path) -> None:
    write_sentence_transformer(tmp_path)
    write_model(tmp_path / "0_Transformer")
    (tmp_path / "sentence_bert_config.json").rename(tmp_path / "0_Transformer" / "sentence_bert_config.json")
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{name}", "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(("Transformer", "Pooling"))
    ]
    write_json(tmp_path / "modules.json", modules)
    assert_like_sentence_transformers(tmp_path)


def test_lower_case_is_done_where_the_folder_asks_for_it(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"do_lower_case": True})
    vectors = open_encoder(load(tmp_path)).encode_query(["APPLE Bird", "apple bird"])
    assert np.array_equal(vectors[0], vectors[1])


def test_case_is_kept_where_the_folder_does_not_ask(tmp_path: Path) -> None:
    vectors = open_encoder(load(write_model(tmp_path))).encode_query(["APPLE Bird", "apple bird"])
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_options_go_before_the_folders_prompts(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), prompts=PROMPTS)
    model = load(tmp_path, query_prompt="apple ", document_prompt="")
    assert (model.query_prompt, model.document_prompt) == ("apple ", "")


@pytest.mark.parametrize("family", ["bert", "modernbert", "nomic-bert"])
def test_longest_input_is_that_of_sentence_transformers(tmp_path: Path, family: str) -> None:
    from sentence_transformers import SentenceTransformer

    write_model(tmp_path, family)
    assert load(tmp_path).max_tokens == POSITIONS
    assert load(tmp_path).max_tokens == SentenceTransformer(str(tmp_path), device="cpu").max_seq_length


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "mpnet"])
def test_longest_input_leaves_out_the_positions_up_to_the_padding(tmp_path: Path, family: str) -> None:
    write_model(tmp_path, family, max_position_embeddings=514)
    model = load(tmp_path)
    assert model.max_tokens == 512
    vectors = open_encoder(model).encode_query([" ".join(WORDS * 10)])
    assert np.isfinite(vectors).all()


def test_longest_input_is_the_folders(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"max_seq_length": LIMIT})
    assert load(tmp_path).max_tokens == LIMIT


def test_longest_input_is_the_tokenizers_where_the_folder_names_none(tmp_path: Path) -> None:
    write_model(tmp_path)
    change_json(tmp_path / "tokenizer_config.json", model_max_length=40)
    assert load(tmp_path).max_tokens == 40


def test_folders_longest_input_goes_before_the_tokenizers(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"max_seq_length": 50})
    change_json(tmp_path / "tokenizer_config.json", model_max_length=40)
    assert load(tmp_path).max_tokens == 50


def test_longest_input_never_exceeds_the_positions(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"max_seq_length": 4096})
    assert load(tmp_path).max_tokens == POSITIONS


def test_longest_input_asked_for_is_taken(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path), sizes={"max_seq_length": LIMIT})
    assert load(tmp_path, max_tokens=10).max_tokens == 10
    assert load(tmp_path, max_tokens=POSITIONS).max_tokens == POSITIONS


@pytest.mark.parametrize("wanted", [0, -1, POSITIONS + 1])
def test_longest_input_out_of_range_is_a_wrong_call(tmp_path: Path, wanted: int) -> None:
    write_model(tmp_path)
    with pytest.raises(CallError, match=f"{wanted} is out of range: the model supports 3 to {POSITIONS}"):
        load(tmp_path, max_tokens=wanted)


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_shortest_inputs_are_read_or_refused(tmp_path: Path, wanted: int) -> None:
    write_model(tmp_path)
    try:
        vectors = open_encoder(load(tmp_path, max_tokens=wanted)).encode_query([" ".join(WORDS)])
    except CallError:
        assert wanted < 3
    else:
        assert np.isfinite(vectors).all()


def test_weights_missing_from_the_checkpoint_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    change_json(tmp_path / "config.json", num_hidden_layers=DEPTH + 2)
    with pytest.raises(ModelError, match=r"lacks weights for \d+ tensors .*encoder\.layer\.3"):
        load(tmp_path)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    change_json(tmp_path / "config.json", intermediate_size=64)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path)


def test_missing_pooler_is_no_matter(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(write_model(tmp_path) / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert load(tmp_path).stack.depth == DEPTH


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    weights = write_model(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged or truncated"):
        load(tmp_path)


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "modernbert", "qwen3"])
def test_missing_tokenizer_is_refused(tmp_path: Path, family: str) -> None:
    write_model(tmp_path, family)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"model_type": "no-such-model"}', "{}", "[]"])
def test_config_of_no_known_model_is_refused(tmp_path: Path, content: str) -> None:
    (write_model(tmp_path) / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"cannot be loaded|is malformed"):
        load(tmp_path)


def test_code_of_the_folder_is_not_run(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "odd.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    auto_map = {"AutoConfig": "odd.OddConfig", "AutoModel": "odd.OddModel"}
    write_json(tmp_path / "config.json", {"model_type": "odd", "auto_map": auto_map})
    with pytest.raises(ModelError, match="--trust-remote-code"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_shared_layers_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="albert_layer_groups"):
        load(tiny_folder("albert"))


def test_loaded_module_is_in_evaluation_mode(load_tiny: Callable[[str], LoadedModel]) -> None:
    assert not any(module.training for module in load_tiny("bert").module.modules())


def test_decoder_keeps_no_keys_and_values_of_its_tokens(load_tiny: Callable[[str], LoadedModel]) -> None:
    model = load_tiny("qwen3")
    with torch.inference_mode():
        output = model.module(**model.tokenizer("apple bird", return_tensors="pt"))
    assert getattr(output, "past_key_values", None) is None


def test_bfloat16_gives_float32_vectors_near_those_of_float32(tmp_path: Path) -> None:
    write_model(tmp_path)
    exact = open_encoder(load(tmp_path)).encode_query(TEXTS)
    model = load(tmp_path, dtype="bfloat16")
    rough = open_encoder(model).encode_query(TEXTS)
    assert model.dtype == torch.bfloat16
    assert rough.dtype == np.float32
    assert (normalise(exact) * normalise(rough)).sum(axis=1).min() > 0.99
    assert np.abs(exact - rough).max() > 1e-4
    assert not np.array_equal(rough, torch.from_numpy(rough).bfloat16().float().numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "unknown dtype 'float8': expected one of auto, float32, bfloat16, float16"),
        ({"dtype": "float16"}, "float16 is unusably slow on a CPU"),
        ({"device": "toaster"}, "unknown device 'toaster'"),
        ({"device": "cuda"}, "device 'cuda' is not available on this machine"),
        ({"device": "cuda:1"}, "device 'cuda:1' is not available on this machine"),
        ({"device": "meta"}, "device 'meta' is not available on this machine"),
    ],
)
def test_wrong_precision_or_device_is_a_wrong_call(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, options: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(CallError, match=message):
        load(tiny_folder("bert"), **options)


def describe(model: LoadedModel) -> dict[str, Any]:
    """Return all a model says of itself but where it lies."""
    return {f.name: getattr(model, f.name) for f in fields(model) if f.repr and f.name != "source"}


def test_copy_of_a_folder_describes_itself_alike(tmp_path: Path) -> None:
    write_sentence_transformer(write_model(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert describe(load(tmp_path / "one")) == describe(load(tmp_path / "two"))


def change_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.weight"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_tokenizer(folder: Path) -> None:
    write_tokenizer(folder, wrap=False)


def change_lower_case(folder: Path) -> None:
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)


def change_activation(folder: Path) -> None:
    change_json(folder / "config.json", hidden_act="relu")


CHANGES = [change_weights, change_tokenizer, change_lower_case, change_activation]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_a_vector_changes_what_a_model_says_of_itself(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    write_sentence_transformer(write_model(tmp_path))
    before = load(tmp_path)
    change(tmp_path)
    after = load(tmp_path)
    vectors = [open_encoder(model).encode_query(["APPLE Bird", "apple"]) for model in (before, after)]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert describe(before) != describe(after)


@pytest.mark.parametrize(("family", "noted"), [("bert", False), ("modernbert", True), ("qwen3", True)])
def test_a_final_norm_is_noted(tiny_folder: Callable[[str], Path], family: str, noted: bool) -> None:
    notes = load(tiny_folder(family)).notes
    assert any("final norm" in note for note in notes) == noted


def test_facts_depend_on_why_a_model_has_no_pooling_of_its_own(tmp_path: Path) -> None:
    folder = write_sentence_transformer(write_model(tmp_path / "bert", "bert"), "mean", {})
    files = find_files(str(folder), LoadOptions(device="cpu"))
    assert replace(files, source=replace(files.source, refusal="unknown")).describe() != files.describe()


def test_modules_after_a_first_one_that_nobody_checks_stay_in_float32(tmp_path: Path) -> None:
    files = find_files(
        str(write_sentence_transformer(write_model(tmp_path / "bert", "bert"), "mean", {})), LoadOptions(device="cpu")
    )
    ours, *others = files.config.modules
    foreign = replace(files.config, modules=(replace(ours, type="custom_code.Transformer"), *others))
    found = [
        _load_options(one, torch.bfloat16)["model_kwargs"]["dtype"] for one in (files, replace(files, config=foreign))
    ]
    assert found == [torch.bfloat16, torch.float32]


def test_a_folder_is_checked_once_in_a_process_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def count(pipeline: Any, stack: Any, files: Any) -> Any:
        checked.append(files.source.name)
        return find_own_vectors(pipeline, stack, files)

    monkeypatch.setattr("probe.models.loaded.find_own_vectors", count)
    monkeypatch.setattr("probe.models.loading._FACTS", {})
    folder = write_sentence_transformer(write_model(tmp_path / "bert", "bert"), "mean", {})
    first, again = load(folder), load(folder)
    assert known_facts(again) == known_facts(first)
    assert len(checked) == 1
    load(folder, max_tokens=LIMIT)
    assert len(checked) == 2
    change_json(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    assert load(folder).pooling == "cls"
    assert len(checked) == 3
