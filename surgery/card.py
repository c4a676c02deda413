"""Model cards: what was made from what, and how it retrieves."""

from pathlib import Path
from typing import Any

from probe.hookpoint import TOWERS
from surgery.cutting import CutModel
from surgery.finish import Finish
from surgery.fusing import FusedModel
from surgery.tower_cutting import CutTower

__all__ = ["write_card", "write_fused_card", "write_tower_card"]

_CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, layer-pruning]
---

# {title}

Blocks {blocks} of the {original} blocks of `{source}`{revision}, pooled with `{pooling}`; {parameters:,} parameters.
{words} Every other tensor and the tokenizer are the original's; the longest input is {max_tokens} tokens.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["..."])
documents = model.encode_document(["..."])
```

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

{scores}Made with encoder-surgery. A contrastively tuned encoder keeps its retrieval skill in its last layers: look at
the scores before you rely on a cut.
"""

_TOWER_CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, layer-pruning]
---

# {title}

Blocks {blocks} of the {original} blocks of the {tower} tower of `{source}`{revision}; {parameters:,} parameters in that
tower. The {other} tower is as it is there, and so are both towers' norms and projections, the tokenizer and the image
processor. Nothing was trained.{learned}

```python
from PIL import Image
from sentence_transformers import SentenceTransformer  # 6 or newer

model = SentenceTransformer("path/to/this/folder")
texts = model.encode(["..."])
images = model.encode([Image.open("path/to/an/image")])
```

Weights of the original: sha256 {weights}.

Made with encoder-surgery. A model of two towers keeps most of what they have in common in its last layers: look at the
scores before you rely on a cut.
"""

_FUSED_CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction]
---

# {title}

Several hookpoints as one encoder of {width} dimensions, joined by `{method}`; every block is scaled to length 1 first.
{words}

| block | layer | pooling | weight | query prompt | document prompt | longest input |
|---|---|---|---|---|---|---|
{blocks}

```python
from sentence_transformers import SentenceTransformer  # with encoder-surgery installed, which brings the module

model = SentenceTransformer("path/to/this/folder", trust_remote_code=True)
queries = model.encode_query(["..."])
documents = model.encode_document(["..."])
```

`encode_query` and `encode_document` put every member's own prompt before the text; plain `encode` puts none. Each
member is a folder of its own, and an ordinary model.

{scores}Made with encoder-surgery.
"""


def write_card(model: CutModel, folder: Path, finish: Finish) -> None:
    """Write README.md into a saved model's folder.

    Args:
        model: The cut model.
        folder: Its folder.
        finish: What comes after the blocks.
    """
    text = _CARD.format(
        **_origin(model, f"{model.depth} of {model.original_depth} blocks"),
        pooling=finish.pooling,
        words=f"{finish.words}{_learned(model)}",
        max_tokens=model.max_tokens,
        query=model.query_prompt,
        document=model.document_prompt,
        scores=finish.scores and f"{finish.scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_tower_card(model: CutTower, folder: Path) -> None:
    """Write README.md into the folder of a model of two towers, one of them cut.

    Args:
        model: The cut tower.
        folder: The folder of both.
    """
    text = _TOWER_CARD.format(
        **_origin(model, f"{model.depth} of {model.original_depth} {model.tower} blocks"),
        tower=model.tower,
        other=next(tower for tower in TOWERS if tower != model.tower),
        learned=_learned(model),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _origin(model: CutModel, what: str) -> dict[str, Any]:
    """Return what every card of a cut model says of its original."""
    source = model.source
    return {
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


def write_fused_card(model: FusedModel, folder: Path, words: str, scores: str) -> None:
    """Write README.md into a fused model's folder.

    Args:
        model: The fused model.
        folder: Its folder.
        words: What was trained on top, if anything.
        scores: How it retrieves, in Markdown; may be empty.
    """
    profiles = {reader.model.source.name: reader.model for reader in model.readers}
    lines = []
    for point, share in zip(model.fusion.points, model.fusion.shares, strict=True):
        profile = profiles[point.model]
        name = profile.source.hub_id or profile.source.folder.resolve().name
        prompts = f"{profile.query_prompt!r} | {profile.document_prompt!r}"
        lines.append(f"| {name} | {point.layer} | {point.pooling} | {share:.3f} | {prompts} | {profile.max_tokens} |")
    text = _FUSED_CARD.format(
        title=" + ".join(f"{Path(point.model).name}@{point.layer}:{point.pooling}" for point in model.fusion.points),
        width=model.width,
        words=words,
        method=model.fusion.method,
        blocks="\n".join(lines),
        scores=scores and f"{scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
