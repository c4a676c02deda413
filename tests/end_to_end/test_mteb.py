"""mteb runs a task of its own on a cut folder, with local data, and agrees with our table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweeps import sweep

import surgery
from probe import rank
from probe.data.dataset import Dataset
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel
from surgery.cutting.cut import cut
from surgery.saving.save import save

mteb = pytest.importorskip("mteb", reason="mteb is not installed: extra 'dev'")


def make_task(dataset: Dataset) -> Any:
    """Return a retrieval task whose texts are in memory."""
    from datasets import Dataset as Table
    from mteb.abstasks import AbsTaskRetrieval

    described = {
        "name": "Tiny",
        "description": "Known-item retrieval over a few sentences.",
        "type": "Retrieval",
        "dataset": {"path": "local/tiny", "revision": "1"},
        "eval_splits": ["test"],
        "eval_langs": ["eng-Latn"],
        "main_score": "ndcg_at_10",
        "category": "t2t",
        "reference": None,
        "modalities": ["text"],
    }

    class Tiny(AbsTaskRetrieval):  # type: ignore[misc, unused-ignore]
        """The task."""

        metadata = mteb.TaskMetadata(**described)

        def load_data(self, **options: Any) -> None:
            """Take the texts from memory."""
            queries = [{"id": name, "text": text} for name, text in zip(*_columns(dataset.queries), strict=True)]
            corpus = [{"id": name, "title": "", "text": text} for name, text in dataset.documents]
            split = {
                "queries": Table.from_list(queries),
                "corpus": Table.from_list(corpus),
                "relevant_docs": dataset.qrels,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return Tiny()


def _columns(texts: Any) -> tuple[Any, Any]:
    return texts.ids, texts.texts


def test_mteb_scores_a_cut_folder_as_our_table_does(
    load_tiny: Callable[[str], LoadedModel], dataset: Dataset, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    model = load_tiny("bert")
    folder = save(cut(model, 2), tmp_path / "cut")
    plain = SentenceTransformer(str(folder), device="cpu")
    result = mteb.evaluate(plain, make_task(dataset), cache=None, show_progress_bar=False, co2_tracker=False)
    theirs = result.task_results[0].scores["test"][0]["ndcg_at_10"]
    metric = Metric("ndcg", 10)
    ours = sweep(LayerReader(model), select_hookpoints(model, "2"), dataset, [metric]).evaluations[0]
    assert theirs == pytest.approx(ours.mean(metric), abs=1e-3)
    assert theirs > 0


def test_mteb_sends_each_side_of_a_pair_to_its_route(
    tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    bert = str(tiny_folder("bert"))
    folder = surgery.save(surgery.pair(f"{bert}@2:cls", bert), tmp_path / "pair")
    plain = SentenceTransformer(str(folder), device="cpu")
    result = mteb.evaluate(plain, make_task(dataset), cache=None, show_progress_bar=False, co2_tracker=False)
    theirs = result.task_results[0].scores["test"][0]["ndcg_at_10"]
    board = rank([folder, f"{folder}@document", f"{folder}@query"], dataset)
    ours = {row.encoder.removeprefix(str(folder)): row.scores["ndcg@10"] for row in board.rows}
    assert theirs == pytest.approx(ours[""], abs=1e-3)
    assert len(set(ours.values())) == 3
