"""The texts of a search: those to train on, and queries to judge candidates with, none of them from the test split."""

from dataclasses import dataclass, replace

from adaptors.choosing.recommend import split_queries
from adaptors.fitting.data import FitSource, FitTexts, as_fit_texts
from probe.data.dataset import Dataset, refuse_images
from probe.data.sampling import SampleSize, draw_key, sample
from probe.data.texts import Texts
from probe.documents.known_items import take_sentence
from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.errors import CallError
from probe.formats.document import Block

__all__ = ["SlimData", "load_slim_data"]

# With fewer queries, their mean says nothing.
_FEWEST_QUERIES = 20
_MOST_QUERIES = 400
# With fewer judging queries an estimate is off by several percent, so more documents are worth their time.
_ENOUGH_QUERIES, _FACTORS = 100, (1, 2, 4)
# Words of a query where no sentence will do, and of a text that is long enough for one.
_SPAN, _FEWEST_WORDS = 8, 20
_KNOWN_ITEM = "known-item queries made of the documents: a sentence or some words find the rest of their document"


@dataclass(frozen=True)
class SlimData:
    """The texts of a search.

    Attributes:
        test: The data set of the final test; its queries and relevance labels are used once, at the end.
        fit: Texts to train on: the documents, and queries of another split that do not judge, perhaps with labels.
        judging: A sample of the documents with the judging queries.
        basis: The judging queries in words.
    """

    test: Dataset
    fit: FitTexts
    judging: Dataset
    basis: str


def load_slim_data(data: FitSource, documents: int) -> SlimData:
    """Choose the texts of a search.

    Args:
        data: A data set, or its name or path; or one with its training or development split.
        documents: Number of documents of the judging sample, unless too few queries find theirs among so many.

    Returns:
        The texts. The judging queries are half of those of the training or development split; without such a split
        they are sentences taken out of documents.

    Raises:
        CallError: There are neither enough queries nor enough documents to make some of.
    """
    given = as_fit_texts(data)
    test, other = given.corpus, given.train
    refuse_images(test, "slim")
    if other is not None and len(other.queries) >= 2 * _FEWEST_QUERIES:
        seen, judging = split_queries(other)
        drawn = _draw_judging(judging, documents)
        basis = f"{len(drawn.queries)} queries of {other.split} that no training has seen"
        return SlimData(test, FitTexts(test, seen, given.labels), drawn, basis)
    made = _make_known_items(test, documents)
    if len(made.queries) < _FEWEST_QUERIES:
        raise CallError(
            f"'{test.name}' has no train or dev split with {2 * _FEWEST_QUERIES} queries, and only {len(made.queries)} "
            f"of its {len(test.documents):,} documents are long enough to make one of (at least {_FEWEST_QUERIES} are "
            "needed): add relevance labels as qrels/dev.tsv, or more documents"
        )
    return SlimData(test, FitTexts(test, other, given.labels), made, f"{len(made.queries)} {_KNOWN_ITEM}")


def _draw_judging(judging: Dataset, documents: int) -> Dataset:
    """Return a sample of about so many documents, or up to four times as many where queries have many judged ones."""
    enough = min(_ENOUGH_QUERIES, len(judging.queries))
    for factor in _FACTORS:
        drawn = sample(judging, SampleSize(factor * documents, _MOST_QUERIES))
        if len(drawn.queries) >= enough:
            break
    return drawn


def _make_known_items(corpus: Dataset, count: int) -> Dataset:
    """Return a sample of the documents, some without a sentence that became their query."""
    drawn = sorted(sorted(corpus.documents, key=lambda one: draw_key(one[0], 0))[:count])
    terms = TermTable()
    for _, text in drawn:
        terms.add_passage(text)
    documents = dict(drawn)
    queries: dict[str, str] = {}
    for name, text in drawn:
        found = _take_part(name, text, terms) if len(queries) < _MOST_QUERIES else None
        if found is not None:
            documents[name], queries[f"? {name}"] = found
    return replace(
        corpus,
        documents=_as_texts(documents),
        queries=_as_texts(queries),
        qrels={query: {query.removeprefix("? "): 1} for query in queries},
        synthetic=_KNOWN_ITEM,
        shared_ids=None,
    )


def _take_part(name: str, text: str, terms: TermTable) -> tuple[str, str] | None:
    """Return a text without its most informative sentence, and the sentence; or without some words of its middle."""
    rest, found = take_sentence(Passage(name, "", (), (Block(text),), id=name), terms)
    if found:
        return rest.text, found[0].text
    words = text.split()
    if len(words) < _FEWEST_WORDS:
        return None
    start = (len(words) - _SPAN) // 2
    return " ".join([*words[:start], *words[start + _SPAN :]]), " ".join(words[start : start + _SPAN])


def _as_texts(texts: dict[str, str]) -> Texts:
    return Texts(tuple(texts), tuple(texts.values()))
