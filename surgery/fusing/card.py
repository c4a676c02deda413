"""The model card of a fused model: its hookpoints and the fusion method."""

from pathlib import Path

from surgery.fusing.model import FusedModel
from surgery.saving.cards import usage
from surgery.saving.origin import front_matter, read_origin

__all__ = ["write_fused_card"]

_CARD = """{metadata}
# {title}

A fusion of several hookpoints into one encoder of {width} dimensions, by `{method}`; the vectors of each hookpoint are
scaled to length 1 first. {words}

| model | layer | pooling | weight | query prompt | document prompt | maximum tokens |
|---|---|---|---|---|---|---|
{blocks}

{usage}

`encode_query` and `encode_document` use each member's own prompts; `encode` uses none. Each member is a complete model
in its own subfolder.

{scores}Made with encoder-surgery.
"""


def write_fused_card(model: FusedModel, folder: Path, words: str, *, scores: str) -> None:
    """Write README.md into the folder of a fused model.

    Args:
        model: The model.
        folder: Its folder, where surgery.json is.
        words: Sentence on the training on top.
        scores: Retrieval scores, in Markdown; may be empty.
    """
    profiles = {reader.model.source.name: reader.model for reader in model.readers}
    lines = []
    for point, share in zip(model.fusion.points, model.fusion.shares, strict=True):
        profile = profiles[point.model]
        name = profile.source.hub_id or profile.source.folder.resolve().name
        prompts = f"{profile.query_prompt!r} | {profile.document_prompt!r}"
        lines.append(f"| {name} | {point.layer} | {point.pooling} | {share:.3f} | {prompts} | {profile.max_tokens} |")
    text = _CARD.format(
        metadata=front_matter(read_origin(folder)),
        title=" + ".join(f"{Path(point.model).name}@{point.layer}:{point.pooling}" for point in model.fusion.points),
        width=model.width,
        words=words,
        method=model.fusion.method,
        blocks="\n".join(lines),
        usage=usage(own=True),
        scores=scores and f"{scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
