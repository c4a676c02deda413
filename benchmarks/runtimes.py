"""Folders in ONNX Runtime and OpenVINO beside sentence-transformers, exported and tokenized as docs/serve.md shows."""

import ast
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import surgery
from benchmarks.inputs import Skipped, dataset_name, first_texts
from benchmarks.timing import Comparison
from probe.metrics.vectors import Embeddings
from probe.models.sources import find_source
from probe.sources.loading import load_dataset

__all__ = ["other_runtimes"]

QUERIES, DOCUMENTS, ROUNDS = 30, 128, 5
KEPT_BLOCKS = 3
# OpenVINO would compute in bfloat16 where the processor can.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
PAGE = Path(__file__).parent.parent / "docs" / "serve.md"


@dataclass(frozen=True)
class Exported:
    """An exported folder as an encoder.

    Attributes:
        tokenize: Returns the inputs of the graph for texts.
        run: Returns vectors, given the inputs.
    """

    tokenize: Callable[[list[str]], dict[str, Any]]
    run: Callable[[dict[str, Any]], Embeddings]

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries: float32 `(N, D)`."""
        return self.run(self.tokenize(list(texts)))

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents: float32 `(N, D)`."""
        return self.run(self.tokenize(list(texts)))


def other_runtimes() -> Iterator[Comparison]:
    """MiniLM and its cut after three blocks, in all three runtimes in turn.

    Raises:
        Skipped: ONNX Runtime or OpenVINO is not installed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        short = surgery.save(surgery.cut("minilm", KEPT_BLOCKS), Path(scratch, "cut"))
        for name, folder in {"minilm": find_source("minilm").folder, f"after {KEPT_BLOCKS}": short}.items():
            yield from _compare(name, folder, Path(scratch, "graph.onnx"))


def _compare(name: str, folder: Path, file: Path) -> Iterator[Comparison]:
    from sentence_transformers import SentenceTransformer

    try:
        import onnxruntime
        import openvino
    except ImportError as error:
        raise Skipped(f"{error.name} is not installed: pip install 'encoder-surgery[dev]'") from error
    code = _read_page()
    code["export"](str(folder), str(file))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(file, "CPU", EXACT)

    def tokenize(texts: list[str]) -> dict[str, Any]:
        """Tokenize as the page does."""
        found: dict[str, Any] = code["tokenize"](str(folder), texts)
        return found

    encoders: dict[str, Any] = {
        "onnx": Exported(tokenize, lambda inputs: session.run(None, inputs)[0]),
        "openvino": Exported(tokenize, lambda inputs: compiled(inputs)[0]),
        "torch": SentenceTransformer(str(folder), device="cpu"),
    }
    queries = [text for _, text in islice(load_dataset(dataset_name()).queries, QUERIES)]
    vectors = {label: encoder.encode_document(queries) for label, encoder in encoders.items()}
    apart = {label: float(np.abs(found - vectors["torch"]).max()) for label, found in vectors.items()}
    speeds = surgery.measure_speed(encoders, queries, first_texts(DOCUMENTS), rounds=ROUNDS)
    rates = ", ".join(f"{label} {speed.docs_per_second:,.0f}" for label, speed in speeds.items())
    words = f"largest difference to torch: onnx {apart['onnx']:.0e}, openvino {apart['openvino']:.0e}"
    times = {label: list(speed.query_seconds) for label, speed in speeds.items()}
    peers = tuple(encoders)
    yield Comparison(f"runtimes, {name}, one query", times, {}, words=words, peers=peers)
    times = {label: list(speed.document_seconds) for label, speed in speeds.items()}
    words = f"documents per second: {rates}"
    yield Comparison(f"runtimes, {name}, {DOCUMENTS} documents", times, {}, words=words, peers=peers)


def _read_page() -> dict[str, Any]:
    """Return the functions of the example on the page, without its last lines, which use them."""
    blocks = [part.partition("\n```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]
    (block,) = [text for text in blocks if "torch.onnx.export" in text]
    defined = ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef
    body = [node for node in ast.parse(block).body if isinstance(node, defined) or _is_list(node)]
    names: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), str(PAGE), "exec"), names)
    return names


def _is_list(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
