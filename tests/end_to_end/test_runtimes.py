"""A saved folder as one ONNX graph, exported as the page on serving shows: both runtimes give torch's vectors."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import ROOT, read_blocks
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import WORDS
from tiny_tuning import run_command

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: extra 'dev'")
openvino = pytest.importorskip("openvino", reason="openvino is not installed: extra 'dev'")

pytestmark = pytest.mark.usefixtures("quick_checks")

# Other numbers of texts and tokens than in the export; the last is cut.
TEXTS = [" ".join(WORDS[start : start + length]) for start, length in ((3, 1), (5, 4), (9, 7), (4, 60))]
LONGEST = 16
# Otherwise OpenVINO computes in bfloat16 where the processor can.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Return what the page's example defines; its last lines use it."""
    (block,) = [one for one in read_blocks(ROOT / "docs" / "serve.md") if "torch.onnx.export" in one.text]
    tree = ast.parse(block.text)
    names: dict[str, Any] = {}
    exec(compile(ast.Module(tree.body[:-3], []), "serve.md", "exec"), names)
    return names


CUTS = {
    "cut": ("bert", ["--after", 2]),
    "lens": ("bert", ["--after", 2, "--lens"]),
    "lens without a bias": ("bert", ["--after", 2, "--lens", "--no-bias"]),
    "cls": ("mpnet", ["--after", 1, "--pooling", "cls"]),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_folder_gives_the_same_vectors_in_other_runtimes(
    name: str, page: dict[str, Any], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    (family, options), folder, file = CUTS[name], tmp_path / "out", tmp_path / "out.onnx"
    data = ["-d", make_dataset(tmp_path / "data"), "--no-store"] if "--lens" in options else []
    made = run_command("cut", "-m", tiny_folder(family), *options, *data, "--out", folder, app="surgery")
    assert made.exit_code == 0, made.stderr
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = LONGEST
    expected = model.encode(TEXTS)
    page["export"](str(folder), str(file))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(file, "CPU", EXACT)
    for texts, wanted in ((TEXTS, expected), (TEXTS[1:2], expected[1:2])):
        inputs = page["tokenize"](str(folder), texts, LONGEST)
        np.testing.assert_allclose(session.run(None, inputs)[0], wanted, atol=1e-4)
        np.testing.assert_allclose(compiled(inputs)[0], wanted, atol=1e-4)
