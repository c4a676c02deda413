"""The model card of a cut model: what was cut from what."""

from pathlib import Path

from surgery.cut import CutModel

__all__ = ["write_card"]

_CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, layer-pruning]
---

# {title}

Blocks {blocks} of the {original} blocks of `{source}`{revision}, pooled with `{pooling}`; {parameters:,} parameters.
Nothing was trained. Every other tensor and the tokenizer are the original's; the longest input is {max_tokens} tokens.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["..."])
documents = model.encode_document(["..."])
```

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

Made with encoder-surgery. A contrastively tuned encoder keeps its retrieval skill in its last layers: look at the
scores before you rely on a cut.
"""


def write_card(model: CutModel, folder: Path, pooling: str) -> None:
    """Write README.md into a saved model's folder.

    Args:
        model: The cut model.
        folder: Its folder.
        pooling: Its pooling.
    """
    source = model.source
    text = _CARD.format(
        title=f"{Path(source.hub_id or source.folder.resolve()).name}, {model.depth} of {model.original_depth} blocks",
        blocks=", ".join(map(str, model.blocks)),
        original=model.original_depth,
        source=source.hub_id or source.folder.resolve().name,
        revision=f" at revision {source.revision}" if source.revision else "",
        pooling=pooling,
        parameters=model.parameters[-1],
        max_tokens=model.max_tokens,
        query=model.query_prompt,
        document=model.document_prompt,
        weights=model.original_weights_hash,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
