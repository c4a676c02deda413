"""Save a model with fewer tokens: its files, its card and the check that its vectors are the original's."""

import json
import shutil
from pathlib import Path

from probe.metrics.vectors import Embeddings
from surgery.saving.cards import original_fields, usage
from surgery.saving.files import PROVENANCE, write_json
from surgery.saving.fresh_process import compare, embed_here, embed_in_fresh_process
from surgery.saving.origin import front_matter, read_origin
from surgery.saving.weights import VectorChange
from surgery.vocabulary.model import TrimmedModel

__all__ = ["check_trimmed", "write_trimmed_model"]

# Maximum absolute difference, for values of about 1: nothing but the numbers of the tokens is different.
_TOLERANCE = 1e-6

_CARD = """{metadata}
# {title}

`{source}`{revision} with {tokens} of its {original_tokens} tokens; {parameters:,} parameters instead of {before:,}.
Nothing was trained, and all other tensors are unchanged.

## Vocabulary

Kept are {kept}, besides special tokens, bytes and single characters:

{texts}

Texts whose tokens were all kept have the vectors of the original. In other texts, each dropped token becomes several
shorter ones, which moves the vector; no word becomes unknown that was not.

{loss}.

{usage}

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

{scores}Made with encoder-surgery. Texts of another kind or language need other tokens: check the scores on yours
before you rely on this model.
"""


def write_trimmed_model(model: TrimmedModel, folder: Path, scores: str = "") -> None:
    """Write a model with its card into an empty folder; `scores` are retrieval scores, in Markdown."""
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    facts = json.loads((folder / PROVENANCE).read_text("utf-8"))
    write_json(folder / PROVENANCE, {**facts, "vocabulary": model.facts.to_json()})
    source = model.profile.source
    text = _CARD.format(
        metadata=front_matter(read_origin(folder), ("vocabulary-trimming",)),
        title=f"{Path(source.hub_id or source.folder.resolve()).name}, {model.facts.tokens.after:,} tokens",
        **original_fields(model.profile),
        tokens=f"{model.facts.tokens.after:,}",
        original_tokens=f"{model.facts.tokens.before:,}",
        parameters=model.facts.parameters.after,
        before=model.facts.parameters.before,
        kept=_describe_kept(model),
        texts="\n".join(f"- {name}: {count:,} texts" for name, count in model.facts.texts.items()),
        loss=f"{model.facts.loss[0].upper()}{model.facts.loss[1:]}",
        usage=usage(),
        weights=model.profile.weights_hash,
        scores=scores and f"{scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _describe_kept(model: TrimmedModel) -> str:
    most = model.facts.keep_tokens
    return "all tokens of these texts" if most is None else f"the {most:,} most frequent tokens of these texts"


def check_trimmed(folder: Path, model: TrimmedModel, *, fresh: bool = False) -> VectorChange:
    """Load a saved folder with plain sentence-transformers and compare its vectors with the original's.

    Args:
        folder: The saved folder.
        model: The saved model.
        fresh: Whether to load it in a separate process.

    Returns:
        How far the vectors differ.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors for texts whose tokens were all kept.
    """
    trust, texts = model.profile.trust, model.samples
    found: Embeddings
    found = embed_in_fresh_process(folder, trust, texts=texts) if fresh else embed_here(folder, trust, texts)
    return compare(model.expected(), found, _TOLERANCE, folder=folder)
