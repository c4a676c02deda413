"""The texts of a fit: the corpora and training queries of one or several data sets."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from probe.data.dataset import Dataset, refuse_images
from probe.data.qrels import splits_overlap
from probe.data.sampling import SampleSize
from probe.errors import CallError, check_type
from probe.sources.loading import as_dataset, load_dataset
from probe.sources.several import expand

__all__ = [
    "FitSource",
    "FitTexts",
    "Positives",
    "as_fit_texts",
    "as_several",
    "as_several_texts",
    "find_positives",
    "find_training",
    "require_training",
    "select_fit_data",
    "several_texts",
]

_log = logging.getLogger(__name__)

# Splits that fits may use.
_TRAINING = ("train", "dev")
# Minimum share of a split's relevance labels; with fewer, "trained on that split" would be misleading.
_SMALLEST_SHARE = 0.1


@dataclass(frozen=True)
class FitTexts:
    """The texts an adaptor may be fitted to.

    Attributes:
        corpus: Data set whose documents are used; its queries and relevance labels are not.
        train: Training split of the same corpus, if any: its queries are used, never those of the test split.
        labels: Whether the relevance labels of `train` may be used.
    """

    corpus: Dataset
    train: Dataset | None = None
    labels: bool = False


# The texts of a fit, as they may be given: texts, a data set, or its name or path.
FitSource = str | Path | Dataset | FitTexts


def find_training(name: str, split: str, limit: int | SampleSize | None = None) -> Dataset | None:
    """Return a data set's training or development split other than the scored one, or None.

    A limit keeps about that many documents, with those that its queries have relevance labels for.
    """
    for other in _TRAINING:
        if splits_overlap(other, split):
            continue
        try:
            return load_dataset(name, other, limit)
        except CallError:
            _log.debug("%s has no %s split", name, other)
    return None


def require_training(name: str, split: str, limit: int | SampleSize | None = None, *, why: str) -> Dataset:
    """Return a data set's training or development split other than the scored one.

    Args:
        name: Name or path of the data set.
        split: Its scored split.
        limit: As in `find_training`.
        why: What needs the split; begins the message.

    Raises:
        CallError: It has none.
    """
    found = find_training(name, split, limit)
    if found is None:
        raise CallError(
            f"{why} needs a train or dev split of every data set other than the scored one, and '{name}' has none:\n"
            "add relevance labels of other queries as qrels/train.tsv or qrels/dev.tsv, or leave the data set out"
        )
    return found


def select_fit_data(name: str, corpus: Dataset, labels: str, *, limit: int | SampleSize | None = None) -> FitTexts:
    """Return the texts that adaptors may be fitted to.

    Args:
        name: Name or path of the data set.
        corpus: Its scored split.
        labels: `none`, or the split whose relevance labels may be used, `train` or `dev`.
        limit: Of the other split, as in `find_training`.

    Returns:
        The texts.

    Raises:
        CallError: The split does not exist, it is the scored one, or the data set has images.
    """
    check_type("corpus", corpus, Dataset, expected="the result of load_dataset")
    refuse_images(corpus, "an adaptor")
    if labels == "none":
        return FitTexts(corpus, find_training(name, corpus.split, limit))
    if labels not in _TRAINING or splits_overlap(labels, corpus.split):
        raise CallError(f"--labels {labels}: expected none, train or dev, and not the scored split ({corpus.split})")
    return FitTexts(corpus, load_dataset(name, labels, limit), labels=True)


def as_fit_texts(texts: FitSource, labels: str = "none") -> FitTexts:
    """Return the texts that adaptors may be fitted to, given a data set, or its name or path.

    Of a data set in memory only the documents are used, because its training split is unknown.

    Raises:
        CallError: It is not a data set, or the requested relevance labels are not available.
    """
    if isinstance(texts, FitTexts):
        if labels != "none" and not texts.labels:
            raise CallError(f"labels '{labels}': the texts were selected without: give them to select_fit_data")
        return texts
    dataset = as_dataset(texts)
    if isinstance(texts, str | Path):
        return select_fit_data(str(texts), dataset, labels)
    refuse_images(dataset, "an adaptor")
    if labels != "none":
        raise CallError(f"labels '{labels}': a data set in memory has no other splits: give its name or path")
    return FitTexts(dataset)


def several_texts(texts: FitTexts | Sequence[FitTexts]) -> tuple[FitTexts, ...]:
    """Return the texts of one or several data sets as a tuple.

    Raises:
        CallError: There are none, or they are something else.
    """
    several = (texts,) if isinstance(texts, FitTexts) else texts
    expected = "the result of select_fit_data, or a list of them"
    check_type("texts", several, Sequence, expected=expected)
    if not several:
        raise CallError(f"no texts to fit to: expected {expected}")
    for one in several:
        check_type("texts", one, FitTexts, expected=expected)
    return tuple(several)


def as_several_texts(texts: FitSource | Sequence[FitSource], labels: str = "none") -> tuple[FitTexts, ...]:
    """Return the texts of one or several data sets; the arguments are those of `as_fit_texts`.

    Raises:
        CallError: As in `as_fit_texts`, or there are none.
    """
    return several_texts([as_fit_texts(one, labels) for one in as_several(texts)])


def as_several(texts: FitSource | Sequence[FitSource]) -> list[FitSource]:
    """Return one or several texts as a list, collections in full; whether they are texts is checked when read."""
    given = [texts] if isinstance(texts, FitSource) or not isinstance(texts, Sequence) else list(texts)
    return [name for one in given for name in expand(one)]


@dataclass(frozen=True)
class Positives:
    """The relevant pairs of a training split.

    Attributes:
        pairs: Row of a query, row of a document of the corpus, and grade.
        shortage: A sentence on relevance labels that cannot be used; empty if all can.
    """

    pairs: list[tuple[int, int, int]]
    shortage: str


def find_positives(texts: FitTexts, train: Dataset, owner: str = "") -> Positives:
    """Return the relevant pairs of a training split of a corpus.

    Args:
        texts: The corpus.
        train: The split.
        owner: Begins messages; the data set, where there are several.

    Raises:
        CallError: Too few relevance labels are for documents in the corpus.
    """
    documents = {name: row for row, (name, _) in enumerate(texts.corpus.documents)}
    rows = {name: row for row, name in enumerate(train.queries.ids)}
    judged = [
        (rows[query], document, grade)
        for query, graded in train.qrels.items()
        for document, grade in graded.items()
        if grade > 0 and query in rows
    ]
    pairs = [(row, documents[document], grade) for row, document, grade in judged if document in documents]
    return Positives(pairs, _describe_shortage(texts, train.split, owner, kept=len(pairs), judged=len(judged)))


def _describe_shortage(texts: FitTexts, split: str, owner: str, *, kept: int, judged: int) -> str:
    """Return a sentence on how many relevance labels can be used, or an empty string if all can.

    Raises:
        CallError: Too few can be used for training.
    """
    if kept == judged:
        return ""
    why = "the rest are excluded by --limit" if texts.corpus.limited else "the rest are missing"
    found = f"{kept:,} of {judged:,} relevance labels of {split} are for documents in the corpus; {why}"
    if kept < _SMALLEST_SHARE * judged:
        way_out = "raise or remove --limit" if texts.corpus.limited else "complete the corpus"
        raise CallError(f"{owner}--labels {split}: {found}, too few to train on: {way_out}")
    _log.warning("%s--labels %s: %s", owner, split, found)
    return f"{owner}labels {split}: {found}"
