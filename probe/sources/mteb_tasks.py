"""Retrieval tasks of mteb, loaded by mteb itself, with its rules for documents with the query's own id."""

from dataclasses import dataclass
from typing import Any

from probe.data.dataset import Dataset
from probe.data.qrels import Judgement, choose_split, judge
from probe.data.tables import commit_of, open_rows
from probe.errors import CallError, DataError, ProbeError, first_line
from probe.sources.assembly import IdRule, Parts, assemble, name_splits

__all__ = ["MTEB", "TaskTable", "read_task"]

MTEB = "mteb:"

_RETRIEVAL, _TEXT, _PLAIN = "Retrieval", "text", "default"
_LABELS = ("query-id", "corpus-id", "score")


@dataclass(frozen=True)
class TaskTable:
    """The documents or queries of a task.

    Attributes:
        task: Name of the task.
        subset: One of its subsets; `default` if it has none.
        split: One of its evaluation splits.
        part: `corpus` or `queries`.
    """

    task: str
    subset: str
    split: str
    part: str

    @property
    def label(self) -> str:
        """Task, part, subset and split."""
        subset = "" if self.subset == _PLAIN else f"{self.subset}, "
        return f"{self.task} {self.part} ({subset}{self.split})"

    def open(self) -> Any:
        """Return the table.

        Raises:
            CallError: If mteb is not installed.
            DataError: If it is neither cached nor can be downloaded.
        """
        return _load(self.task, self.subset, self.split)[self.part]


def read_task(text: str, split: str | None = None, *, drop_same_id: bool = False) -> Dataset:
    """Read a retrieval task of mteb.

    Args:
        text: Name of the task, and behind a slash its subset, such as a language.
        split: One of its evaluation splits; default: `test`, or the only one.
        drop_same_id: Whether to drop a document with the query's own id although mteb keeps it.

    Returns:
        The data set. mteb drops documents with the query's own id in some tasks, whatever their text, and keeps them in
        all others. Its texts are title and text, joined as everywhere here.

    Raises:
        CallError: If mteb is not installed, the task is no retrieval of texts, or task, subset or split do not exist.
        DataError: If it cannot be downloaded or is malformed.
    """
    name, _, wanted = text.partition("/")
    task = _find_task(name)
    subset = _choose_subset(task, wanted)
    shown = name_splits(list(task.metadata.eval_splits), evaluation=True)
    chosen = choose_split(list(shown), split, f"{MTEB}{text}")
    loaded = _load(name, subset, shown[chosen])
    _refuse_more_than_texts(loaded, name)
    tables = {part: TaskTable(name, subset, shown[chosen], part) for part in ("corpus", "queries")}
    parts = Parts(
        open_rows(tables["corpus"], loaded["corpus"]),
        open_rows(tables["queries"], loaded["queries"]),
        _read_labels(loaded["relevant_docs"], f"{name} relevance labels ({shown[chosen]})"),
    )
    drops = drop_same_id or task.ignore_identical_ids
    short = name if subset == _PLAIN else f"{name}/{subset}"
    rule = IdRule(drop=drops, keep=not task.ignore_identical_ids)
    return assemble(parts, short, chosen, rule=rule, source=_describe(task, short))


def _import() -> Any:
    try:
        import mteb
    except ImportError as error:
        raise CallError(f"'{MTEB}' needs mteb: pip install 'encoder-surgery[mteb]' ({error})") from error
    return mteb


def _find_task(name: str) -> Any:
    """Return a task of mteb's that ranks texts for texts, without its data."""
    mteb = _import()
    try:
        task = mteb.get_task(name)
    except KeyError as error:
        raise CallError(f"mteb has no task of this name: {str(error.args[0]).removeprefix('KeyError: ')}") from error
    about = task.metadata
    if about.type != _RETRIEVAL:
        raise CallError(f"'{MTEB}{name}' is a task of the type {about.type}: expected {_RETRIEVAL}")
    if task.is_aggregate:
        members = ", ".join(member.metadata.name for member in task.metadata.tasks)
        raise CallError(f"'{MTEB}{name}' is a mean over several tasks: expected one of {members}")
    if list(about.modalities) != [_TEXT] or task.skip_first_result:
        raise CallError(f"'{MTEB}{name}' is a retrieval of {', '.join(about.modalities)}: expected text alone")
    return task


def _choose_subset(task: Any, wanted: str) -> str:
    """Return the subset to load; a task with several has no default."""
    name, subsets = task.metadata.name, list(task.metadata.hf_subsets)
    if wanted in subsets or (not wanted and len(subsets) == 1):
        return wanted or subsets[0]
    if subsets == [_PLAIN]:
        raise CallError(f"'{MTEB}{name}' has no subsets: leave out /{wanted}")
    way = f"{MTEB}{name}/{subsets[0]}"
    raise CallError(f"'{MTEB}{name}' has the subsets {', '.join(subsets)}: expected one of them, as in {way}")


def _load(name: str, subset: str, split: str) -> Any:
    """Return corpus, queries, relevant_docs and top_ranked of a split."""
    multilingual = subset != _PLAIN
    try:
        task = _import().get_task(name, eval_splits=[split], hf_subsets=[subset] if multilingual else None)
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
        loaded = task.dataset[subset][split]
        _check_commit(task, loaded["corpus"])
        return loaded
    except ProbeError:
        raise
    except ConnectionError as error:
        raise DataError(f"{_not_here(name)}: {first_line(error)}") from error
    except Exception as error:  # every task has a loader of its own, and each raises its own types
        raise DataError(f"mteb cannot load '{name}' ({type(error).__name__}: {first_line(error)})") from error


def _not_here(name: str) -> str:
    return f"'{MTEB}{name}' is not in the cache, and the hub is unreachable"


def _check_commit(task: Any, corpus: Any) -> None:
    """Refuse a cached copy of another revision, which `datasets` takes if the hub is unreachable."""
    from mteb.abstasks import AbsTaskRetrieval

    about, found = task.metadata.dataset, commit_of(corpus)
    # Tasks with a loader of their own may read other repositories, too.
    if type(task).load_data is AbsTaskRetrieval.load_data and found and found != about["revision"]:
        raise DataError(f"{_not_here(task.metadata.name)}: the newest copy in the cache is {about['path']}@{found}")


def _refuse_more_than_texts(loaded: Any, name: str) -> None:
    """Refuse what mteb scores otherwise than by searching a corpus with the text of a query."""
    if loaded["top_ranked"]:
        raise CallError(f"'{MTEB}{name}' ranks given candidates of each query: expected a search of the whole corpus")
    if "instruction" in loaded["queries"].column_names:
        raise CallError(f"'{MTEB}{name}' has an instruction for each query: expected queries alone")


def _read_labels(labels: Any, label: str) -> list[Judgement]:
    rows = ((query, document, grade) for query, judged in labels.items() for document, grade in judged.items())
    return [judge(f"{label}, query {row[0]}", row, _LABELS) for row in rows]


def _describe(task: Any, short: str) -> str:
    """Return the address, with the repository and revision behind the task."""
    about = task.metadata.dataset
    return f"{MTEB}{short} ({about['path']}@{about['revision']})"
