"""Folders in the forms that people have: pipelines of every make, saved by sentence-transformers itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from own_rows import TEXTS
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer import modules as made
from sentence_transformers.sentence_transformer.modules import Pooling
from tiny_families import WIDTH, write_family
from tiny_models import PROMPTS, change_json, randomise
from torch import nn

__all__ = ["PIPELINES", "FolderForm", "write_pipeline"]

# Between the lines of a file that only a long text reaches: a model without a limit would take it whole.
_ENDLESS = (*TEXTS, "gold and salt over the lake of ice " * 90)


@dataclass(frozen=True)
class FolderForm:
    """A form of folder, and what is to come of it.

    Attributes:
        write: Writes it into a folder.
        own: What comparing the bare spec gives: `equal` or `refused`.
        cut: What comparing a cut gives, reloaded in plain sentence-transformers; None where nothing is cut.
        says: What a refusal has to mention, in small letters.
        trust: Whether the folder's code may run.
        texts: What to embed.
        after: Where a cut ends.
    """

    write: Callable[[Path], object]
    own: str = "equal"
    cut: str | None = "equal"
    says: str = ""
    trust: bool = False
    texts: Sequence[str] = TEXTS
    after: int = 2


def write_pipeline(
    folder: Path, modules: Sequence[nn.Module], family: str = "bert", *, changes: Any = None, **settings: Any
) -> Path:
    """Write a tiny model with modules after it, as sentence-transformers saves them.

    Args:
        folder: Where to.
        modules: What comes after the transformer; weights are drawn anew.
        family: Of what family the transformer is.
        changes: Values of its config.
        settings: What a `SentenceTransformer` is given: prompts, similarity, dimensions.

    Returns:
        The folder.
    """
    bare = folder.with_name(f"{folder.name}-bare")
    write_family(bare, family, **(changes or {}))
    for number, module in enumerate(modules):
        randomise(module, seed=number)
    model = SentenceTransformer(modules=[Transformer(str(bare)), *modules], device="cpu", **settings)
    model.save(str(folder), create_model_card=False)
    return folder


def _pipeline(*build: Callable[[], nn.Module], **settings: Any) -> Callable[[Path], object]:
    return lambda folder: write_pipeline(folder, [make() for make in build], **settings)


def _pool(*modes: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: Pooling(WIDTH, modes if len(modes) > 1 else modes[0], **settings)  # type: ignore[arg-type]


def _dense(activation: nn.Module | None = None, before: int = WIDTH, after: int = 8, **settings: Any) -> Any:
    return lambda: Dense(before, after, activation_function=activation or nn.Tanh(), **settings)


def _weighted() -> nn.Module:
    return made.WeightedLayerPooling(WIDTH, num_hidden_layers=3, layer_start=1)


def _router(folder: Path, apart: bool) -> None:
    """Routes for queries and documents, that share the transformer or have one each."""
    bare = [
        write_family(folder.with_name(f"{folder.name}-{i}"), "bert", hidden_act=("gelu", "relu")[i]) for i in (0, 1)
    ]
    first, second = (Transformer(str(path)) for path in bare)
    routes = Router.for_query_document([first, Pooling(WIDTH)], [second if apart else first, Pooling(WIDTH, "cls")])
    SentenceTransformer(modules=[routes], device="cpu").save(str(folder), create_model_card=False)


def _routed_head(folder: Path) -> None:
    """One transformer, and routes after its pooling."""
    heads = [Dense(WIDTH, 8, activation_function=nn.Identity()) for _ in range(2)]
    for number, head in enumerate(heads):
        randomise(head, seed=number)
    write_pipeline(folder, [Pooling(WIDTH), Router.for_query_document([heads[0]], [heads[1]])])


def _static(folder: Path) -> None:
    bare = write_family(folder.with_name(f"{folder.name}-bare"), "bert")
    tokenizer: Any = Transformer(str(bare)).tokenizer
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[made.StaticEmbedding(tokenizer, embedding_dim=WIDTH)], device="cpu")
    model.save(str(folder), create_model_card=False)


def _bag_of_words(folder: Path) -> None:
    model = SentenceTransformer(modules=[made.BoW(["gold", "wind", "heart"])], device="cpu")
    model.save(str(folder), create_model_card=False)


def _pooler(folder: Path) -> None:
    """The vector is what BERT's own pooler gives; there is no pooling after it."""
    write_pipeline(folder, [Normalize()])
    way = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
    change_json(folder / "sentence_bert_config.json", modality_config=way, module_output_name="sentence_embedding")


def _sized(cut: str | None = "equal", **sizes: Any) -> FolderForm:
    """A folder whose sentence_bert_config.json says more."""

    def write(folder: Path) -> None:
        write_pipeline(folder, [Pooling(WIDTH)], prompts=PROMPTS)
        change_json(folder / "sentence_bert_config.json", **sizes)

    return FolderForm(write, cut=cut)


def _state(number: int) -> dict[str, Any]:
    return {"text": {"method": "forward", "method_output_name": ["hidden_states", number]}}


def _other_output(way: dict[str, Any], name: str) -> FolderForm:
    form = _sized(modality_config=way, module_output_name=name)
    return replace(form, own="refused", cut=None, says="modality_config")


def _expanding(strategy: str, **more: Any) -> FolderForm:
    form = _sized(query_expansion={"strategy": strategy, "length": 12, **more})
    return replace(form, own="refused", cut=None, says="expand")


def _form(
    *build: Callable[[], nn.Module], own: str = "equal", cut: str | None = "equal", **settings: Any
) -> FolderForm:
    return FolderForm(_pipeline(*build, **settings), own, cut)


_MEAN = _pool("mean")
_PROMPTED = {"prompts": {"query": "cold wind: ", "document": "salt: "}}
_LONG = {"changes": {"max_position_embeddings": 512}}

PIPELINES: dict[str, FolderForm] = {
    # Poolings.
    **{f"pool-{mode}": _form(_pool(mode)) for mode in Pooling.POOLING_MODES},
    "pool-cls+mean": _form(_pool("cls", "mean")),
    "pool-mean+max+last": _form(_pool("mean", "max", "lasttoken")),
    "pool-all": _form(_pool(*Pooling.POOLING_MODES)),
    **{f"promptless-{mode}": _form(_pool(mode, include_prompt=False), **_PROMPTED) for mode in Pooling.POOLING_MODES},
    "two-poolings": _form(_MEAN, _pool("cls")),
    "last-layers-weighted": _form(_weighted, _MEAN, own="either", cut="either", changes={"output_hidden_states": True}),
    # What comes after the pooling, or before it.
    "no-pooling-head": _form(_MEAN),
    "normalize": _form(_MEAN, Normalize),
    "dense-tanh": _form(_MEAN, _dense()),
    "dense-identity": _form(_MEAN, _dense(nn.Identity())),
    "dense-gelu": _form(_MEAN, _dense(nn.GELU())),
    "dense-leaky": _form(_MEAN, _dense(nn.LeakyReLU())),
    "dense-relu-wider": _form(_MEAN, _dense(nn.ReLU(), after=40)),
    "dense-no-bias": _form(_MEAN, _dense(bias=False)),
    "dense-residual": _form(_MEAN, _dense(use_residual=True)),
    "dense-residual-square": _form(_MEAN, _dense(after=WIDTH, use_residual=True)),
    "two-denses": _form(_MEAN, _dense(nn.GELU()), _dense(nn.Identity(), 8, 4)),
    "normalize-dense": _form(_MEAN, Normalize, _dense(nn.Identity())),
    "dense-normalize": _form(_MEAN, _dense(nn.Identity()), Normalize),
    "normalize-dense-normalize": _form(_MEAN, Normalize, _dense(nn.Identity()), Normalize),
    "layer-norm": _form(_MEAN, lambda: made.LayerNorm(WIDTH)),
    "dropout": _form(_MEAN, made.Dropout, Normalize),
    "everything": _form(
        _pool("cls", "mean"),
        made.Dropout,
        _dense(nn.GELU(), 2 * WIDTH),
        lambda: made.LayerNorm(8),
        Normalize,
        **_PROMPTED,
    ),
    "cls-dense": _form(_pool("cls"), _dense()),
    "dense-on-tokens": _form(_dense(nn.Identity(), module_input_name="token_embeddings"), lambda: Pooling(8)),
    "normalize-on-tokens": _form(lambda: Normalize("token_embeddings"), _MEAN),
    "lstm": _form(lambda: made.LSTM(WIDTH, 6), lambda: Pooling(12), own="refused", cut=None),
    "cnn": _form(lambda: made.CNN(WIDTH, 4), lambda: Pooling(12), own="either", cut="either"),
    # Similarity, dimensions, prompts.
    **{
        f"similarity-{name}": _form(_MEAN, similarity_fn_name=name)
        for name in ("cosine", "dot", "euclidean", "manhattan")
    },
    "dot-normalize": _form(_MEAN, Normalize, similarity_fn_name="dot"),
    "truncated": _form(_MEAN, truncate_dim=5),
    "truncated-normalize": _form(_MEAN, Normalize, truncate_dim=5),
    "truncated-dense": _form(_MEAN, _dense(), truncate_dim=5),
    "prompts": _form(_MEAN, prompts=PROMPTS),
    "prompts-with-null": _form(_MEAN, prompts={"query": "salt: ", "document": None}),
    "prompts-of-tasks": _form(_MEAN, prompts={"search_query": "salt: ", "clustering": "wind: "}),
    "prompts-passage": _form(_MEAN, prompts={"query": "salt: ", "passage": "wind: "}),
    "prompt-default": _form(_MEAN, prompts={"wind": "wind: "}, default_prompt_name="wind"),
    "prompt-default-beside": _form(_MEAN, prompts={**PROMPTS, "wind": "wind: "}, default_prompt_name="wind"),
    # Settings of the transformer.
    "query-length": _sized(query_length=6, document_length=9),
    "processing": _sized(processing_kwargs={"text": {"max_length": 7}}),
    "processing-no-truncation": _sized(processing_kwargs={"text": {"padding": "max_length", "max_length": 20}}),
    "tokenizer-truncation-side": _sized(tokenizer_args={"truncation_side": "left"}, max_seq_length=8),
    "tokenizer-length": _sized(tokenizer_args={"model_max_length": 9}),
    "processor-kwargs": _sized(processor_kwargs={"model_max_length": 9, "truncation_side": "left"}),
    "config-activation": _sized(config_args={"hidden_act": "relu"}),
    "config-depth": replace(_sized(config_args={"num_hidden_layers": 2}, cut="either"), after=1),
    "model-attention": _sized(model_args={"attn_implementation": "eager"}),
    "model-dtype": _sized(model_kwargs={"dtype": "float32"}),
    "lower-case": FolderForm(
        lambda folder: (
            write_pipeline(folder, [Pooling(WIDTH)], "bert-cased"),
            change_json(folder / "sentence_bert_config.json", do_lower_case=True),
        )
    ),
    "max-null": _sized(max_seq_length=None),
    "max-minus-one": replace(_sized(max_seq_length=-1), own="refused", cut=None),
    "max-one": replace(_sized(max_seq_length=1), own="refused", cut=None, says="max_seq_length"),
    "max-two": replace(_sized(max_seq_length=2), own="refused", cut=None, says="max_seq_length"),
    "max-beyond-positions": _sized(max_seq_length=400),
    "other-state": _other_output(_state(-2), "token_embeddings"),
    "first-state": _other_output(_state(1), "token_embeddings"),
    "pooler-output": FolderForm(_pooler, "either", "either"),
    "query-expansion": _expanding("fixed", attend=True),
    "query-expansion-unseen": _expanding("min"),
    "masked-language-task": FolderForm(
        lambda folder: (
            write_pipeline(folder, [Pooling(WIDTH)]),
            change_json(folder / "sentence_bert_config.json", transformer_task="fill-mask"),
        ),
        "refused",
        None,
    ),
    "no-limit": FolderForm(
        lambda folder: write_pipeline(folder, [Pooling(WIDTH)], "t5-endless"),
        texts=_ENDLESS,
    ),
    # Other kinds of pipelines.
    "router-two-models": FolderForm(lambda folder: _router(folder, apart=True), "equal", "refused"),
    "router-one-model": FolderForm(lambda folder: _router(folder, apart=False), "equal", "refused"),
    "router-head": FolderForm(_routed_head, "either", "either"),
    "static": FolderForm(_static, "either", "refused"),
    "bag-of-words": FolderForm(_bag_of_words, "either", "refused"),
}
