"""One pass over all layers, against one pass of the last layer and against a pass per layer."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.inputs import Skipped, dataset_name, find_mpnet, first_texts
from benchmarks.timing import Comparison, compare, run_python
from probe.encoding.reader import LayerReader
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions

__all__ = ["against_last_layer", "against_layer_by_layer", "arithmetic", "mpnet_against_last_layer", "whole_command"]

POOLINGS = ("cls", "mean")
PEER = "sentence-transformers, last layer, float32"
_PEER_ALIKE = "sentence-transformers, last layer, {dtype}"
_PEER_SCRIPT = """
import sys
from sentence_transformers import SentenceTransformer
from benchmarks.inputs import dataset_name, first_texts
SentenceTransformer(sys.argv[1], device="cpu").encode(first_texts(10**9), show_progress_bar=False)
"""


def against_last_layer() -> Iterator[Comparison]:
    """All layers x (cls, mean) against sentence-transformers' encode of the last layer, MiniLM x 1,000 documents."""
    yield from _against_last("minilm", 1000, {"float32": 0.94, "auto": 0.22})


def mpnet_against_last_layer() -> Iterator[Comparison]:
    """The same on all-mpnet-base-v2 x 200 documents, where MPNET names its folder."""
    yield from _against_last(find_mpnet(), 200, {"float32": 0.70, "auto": 0.18}, rounds=2)


def _against_last(name: str, documents: int, targets: dict[str, float], rounds: int = 3) -> Iterator[Comparison]:
    """Compare with the peer in float32 and, where this machine has a faster dtype, with the peer in that one."""
    texts = first_texts(documents)
    models = _load_dtypes(name)
    own = {f"all layers, {dtype}": read_all(model, texts) for dtype, model in models.items()}
    auto = [*models.values()][-1]
    dtype = auto.dtype
    alike = _PEER_ALIKE.format(dtype=str(dtype).removeprefix("torch."))
    peers = {label: encode_peer(auto, texts, one) for label, one in ((alike, dtype), (PEER, torch.float32))}
    for model in models.values():
        read_all(model, texts[:8])()
    title = f"{name.rpartition('/')[2]} x {documents}"
    guarded = () if alike == PEER else (alike,)
    found = compare(title, {**own, **peers}, _aims(targets, models), rounds, f"auto is {dtype}", guarded)
    yield found
    if alike != PEER:
        ours = "all layers, auto"
        yield Comparison(f"{title}, one dtype", {label: found.amounts[label] for label in (ours, alike)}, {ours: 0.94})


def against_layer_by_layer() -> Iterator[Comparison]:
    """All layers in one pass against one truncated model at a time, MiniLM x 200 documents, mean pooling alone."""
    texts = first_texts(200)
    models = _load_dtypes("minilm")
    alternatives = {f"all layers, {dtype}": read_all(model, texts) for dtype, model in models.items()}
    alternatives["one truncated model per layer, float32"] = _each_layer(models["float32"], texts)
    yield compare("minilm x 200", alternatives, _aims({"float32": 0.30, "auto": 0.08}, models))


def arithmetic() -> Iterator[Comparison]:
    """The rate of a large bfloat16 matrix product against ours end to end, tokenising and pooling included.

    Raises:
        Skipped: This processor has no bfloat16 arithmetic.
    """
    model = _load("minilm", "auto")
    if model.dtype != torch.bfloat16:
        raise Skipped("this processor has no bfloat16 arithmetic")
    texts = first_texts(300)
    reader = LayerReader(model)
    tokens = sum(int(batch.attention_mask.sum()) for batch in reader.prepare(texts, "").batches)
    operations = 2 * tokens * sum(p.numel() for p in model.stack.blocks.parameters())
    size = 2048
    left = torch.randn(size, size, dtype=torch.bfloat16)
    repeats = max(1, round(operations / (2 * size**3)))
    same_size = operations / (2 * size**3 * repeats)

    def multiply() -> None:
        for _ in range(repeats):
            left @ left

    done = compare(
        "bfloat16 arithmetic", {"a matrix product of the same size": multiply, "ours": read_all(model, texts)}, {}
    )
    words = "the share of the matrix product's rate that is left end to end; aim ≥ 0.45. Attention is not counted"
    products, ours = done.amounts
    amounts = {products: [value * same_size for value in done.amounts[products]], ours: done.amounts[ours]}
    yield Comparison(done.name, amounts, {}, words=words, more_is_better=True)


def whole_command() -> Iterator[Comparison]:
    """The whole command, imports included, against a script that only loads the model and encodes the documents."""
    folder = str(load_model("minilm").source.folder)
    arguments = ["layers", "--dataset", dataset_name(), "--pooling", "mean,cls", "--no-store"]
    command = f"from cli import probe_app; probe_app({arguments!r})"
    alternatives = {
        "probe layers": lambda: run_python("-c", command),
        "sentence-transformers script": lambda: run_python("-c", _PEER_SCRIPT, folder),
    }
    yield compare("whole command, all documents", alternatives, {"probe layers": 0.32}, rounds=1)


def _load(name: str, dtype: str) -> LoadedModel:
    return load_model(name, LoadOptions(dtype=dtype, device="cpu"))


def _load_dtypes(name: str) -> dict[str, LoadedModel]:
    """Return a model in float32 and, where `auto` is another dtype on this machine, in that one."""
    auto = _load(name, "auto")
    return {"float32": auto} if auto.dtype == torch.float32 else {"float32": _load(name, "float32"), "auto": auto}


def _aims(targets: dict[str, float], models: dict[str, LoadedModel]) -> dict[str, float]:
    return {f"all layers, {dtype}": target for dtype, target in targets.items() if dtype in models}


def read_all(model: LoadedModel, texts: list[str]) -> Callable[[], object]:
    """Return an action that reads texts at every layer."""
    places = [(layer, pooling) for layer in range(model.depth + 1) for pooling in POOLINGS]
    reader = LayerReader(model)
    return lambda: reader.read(texts, "", places)


def encode_peer(model: LoadedModel, texts: list[str], dtype: torch.dtype = torch.float32) -> Callable[[], object]:
    """Return an action that encodes texts with sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(model.source.folder), device="cpu", model_kwargs={"dtype": dtype})
    peer.encode(texts[:8], show_progress_bar=False)
    return lambda: peer.encode(texts, show_progress_bar=False)


def _each_layer(model: LoadedModel, texts: list[str]) -> Callable[[], object]:
    """Return an action that cuts sentence-transformers' model after each layer and encodes the texts with it."""
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(model.source.folder), device="cpu")
    encoder = peer[0].auto_model.encoder
    blocks = encoder.layer

    def encode() -> None:
        for depth in range(len(blocks) + 1):
            encoder.layer = nn.ModuleList(blocks[:depth])
            peer.encode(texts, show_progress_bar=False)
        encoder.layer = blocks

    return encode
