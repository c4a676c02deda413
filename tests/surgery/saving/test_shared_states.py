"""States of a model serve its cuts, its copies and the fusions it is part of: the store asks for tensors, not names."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import change_json

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import RunContext, prompted_documents, read_states
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.layers.hookpoint import LayerPooling
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.store.store import Store
from surgery.cutting.cut import cut
from surgery.fusing.folder import save as save_fused
from surgery.fusing.model import fuse
from surgery.saving.save import save

PLAIN = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture
def filled(tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    read(open_reader(str(tiny_folder("bert")), PLAIN, store), dataset, [(k, "mean") for k in range(4)], store)
    return store


def read(reader: LayerReader, dataset: Dataset, wanted: list[LayerPooling], store: Store) -> None:
    list(read_states(reader, prompted_documents(reader, dataset), wanted, context=RunContext(store)))


def encodes(folder: str, dataset: Dataset, wanted: LayerPooling, store: Store) -> bool:
    """Return whether a text has to pass through the model."""
    reader = open_reader(folder, PLAIN, store)
    ran: list[object] = []
    run = reader.run
    reader.run = lambda *args, **kwargs: ran.append(args) or run(*args, **kwargs)  # type: ignore
    read(reader, dataset, [wanted], store)
    return bool(ran)


def test_a_cut_finds_the_layer_it_was_cut_at(
    filled: Store, tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    out = save(cut(load_model(str(tiny_folder("bert")), PLAIN), 2), tmp_path / "cut")
    assert not encodes(str(out), dataset, (2, "mean"), filled)
    assert encodes(str(out), dataset, (2, "cls"), filled)


def test_a_copy_in_another_folder_finds_everything(
    filled: Store, tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder("bert"), tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("of no matter")
    assert not encodes(str(tmp_path / "copy"), dataset, (3, "mean"), filled)


def test_a_fused_folder_finds_what_its_members_had(
    filled: Store, tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    name = str(tiny_folder("bert"))
    out = save_fused(fuse([f"{name}@1:mean", f"{name}@2:mean"], options=PLAIN), str(tmp_path / "fused"))
    member = next(path for path in Path(out).iterdir() if path.is_dir())
    assert not encodes(str(member), dataset, (2, "mean"), filled)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: change_json(folder / "config.json", hidden_act="relu"),
        lambda folder: change_json(folder / "sentence_bert_config.json", max_seq_length=7),
        lambda folder: change_json(folder / "sentence_bert_config.json", do_lower_case=True),
        lambda folder: change_json(folder / "tokenizer_config.json", truncation_side="left"),
    ],
    ids=["activation", "longest input", "lower case", "tokenizer"],
)
def test_a_setting_that_changes_a_vector_has_it_encoded_again(
    change: Callable[[Path], None],
    filled: Store,
    tiny_folder: Callable[[str], Path],
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_folder("bert"), tmp_path / "copy")
    change(tmp_path / "copy")
    assert encodes(str(tmp_path / "copy"), dataset, (3, "mean"), filled)
