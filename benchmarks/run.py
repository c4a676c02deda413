"""Run every benchmark, print the ratios and write them as JSON: `python -m benchmarks.run [FILE.json]`."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.timing import Comparison, compare, run_python
from probe.dataset import load_dataset
from probe.loading import LoadedModel, LoadOptions, load_model
from probe.reader import LayerReader

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
DOCUMENTS = 200
HELP = "from cli import probe_app; probe_app(['--help'])"


def start_up() -> Comparison:
    """`probe --help` against a bare start of Python."""
    alternatives = {"probe --help": lambda: run_python("-c", HELP), "python -c pass": lambda: run_python("-c", "pass")}
    return compare("start-up: probe --help / bare python", alternatives, rounds=9)


def sample_texts() -> list[str]:
    """Return the first SciFact documents where that set is at hand, else docstrings."""
    archive = SHARED / "scifact.zip"
    return list(load_dataset(str(archive) if archive.exists() else "docstrings").documents.texts[:DOCUMENTS])


def all_layers_against_last(dtype: str) -> Comparison:
    """All layers, cls and mean, in one pass against sentence-transformers' encode of the last layer in float32."""
    from sentence_transformers import SentenceTransformer

    model, texts = load_model("minilm", LoadOptions(dtype=dtype, device="cpu")), sample_texts()
    peer = SentenceTransformer(str(model.source.folder), device="cpu")
    alternatives = {
        f"all layers, {dtype}": read_all(model, texts),
        "sentence-transformers, last layer": lambda: peer.encode(texts, show_progress_bar=False),
    }
    return compare(f"all layers x (cls, mean), {dtype} / sentence-transformers' last layer", alternatives, rounds=3)


def hooks_against_none() -> Comparison:
    """All layers, cls and mean, against the last layer alone through the same reader."""
    model, texts = load_model("minilm", LoadOptions(dtype="float32", device="cpu")), sample_texts()
    reader, last = LayerReader(model), [(model.stack.depth, "mean")]
    alternatives = {"all layers": read_all(model, texts), "last layer": lambda: reader.read(texts, "", last)}
    return compare("all layers x (cls, mean) / last layer, same reader", alternatives, rounds=3)


def read_all(model: LoadedModel, texts: list[str]) -> Callable[[], object]:
    """Return an action that reads texts at every layer."""
    places = [(layer, pooling) for layer in range(model.stack.depth + 1) for pooling in ("cls", "mean")]
    reader = LayerReader(model)
    return lambda: reader.read(texts, "", places)


def main() -> None:
    """Run, print, save."""
    logging.disable(logging.WARNING)
    results = [start_up(), hooks_against_none(), all_layers_against_last("float32"), all_layers_against_last("auto")]
    for result in results:
        seconds = ", ".join(f"{label} {value:.3f} s" for label, value in result.medians().items())
        sys.stdout.write(f"{result.ratio():6.2f}  {result.name}  ({seconds})\n")
    if len(sys.argv) > 1:
        report = {r.name: {"ratio": r.ratio(), "seconds": r.seconds} for r in results}
        Path(sys.argv[1]).write_text(json.dumps({"threads": torch.get_num_threads(), "results": report}, indent=2))


if __name__ == "__main__":
    main()
