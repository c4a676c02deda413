"""Models and texts the benchmarks run on."""

import json
import os
from itertools import islice
from pathlib import Path

from probe.sources.loading import load_dataset

__all__ = ["Skipped", "dataset_name", "find_mpnet", "first_texts", "write_corpus", "write_tiny_model"]

_SCIFACT = Path(__file__).parent.parent.parent / "shared" / "data" / "scifact.zip"


def dataset_name() -> str:
    """Return SciFact where that set is at hand, else the docstrings."""
    return str(_SCIFACT) if _SCIFACT.exists() else "docstrings"


def first_texts(count: int) -> list[str]:
    """Return the first documents of the data set."""
    return [text for _, text in islice(load_dataset(dataset_name()).documents, count)]


class Skipped(Exception):
    """A benchmark whose inputs are not on this machine."""


def find_mpnet() -> str:
    """Return the folder of all-mpnet-base-v2, from the variable MPNET.

    Raises:
        Skipped: It is not there.
    """
    folder = Path(os.environ.get("MPNET", ""))
    if not (folder / "model.safetensors").is_file():
        raise Skipped("MPNET does not name the folder of all-mpnet-base-v2")
    return str(folder)


def write_tiny_model(folder: Path) -> Path:
    """Write a randomly initialised BERT of two blocks, 32 dimensions and 500 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *(f"w{i}" for i in range(500))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_corpus(folder: Path, documents: int, queries: int = 50) -> Path:
    """Write a data set of texts of at most 16 words."""
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as corpus:
        for i in range(documents):
            text = " ".join(f"w{(i * 31 + j * j * 7) % 500}" for j in range(4 + i % 13))
            corpus.write(json.dumps({"_id": f"d{i}", "text": text}) + "\n")
    asked = [json.dumps({"_id": f"q{i}", "text": f"w{i} w{i + 1}"}) for i in range(queries)]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    rows = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(queries))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows))
    return folder
