"""Cards of saved models: what was made from what, what was trained on what, and how a cut retrieves."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.layers.hookpoint import TOWERS
from surgery.cutting.blocks import CutModel
from surgery.cutting.towers import CutTower
from surgery.saving.files import read_settings
from surgery.saving.heads import OutputHead
from surgery.saving.origin import Origin, front_matter, read_origin

__all__ = ["usage", "write_card", "write_tower_card", "write_trained_card"]

_CARD_FILE = "README.md"

_CARD = """{metadata}
# {title}

Blocks {blocks} of the {original} blocks of `{source}`{revision}, pooled with `{pooling}`; {parameters:,} parameters.
{words} Every other tensor and the tokenizer are the original's; the longest input is {max_tokens} tokens.

{usage}

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

{scores}Made with encoder-surgery. A contrastively tuned encoder keeps its retrieval skill in its last layers: look at
the scores before you rely on a cut.
"""

_TOWER_CARD = """{metadata}
# {title}

Blocks {blocks} of the {original} blocks of the {tower} tower of `{source}`{revision}; {parameters:,} parameters in that
tower. The {other} tower is as it is there, and so are both towers' norms and projections, the tokenizer and the image
processor. Nothing was trained.{learned}

{usage}

Weights of the original: sha256 {weights}.

Made with encoder-surgery. A model of two towers keeps most of what they have in common in its last layers: look at the
scores before you rely on a cut.
"""


_TRAINED_CARD = """{metadata}
# {title}

{lead} Its weights were trained; {parameters:,} parameters. {prompts}

{steps}

{usage}

Made with encoder-surgery. No score was measured when it was saved: rank it beside the original before you rely on it.

{words}
"""

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
    """Return lines that run in a model's folder; `own` says that it has modules of this package."""
    if towers:
        return _TOWER_USAGE
    needs = "  # with encoder-surgery installed, which brings a module" if own else ""
    return _USAGE.format(needs=needs, options=", trust_remote_code=True" if own else "")


def _is_own(kind: str) -> bool:
    """Return whether a module, by its class, is this package's."""
    return kind.startswith(("surgery.", "adaptors."))


def write_trained_card(folder: Path, title: str, words: str, *, towers: bool = False) -> None:
    """Write README.md into a folder of ours anew, after its weights were trained.

    Args:
        folder: The folder; its files say what it was made of, and what was done to it.
        title: Heading.
        words: Section on the training, in Markdown.
        towers: Whether it is a model of two towers.
    """
    origin = read_origin(folder)
    settings = read_settings(folder, "config_sentence_transformers.json")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    text = _TRAINED_CARD.format(
        metadata=front_matter(origin, ("layer-pruning",) if len(origin.facts.get("blocks", ())) else ()),
        title=title,
        lead=_lead(origin),
        parameters=sum(_count(path) for path in folder.rglob("*.safetensors")),
        prompts="Prompts: {}.".format(
            ", ".join(f"{name} {text!r}" for name, text in (settings.get("prompts") or {}).items() if text) or "none"
        ),
        steps="\n".join(f"{number}. {_tell(step)}" for number, step in enumerate(origin.steps, start=1)),
        usage=usage(any(_is_own(module["type"]) for module in modules), towers),
        words=words.rstrip(),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def _lead(origin: Origin) -> str:
    """Say what a model was made of."""
    facts = origin.facts
    if parts := facts.get("fused"):
        return f"Several encoders as one, made of {', '.join(map(_name, parts))}."
    if blocks := facts.get("blocks"):
        tower = f" of the {facts['tower']} tower" if "tower" in facts else ""
        kept = f"Blocks {', '.join(map(str, blocks))} of the {facts['original_depth']} blocks{tower}"
        return f"{kept} of {_name(facts)}."
    return f"It began as {_name(facts)}."


def _name(facts: Mapping[str, Any]) -> str:
    """Return the name of an original: of a folder, without the path that it had here."""
    name = str(facts.get("from", "another model"))
    shown = Path(name).name if Path(name).is_absolute() else name
    return f"`{shown}`" + (f" at revision {facts['revision']}" if facts.get("revision") else "")


def _tell(step: Mapping[str, Any]) -> str:
    """Return a step in a sentence."""
    data = ", ".join(step.get("data", ())) or "its data"
    labels = step.get("labels", "none")
    how = "without labels" if labels == "none" else f"with the labels of {labels}"
    match step["did"]:
        case "healed":
            teacher = f" of `{step['teacher']}`" if step.get("teacher") else ""
            return f"Every weight was taught the full model's vectors{teacher} on the texts of {data}, {how}."
        case "tuned":
            return f"Weights were trained on the rows of {data}, {how}."
        case kind:
            return f"An adaptor (`{kind}`) was put on top, fitted to the texts of {data}, {how}."


def _count(path: Path) -> int:
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
        query=model.query_prompt,
        document=model.document_prompt,
        scores=head.scores and f"{head.scores.rstrip()}\n\n",
        usage=usage(own=any(_is_own(module.type) for module in head.top)),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def write_tower_card(model: CutTower, folder: Path) -> None:
    """Write README.md into the folder of a model of two towers, one of them cut."""
    text = _TOWER_CARD.format(
        **_origin(model, folder, f"{model.depth} of {model.original_depth} {model.tower} blocks"),
        tower=model.tower,
        other=next(tower for tower in TOWERS if tower != model.tower),
        learned=_learned(model),
        usage=usage(towers=True),
    )
    (folder / _CARD_FILE).write_text(text, encoding="utf-8")


def _origin(model: CutModel, folder: Path, what: str) -> dict[str, Any]:
    """Return what every card of a cut model says of its original, given its folder, where surgery.json is."""
    source = model.source
    return {
        "metadata": front_matter(read_origin(folder), ("layer-pruning",)),
        "title": f"{Path(source.hub_id or source.folder.resolve()).name}, {what}",
        "blocks": ", ".join(map(str, model.blocks)),
        "original": model.original_depth,
        "source": source.hub_id or source.folder.resolve().name,
        "revision": f" at revision {source.revision}" if source.revision else "",
        "parameters": model.parameters[-1],
        "weights": model.original_weights_hash,
    }


def _learned(model: CutModel) -> str:
    """Say what the weights had learned before; nothing, as a rule."""
    if not model.learned.seen:
        return ""
    labels = f" with the labels of {', '.join(model.learned.labels)}" if model.learned.labels else " without labels"
    return f" Its weights had been trained on {', '.join(name for name, _ in model.learned.seen)}{labels}."
