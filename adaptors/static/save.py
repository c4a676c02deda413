"""A static cut as a folder of plain sentence-transformers: its table, tokenizer, settings and card."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from adaptors.healing.held_out import Agreement
from adaptors.static.model import StaticModel
from probe.data.training_record import Learned, join_learned, write_learned
from probe.errors import check_type
from surgery.saving.cards import original_fields, usage
from surgery.saving.files import PROVENANCE, read_settings, write_json, write_modules
from surgery.saving.fresh_process import compare, embed_here, embed_in_fresh_process, embed_samples
from surgery.saving.origin import front_matter, inherit, read_origin
from surgery.saving.save import save_folder
from surgery.saving.weights import VectorChange, check_dtype, store_weights

__all__ = ["check_static_folder", "save_static", "write_static"]

# Maximum absolute difference, for values of about 1.
_TOLERANCE = 1e-6
_SAME_SPACE = "They are in the full model's space: queries embedded here can search documents embedded there."
_TRIMMED = """
The vocabulary was then trimmed from {full:,} to {tokens:,} tokens: a dropped one becomes several shorter ones. The
figures below are of all tokens."""
_LABELLED = """They were then mapped by a linear map that was trained on relevance labels of {labels}, so they are not
in the full model's space: documents have to be embedded here, too. The figures below are those before the map."""
_FEWER = "They were then projected to {width} of {full} dimensions; the figures below are of all dimensions."

_CARD = """{metadata}
# {title}

One vector per token of `{source}`{revision}, without any block: the vector of a text is the mean of its tokens'
vectors, scaled to length 1. {tokens:,} tokens of {width} dimensions; {parameters:,} parameters. No attention: the order
of words and their context change nothing, and there is no maximum input.

The vectors were fitted in closed form, without labels, to the full model's vectors of {texts:,} texts of {data}, which
have {seen_tokens:,} of its tokens; those of all other tokens follow from what the full model makes of each token alone.
{space}{trimmed}

| {held_out:,} texts against the full model | mean cosine | nearest neighbours in common |
|---|---|---|
| left out of a first fit | {unseen} |
| fitted to | {fitted} |

{usage}

Prompts: query {query!r}, document {document!r}. Weights of the original: sha256 {weights}.

{scores}Made with encoder-surgery. Texts of another kind or language lose more: check the scores on yours before you
rely on this model.
"""


def save_static(
    model: StaticModel,
    out: str | Path,
    *,
    force: bool = False,
    scores: str = "",
    check: Callable[[Path], object] | None = None,
    weights_dtype: str | None = None,
) -> Path:
    """Save a static cut as a folder that plain sentence-transformers loads.

    Args:
        model: The result of `fit_static`.
        out: Folder to create; it is written completely or not at all.
        force: Replace a folder written by an earlier save.
        scores: Retrieval scores for the model card, in Markdown.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Default:
            load the folder in this process and compare its vectors with the model's.
        weights_dtype: Store the table in `float16` or `bfloat16`; default: in float32. It is loaded in float32 all the
            same.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the dtype is unknown.
        ModelError: The files cannot be written, or give different vectors, or float16 cannot hold the table.
    """
    check_type("model", model, StaticModel, expected="the result of fit_static")
    compared = check or partial(check_static_folder, model=model)
    check_dtype(weights_dtype)

    def write(folder: Path) -> None:
        """Write the folder, with its table in the dtype."""
        write_static(model, folder, scores)
        store_weights(folder, weights_dtype)

    return save_folder(Path(out), write, force, check=compared)


def check_static_folder(folder: Path, model: StaticModel, *, fresh: bool = False) -> VectorChange:
    """Load a saved folder with plain sentence-transformers and compare its vectors with the model's.

    Args:
        folder: The saved folder.
        model: The saved model.
        fresh: Whether to load it in a separate process.

    Returns:
        How far the vectors differ.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    found = embed_in_fresh_process(folder, False) if fresh else embed_here(folder, False)
    return compare(embed_samples(model), found, _TOLERANCE, folder=folder)


def write_static(model: StaticModel, folder: Path, scores: str = "") -> None:
    """Write a static cut with its card into an empty folder."""
    teacher = model.teacher
    write_modules(folder, ["StaticEmbedding", "Normalize"])
    model.pipeline[0].save(str(folder))
    settings = read_settings(teacher.source.folder, "config_sentence_transformers.json")
    settings.pop("truncate_dim", None)
    prompts = {**(settings.get("prompts") or {}), "query": teacher.query_prompt, "document": teacher.document_prompt}
    settings = {**settings, "prompts": prompts, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", settings)
    origin = {"from": teacher.source.hub_id or str(teacher.source.folder.resolve()), **inherit(teacher.source)}
    facts = {**origin, "revision": teacher.source.revision, "static": model.facts.to_json()}
    write_json(folder / PROVENANCE, facts)
    labels = () if model.facts.labels == "none" else (model.facts.labels,)
    write_learned(join_learned([teacher.learned, Learned(labels, model.facts.data)]), folder)
    _write_card(model, folder, scores)


def _write_card(model: StaticModel, folder: Path, scores: str) -> None:
    source, facts, width = model.teacher.source, model.facts, model.table.shape[1]
    full = model.teacher.own_width or model.teacher.width
    text = _CARD.format(
        metadata=front_matter(read_origin(folder), ("static-embeddings",)),
        title=f"{Path(source.hub_id or source.folder.resolve()).name}, static",
        **original_fields(model.teacher),
        tokens=len(model.table),
        trimmed=_TRIMMED.format(full=facts.tokens, tokens=len(model.table)) if len(model.table) < facts.tokens else "",
        width=width,
        space=_describe_space(model, width, full),
        parameters=model.table.size,
        texts=facts.texts,
        data=", ".join(name for name, _ in facts.data),
        seen_tokens=facts.seen_tokens,
        held_out=facts.held_out,
        unseen=_cells(facts.unseen),
        fitted=_cells(facts.seen),
        usage=usage(),
        weights=model.teacher.weights_hash,
        scores=scores and f"{scores.rstrip()}\n\n",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _describe_space(model: StaticModel, width: int, full: int) -> str:
    if model.facts.labels != "none":
        return _LABELLED.format(labels=model.facts.labels)
    return _SAME_SPACE if width == full else _FEWER.format(width=width, full=full)


def _cells(found: Agreement) -> str:
    return f"{found.cosine:.3f} | {found.neighbours:.1%}"
