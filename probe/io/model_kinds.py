"""Detection of a model's kind from its files: an encoder with layers, one without, or not an embedding model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import ModelError
from probe.io.model_files import ADAPTER_CONFIG, SavedModule, list_modules, read_object

__all__ = ["LAYERLESS", "TRANSFORMER", "ModelKind", "kind_of"]

TRANSFORMER, LAYERLESS, REFUSED = "transformer", "layerless", "refused"

# Classes of this package are allowed in modules.json too; `adaptors` loads them.
_OWN_PREFIXES = ("sentence_transformers.", "surgery.", "adaptors.")
_SPARSE = ("SpladePooling", "MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding")
_LATE = ("MultiVectorMask", "HierarchicalTokenPooling", "LambdaTokenPooling")
_STATIC = ("StaticEmbedding", "WordEmbeddings", "BoW")
_ROUTERS = ("Router", "Asym")

_TO_LAYERS = "to read its layers anyway, convert it with SentenceTransformer('{name}').save(DIR)"
_CROSS = "is a cross-encoder ({found}): it scores pairs of texts and has no vector for a single text; " + _TO_LAYERS
_SPARSE_TEXT = (
    "is a sparse encoder ({found}): only dense vectors are supported; for a lexical row, use probe rank --baseline bm25"
)
_LATE_TEXT = (
    "is a late-interaction model ({found}): its projection, markers and lengths for token vectors "
    "are unsupported; use an encoder with one vector per text"
)
# Class suffixes of transformers folders with a head other than a language model's.
_HEADS = {
    "ForTokenClassification": "is a token classifier ({found}), not trained to embed; ",
    "ForQuestionAnswering": "is a question-answering model ({found}), not trained to embed; ",
    "ForMultipleChoice": "is a multiple-choice model ({found}), not trained to embed; ",
}
# Model kinds in sentence-transformers' config_sentence_transformers.json.
_MODEL_TYPES = {"CrossEncoder": _CROSS, "SparseEncoder": _SPARSE_TEXT, "MultiVectorEncoder": _LATE_TEXT}
_MODEL_TYPES["ColBERT"] = _LATE_TEXT

# Encoder-decoders of which sentence-transformers loads only the encoder.
_ENCODER_ONLY = """
    t5 mt5 umt5 udop longt5 prophetnet xlm-prophetnet switch_transformers blenderbot blenderbot-small m2m_100
    pegasus pegasus_x moonshine whisper marian t5gemma t5gemma2 t5gemma2_text
"""
_WITH_DECODER = """
    bart mbart led bigbird_pegasus plbart mvp fsmt nllb-moe encoder-decoder florence2 seamless_m4t
"""


@dataclass(frozen=True)
class ModelKind:
    """Kind of the model in a folder.

    Attributes:
        kind: `transformer` (has layers), `layerless` (an encoder without layers), or `refused` (not a dense encoder).
        name: Name of the kind, in a word or two.
        refusal: Why it is unsupported and what to do, with `{name}` for the model; empty if supported.
        foreign: Full class names of its modules that are not part of sentence-transformers.
    """

    kind: str
    name: str
    refusal: str = ""
    foreign: tuple[str, ...] = ()

    def check(self, name: str) -> None:
        """Raise if the model is not a dense encoder.

        Args:
            name: Name of the model in messages.

        Raises:
            ModelError: If it is not a dense encoder.
        """
        if self.refusal:
            raise ModelError(f"'{name}' {self.refusal.replace('{name}', name)}")


def kind_of(folder: Path, modules: Sequence[SavedModule] | None = None) -> ModelKind:
    """Return the kind of model in a folder, without loading it.

    Args:
        folder: The folder.
        modules: Its modules; those of a route for the kind of model that its texts pass through.

    Raises:
        ModelError: If a config file is malformed.
    """
    modules = list_modules(folder) if modules is None else modules
    transformer = modules[0].folder if modules else folder
    config = read_object(transformer / "config.json")
    return (
        _by_model_type(read_object(folder / "config_sentence_transformers.json"), bool(modules))
        or _by_modules(modules)
        or (None if modules else _by_architecture(config, read_object(folder / ADAPTER_CONFIG)))
        or _by_config(config)
        or _encoder(modules)
    )


def _by_model_type(head: dict[str, Any], has_modules: bool) -> ModelKind | None:
    """Read sentence-transformers' model_type, which it uses only in folders with a modules.json."""
    said = head.get("model_type")
    if said in _MODEL_TYPES:
        return _refused(said, _MODEL_TYPES[said], f"model_type {said}")
    if has_modules and said not in (None, "SentenceTransformer"):
        text = (
            "has the unknown model_type {found} in config_sentence_transformers.json: "
            "expected SentenceTransformer, or no model_type"
        )
        return _refused(str(said), text, str(said))
    return None


def _by_modules(modules: Sequence[SavedModule]) -> ModelKind | None:
    for module in modules:
        if module.type.startswith("pylate."):
            return _refused("late interaction", _LATE_TEXT, module.type)
        if not module.type.startswith("sentence_transformers."):
            continue
        if module.name in _SPARSE:
            return _refused("sparse encoder", _SPARSE_TEXT, module.name)
        if module.name in _LATE:
            return _refused("late interaction", _LATE_TEXT, module.name)
        if module.name == "LogitScore":
            return _refused("cross-encoder", _CROSS, module.name)
    return None


def _by_architecture(config: dict[str, Any], adapter: dict[str, Any]) -> ModelKind | None:
    """Read the architecture of a folder without modules.json: the class, hence the head it was trained with."""
    architectures = config.get("architectures")
    found = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    if found == "HF_ColBERT":
        return _refused("late interaction", _LATE_TEXT, found)
    if found.endswith("ForSequenceClassification"):
        return _classifier(config, found)
    if adapter.get("task_type") == "SEQ_CLS":
        return _refused("classifier", _CROSS, "an adapter for SEQ_CLS")
    text = next((text for head, text in _HEADS.items() if found.endswith(head)), None)
    return _refused(found, text + _TO_LAYERS, found) if text else None


def _classifier(config: dict[str, Any], found: str) -> ModelKind:
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    if "sentence_transformers" in config or "sbert_ce_default_activation_function" in config or count == 1:
        return _refused("cross-encoder", _CROSS, found)
    text = "is a classifier with {count} labels ({found}) or a cross-encoder, not trained to embed; " + _TO_LAYERS
    return _refused("classifier", text.replace("{count}", str(count)), found)


def _by_config(config: dict[str, Any]) -> ModelKind | None:
    """Read the transformers config."""
    family = str(config.get("model_type", ""))
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict):
        method = str(quantised.get("quant_method") or "unknown method")
        text = "is quantized ({found}): stored weights differ from those the layers compute with; use the original"
        return _refused("quantised", text, method)
    whole = config.get("is_encoder_decoder") is True or family in _WITH_DECODER.split()
    if whole and family not in _ENCODER_ONLY.split():
        text = (
            "is an encoder-decoder ({found}) whose vectors sentence-transformers takes from the decoder, not from "
            "the encoder's layers: use an encoder, or an encoder-decoder like T5 of which only the encoder is loaded"
        )
        return _refused("encoder-decoder", text, family or "unknown family")
    return None


def _encoder(modules: Sequence[SavedModule]) -> ModelKind:
    foreign = tuple(dict.fromkeys(module.type for module in modules if not module.type.startswith(_OWN_PREFIXES)))
    first = modules[0] if modules else None
    if first is None or first.type in foreign or first.name in ("Transformer", "CLIPModel"):
        return ModelKind(TRANSFORMER, "transformer", foreign=foreign)
    if first.name in _ROUTERS:
        return ModelKind(LAYERLESS, "router", foreign=foreign)
    return ModelKind(LAYERLESS, "static" if first.name in _STATIC else first.name, foreign=foreign)


def _refused(name: str, text: str, found: str) -> ModelKind:
    return ModelKind(REFUSED, name, text.replace("{found}", found))
