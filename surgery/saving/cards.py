"""Cards of cut models: what was made from what, and how it retrieves."""

from pathlib import Path
from typing import Any

from probe.layers.hookpoint import TOWERS
from surgery.cutting.blocks import CutModel
from surgery.cutting.towers import CutTower
from surgery.saving.heads import OutputHead

__all__ = ["write_card", "write_tower_card"]

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


def write_card(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write README.md into the folder of a cut model with a head."""
    text = _CARD.format(
        **_origin(model, f"{model.depth} of {model.original_depth} blocks"),
        pooling=head.pooling,
        words=f"{head.words}{_learned(model)}",
        max_tokens=model.max_tokens,
        query=model.query_prompt,
        document=model.document_prompt,
        scores=head.scores and f"{head.scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_tower_card(model: CutTower, folder: Path) -> None:
    """Write README.md into the folder of a model of two towers, one of them cut."""
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
