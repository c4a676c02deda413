"""Model cards of saved models: origin, training data and retrieval scores."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.layers.hookpoint import TOWERS
from probe.models.info import ModelProfile
from surgery.cutting.blocks import CutModel
from surgery.cutting.towers import CutTower
from surgery.saving.files import read_settings
from surgery.saving.heads import OutputHead
from surgery.saving.origin import Origin, front_matter, read_origin

__all__ = ["count_values", "original_fields", "usage", "write_card", "write_tower_card", "write_trained_card"]

_CARD_FILE = "README.md"

_CARD = """{metadata}
# {title}

Blocks {blocks} of the {original} blocks of `{source}`{revision}, pooled with `{pooling}`; {parameters:,} parameters.
{words} All other tensors and the tokenizer are unchanged; the maximum input is {max_tokens} tokens.

{usage}

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

{scores}Made with encoder-surgery. In contrastively tuned encoders most of the retrieval quality comes from the last
layers: check the scores before you rely on a cut.
"""

_TOWER_CARD = """{metadata}
# {title}

Blocks {blocks} of the {original} blocks of the {tower} tower of `{source}`{revision}; {parameters:,} parameters in that
tower. The {other} tower, the norms and projections of both towers, the tokenizer and the image processor are unchanged.
Nothing was trained.{learned}

{usage}

Weights of the original: sha256 {weights}.

Made with encoder-surgery. The two towers of a model are aligned mostly in their last layers: check the scores before
you rely on a cut.
"""


_TRAINED_CARD = """{metadata}
# {title}

{lead} Its weights were trained; {parameters:,} parameters. {prompts}

{steps}

{usage}

Made with encoder-surgery. {scores}

{words}
"""

_UNSCORED = """No score was measured when the model was saved: compare it with the original
(`probe rank`) before you rely on it."""

_USAGE = """```python
from sentence_transformers import SentenceTransformer{needs}

model = SentenceTransformer("."{options})  # this folder, or its name on the hub
queries = model.encode_query(["What does the fifth layer know?"])
documents = model.encode_document(["Every layer of an encoder has an embedding.", "Snow fell on the river."])
print(model.similarity(queries, documents))
```"""

_TOWER_USAGE = """```python
from PIL import Image
from sentence_transformers import SentenceTransformer  # 6 or newer

model = SentenceTransformer(".")  # this folder, or its name on the hub
texts = model.encode(["a grey square", "a red bird"])
images = model.encode([Image.new("RGB", (64, 64), "grey")])
print(model.similarity(texts, images))
```"""


def usage(own: bool = False, towers: bool = False) -> str:
    """Return an example that runs in a model's folder; `own` for a model with modules of this package."""
    if towers:
        return _TOWER_USAGE
    needs = "  # needs encoder-surgery installed" if own else ""
    return _USAGE.format(needs=needs, options=", trust_remote_code=True" if own else "")


def _is_own(kind: str) -> bool:
    """Return whether a module class belongs to this package."""
    return kind.startswith(("surgery.", "adaptors."))


def write_trained_card(folder: Path, title: str, words: str, *, towers: bool = False, scores: str = _UNSCORED) -> None:
    """Rewrite README.md of a folder saved by this package after its weights were trained.

    Args:
        folder: The folder; surgery.json holds its origin and the training steps.
        title: Heading.
        words: Section on the training, in Markdown.
        towers: Whether it is a two-tower model.
        scores: Sentence on the scores that were measured.
    """
    origin = read_origin(folder)
    settings = read_settings(folder, "config_sentence_transformers.json")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    text = _TRAINED_CARD.format(
        metadata=front_matter(origin, ("layer-pruning",) if len(origin.facts.get("blocks", ())) else ()),
        title=title,
        lead=_lead(origin),
        parameters=sum(count_values(path) for path in folder.rglob("*.safetensors")),
        prompts="Prompts: {}.".format(
            ", ".join(f"{name} {text!r}" for name, text in (settings.get("prompts") or {}).items() if text) or "none"
        ),
        steps="\n".join(f"{number}. {_tell(step)}" for number, step in enumerate(origin.steps, start=1)),
        usage=usage(any(_is_own(module["type"]) for module in modules), towers),
        scores=scores,
        words=words.rstrip(),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def _lead(origin: Origin) -> str:
    """Return a sentence on the model's origin."""
    facts = origin.facts
    if parts := facts.get("fused"):
        return f"A fusion of several encoders: {', '.join(map(_name, parts))}."
    if blocks := facts.get("blocks"):
        tower = f" of the {facts['tower']} tower" if "tower" in facts else ""
        kept = f"Blocks {', '.join(map(str, blocks))} of the {facts['original_depth']} blocks{tower}"
        return f"{kept} of {_name(facts)}."
    return f"Trained from {_name(facts)}."


def _name(facts: Mapping[str, Any]) -> str:
    """Return the name of an original; for a folder, without its local path."""
    name = str(facts.get("from", "another model"))
    shown = Path(name).name if Path(name).is_absolute() else name
    return f"`{shown}`" + (f" at revision {facts['revision']}" if facts.get("revision") else "")


def _tell(step: Mapping[str, Any]) -> str:
    """Return a training step as a sentence."""
    data = ", ".join(step.get("data", ())) or "its data"
    labels = step.get("labels", "none")
    how = "without labels" if labels == "none" else f"with the labels of {labels}"
    match step["did"]:
        case "healed":
            teacher = f" of `{step['teacher']}`" if step.get("teacher") else ""
            return f"All weights were distilled from the full model's vectors{teacher} on the texts of {data}, {how}."
        case "tuned":
            return f"Weights were trained on the rows of {data}, {how}."
        case kind:
            return f"An adaptor (`{kind}`) was added on top, fitted to the texts of {data}, {how}."


def count_values(path: Path) -> int:
    """Return the number of values in a weight file."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def write_card(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write README.md into the folder of a cut model with a head."""
    text = _CARD.format(
        **_origin(model, folder, f"{model.depth} of {model.original_depth} blocks"),
        pooling=head.pooling,
        words=f"{head.words}{_learned(model)}",
        max_tokens=model.max_tokens,
        scores=head.scores and f"{head.scores.rstrip()}\n\n",
        usage=usage(own=any(_is_own(module.type) for module in head.top)),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def write_tower_card(model: CutTower, folder: Path) -> None:
    """Write README.md into the folder of a two-tower model with one tower cut."""
    text = _TOWER_CARD.format(
        **_origin(model, folder, f"{model.depth} of {model.original_depth} {model.tower} blocks"),
        tower=model.tower,
        other=next(tower for tower in TOWERS if tower != model.tower),
        learned=_learned(model),
        usage=usage(towers=True),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def original_fields(model: ModelProfile) -> dict[str, str]:
    """Return the fields of a card that say of which model another was made, and with which prompts."""
    source = model.source
    return {
        "source": source.hub_id or source.folder.resolve().name,
        "revision": f" at revision {source.revision}" if source.revision else "",
        "query": model.query_prompt,
        "document": model.document_prompt,
    }


def _origin(model: CutModel, folder: Path, depth: str) -> dict[str, Any]:
    """Return the fields on the original model that every card of a cut has; surgery.json is in the folder."""
    source = model.source
    return {
        "metadata": front_matter(read_origin(folder), ("layer-pruning",)),
        "title": f"{Path(source.hub_id or source.folder.resolve()).name}, {depth}",
        "blocks": ", ".join(map(str, model.blocks)),
        "original": model.original_depth,
        **original_fields(model),
        "parameters": model.parameters[-1],
        "weights": model.original_weights_hash,
    }


def _learned(model: CutModel) -> str:
    """Return a sentence on the weights' earlier training with this package; usually empty."""
    if not model.learned.seen:
        return ""
    labels = f" with the labels of {', '.join(model.learned.labels)}" if model.learned.labels else " without labels"
    return f" Its weights were trained earlier on {', '.join(name for name, _ in model.learned.seen)}{labels}."
