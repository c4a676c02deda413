"""Assembly of a data set from its three parts: records of documents and queries, and relevance labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from probe.data.corpus import scan_corpus
from probe.data.dataset import Dataset, Defects
from probe.data.qrels import Judgement, build_qrels
from probe.data.records import Records, read_unique
from probe.data.texts import Texts
from probe.sources.beir_download import beir_documents

__all__ = ["IdRule", "Parts", "assemble", "name_splits", "read_queries"]


@dataclass(frozen=True)
class IdRule:
    """What happens to documents with the query's own id.

    Attributes:
        drop: Whether they are dropped even if their text differs. Always done for BEIR's published data sets
            (recognized by name and document count), as their published scores do it.
        keep: Whether they are kept even if their text is the same.
    """

    drop: bool = False
    keep: bool = False


@dataclass(frozen=True)
class Parts:
    """The parts of a data set.

    Attributes:
        corpus: Records of the documents.
        queries: Records of the queries; those without relevance labels are left out.
        judgements: Relevance labels of one split.
        defects: Collects non-fatal defects.
    """

    corpus: Records
    queries: Records
    judgements: Sequence[Judgement]
    defects: Defects = field(default_factory=Defects)


def assemble(parts: Parts, name: str, split: str, *, rule: IdRule, source: str = "") -> Dataset:
    """Return the data set of the parts; reads the corpus once, to the end.

    Raises:
        DataError: If a record is malformed, an id is not unique, or two labels contradict each other.
    """
    queries, made = read_queries(parts.queries, parts.defects)
    judged = {judgement.document for judgement in parts.judgements}
    scan = scan_corpus(parts.corpus, judged, dict(queries), defects=parts.defects)
    drop = rule.drop or (beir_documents(name) == len(scan.corpus) and not rule.keep)
    same = frozenset[str]() if rule.keep else scan.shared_ids.same
    dropped = frozenset(queries.ids) if drop else same
    qrels = build_qrels(parts.judgements, scan.judged, set(queries.ids), dropped=dropped, defects=parts.defects)
    return Dataset(
        name=name,
        split=split,
        documents=scan.corpus,
        queries=Texts.gather((query, text) for query, text in queries if query in qrels),
        qrels=qrels,
        synthetic=", ".join(sorted({made[query] for query in qrels if query in made})),
        defects=parts.defects.summarize(),
        drop_same_id=drop,
        keep_same_id=rule.keep,
        shared_ids=scan.shared_ids,
        source=source,
    )


def read_queries(records: Records, defects: Defects) -> tuple[Texts, dict[str, str]]:
    """Return all queries, and how each generated one was made.

    Raises:
        DataError: If a record is malformed or an id is not unique.
    """
    ids: list[str] = []
    texts: list[str] = []
    made: dict[str, str] = {}
    for location, _, record in read_unique(records):
        if not record["text"].strip():
            defects.add("empty queries", location)
        metadata = record.get("metadata")
        if isinstance(metadata, dict) and metadata.get("synthetic"):
            made[record["_id"]] = str(metadata["synthetic"])
        ids.append(record["_id"])
        texts.append(record["text"].strip())
    return Texts(tuple(ids), tuple(texts)), made


def name_splits(splits: Sequence[str], *, evaluation: bool) -> dict[str, str]:
    """Return the splits by the name they are shown under.

    The only split of a set made for evaluation is its test set, whatever its files call it: NanoBEIR's call it `train`.
    Under that name it could be taken for training data.
    """
    if evaluation and list(splits) == ["train"]:
        return {"test": "train"}
    return {split: split for split in splits}
