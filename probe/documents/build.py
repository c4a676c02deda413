"""Own documents to a data set in BEIR's format: corpus, queries and relevance labels in train, dev and test."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.documents.generated import open_generator
from probe.documents.intake import Intake, Progress, read_files, take_in
from probe.documents.making import MadeQueries, Making, make_queries
from probe.documents.passages import Passage
from probe.documents.queries import KINDS, Query, QueryKind
from probe.documents.query_log import read_query_log
from probe.documents.splits import split_queries
from probe.documents.token_count import open_counter
from probe.documents.write import is_built, write_dataset
from probe.errors import CallError, DataError, wrong_type
from probe.formats.document import Document, RecordFields
from probe.formats.files import find_files
from probe.formats.reading_report import ReadingReport
from probe.formats.registry import FORMATS
from probe.io.files import reason, replace_folder
from probe.io.package_data import product_version
from probe.io.publishing import stamp_of
from probe.sources.captioned_images import find_image_folder
from probe.store.spool import Spool, open_spool

__all__ = ["BuildOptions", "BuiltDataset", "build_dataset"]

_FEWEST_TOKENS = 16
# Kinds that leave the documents as they are: the default where there are own queries.
_HARMLESS: tuple[QueryKind, ...] = ("own", "question", "link", "generated")


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How documents become a data set.

    Attributes:
        patterns: Patterns as in `.gitignore`: only matching files of folders are read.
        fields: Columns of files with records.
        model: Model whose tokens the passages are measured in.
        max_tokens: Most tokens of a passage; default: the model's maximum input, at most 512.
        kinds: Kinds of queries to make. Default: all; with queries of your own, only those that change no document.
        queries: File of your own queries: text with one per line, CSV, TSV or JSON lines.
        generate: Text-to-text model that writes queries, such as a doc2query model.
        strict: Whether a file that cannot be read stops the build.
        respect_ignore: Whether files that `.gitignore` excludes are skipped.
        seed: Seed of the division into splits and of samples.
    """

    patterns: tuple[str, ...] = ()
    fields: RecordFields = field(default_factory=RecordFields)
    model: str = "minilm"
    max_tokens: int | None = None
    kinds: tuple[QueryKind, ...] | None = None
    queries: str | Path | None = None
    generate: str | None = None
    strict: bool = False
    respect_ignore: bool = True
    seed: int = 0


@dataclass(frozen=True)
class BuiltDataset:
    """Result of building a data set.

    Attributes:
        folder: The data set.
        report: Counts of files.
        intake: Counts of passages, duplicates and boilerplate.
        splits: Queries per split.
        divided_by: Whether documents or, where they are few, passages were divided into splits.
        made: Queries dropped as ambiguous, queries of your own, generated texts that were no queries.
    """

    folder: Path
    report: ReadingReport
    intake: Intake
    splits: Mapping[str, Sequence[Query]]
    made: MadeQueries
    divided_by: str = "document"

    @property
    def files(self) -> int:
        """Number of files read."""
        return self.report.files

    @property
    def documents(self) -> int:
        """Number of passages in the corpus."""
        return self.intake.passages

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len({query.text for queries in self.splits.values() for query in queries})

    def to_json(self) -> dict[str, Any]:
        """Return all counts."""
        return {
            "folder": str(self.folder),
            "files": self.files,
            **self.report.to_json(),
            "passages": self.documents,
            "exact_duplicates_dropped": self.intake.exact_duplicates,
            "near_duplicates": len(self.intake.near_duplicates),
            "boilerplate_dropped": self.intake.boilerplate,
            "boilerplate_examples": self.intake.boilerplate_examples,
            "id_clashes": self.intake.clashes,
            "ambiguous_queries_dropped": self.made.ambiguous,
            "splits_divided_by": self.divided_by,
            "unusable_generated": self.made.unusable,
            "own_queries_without_judgements": len(self.made.own.unjudged),
            "own_rows_with_unknown_documents": self.made.own.unknown,
            "queries": {split: dict(Counter(one.kind for one in queries)) for split, queries in self.splits.items()},
        }


def _silent(step: str, done: int, total: int) -> None:
    """Show nothing."""


def build_dataset(
    files: str | Path | Sequence[str | Path],
    out: str | Path,
    force: bool = False,
    *,
    options: BuildOptions | None = None,
    progress: Progress = _silent,
) -> BuiltDataset:
    """Convert documents into a data set in BEIR's format, with queries made from them.

    Files are split into passages by their structure. Queries are headings, link texts, questions of question-and-answer
    files, and sentences taken out of their passages; they are divided into train, dev and test by document.

    Args:
        files: Files, or folders with files; one or several.
        out: Output folder.
        force: Whether to replace an existing built data set.
        options: How to read and split.
        progress: Called with a step, the work done since the last call, and the total.

    Returns:
        Counts of what was read and written, and the queries.

    Raises:
        CallError: If a path is missing, nothing can be read, or `out` exists.
        DataError: If no passage lends a query, or a file cannot be read and `options.strict` is set.
    """
    options = options or BuildOptions()
    out, paths = Path(out), _as_paths(files)
    before = stamp_of(out)
    _check_out(out, paths, force)
    _refuse_images(paths)
    if options.max_tokens is not None and options.max_tokens < _FEWEST_TOKENS:
        raise CallError(f"--max-tokens {options.max_tokens} is out of range: expected {_FEWEST_TOKENS} or more")
    making = _prepare(options)
    counter = open_counter(options.model, options.max_tokens)
    found = list(find_files(paths, options.patterns, respect_ignore=options.respect_ignore))
    documents: Spool[Document]
    passages: Spool[list[Passage]]
    corpus: Spool[Passage]
    with open_spool(out.parent) as documents, open_spool(out.parent) as passages, open_spool(out.parent) as corpus:
        report, counts = read_files(found, options.fields, documents, strict=options.strict, progress=progress)
        _check_read(paths, report, options.patterns)
        intake = take_in(documents, counts, counter, spool=passages, progress=progress)
        made = make_queries(passages, intake, corpus, making=making, progress=progress)
        _check_made(made, intake, report)
        splits = split_queries(made.queries, options.kinds or KINDS, options.seed)
        built = BuiltDataset(out, report, intake, splits.queries, made, splits.by)
        facts = {"version": product_version(), "options": _facts(options, counter.limit), **built.to_json()}
        del facts["folder"]
        try:
            replace_folder(
                out,
                lambda folder: write_dataset(folder, corpus, splits.queries, facts=facts, unjudged=made.own.unjudged),
                before,
            )
        except OSError as error:
            raise DataError(f"'{out}' cannot be written: {reason(error)}") from error
    return built


def _prepare(options: BuildOptions) -> Making:
    """Open everything that queries are made with, before anything is read."""
    unknown = set(options.kinds or ()) - set(KINDS)
    if unknown:
        raise CallError(f"unknown kind of query '{min(unknown)}': expected some of {', '.join(KINDS)}")
    log = read_query_log(Path(options.queries)) if options.queries is not None else ()
    generator = open_generator(options.generate) if options.generate is not None else None
    kinds = options.kinds or (_HARMLESS if any(row.document for row in log) else KINDS)
    return Making(frozenset(kinds), log, generator, options.seed)


def _facts(options: BuildOptions, limit: int) -> dict[str, Any]:
    queries = None if options.queries is None else str(options.queries)
    return {**vars(options), "fields": vars(options.fields), "max_tokens": limit, "queries": queries}


def _as_paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [files] if isinstance(files, str | Path) else files
    if not isinstance(paths, Sequence) or not paths or not all(isinstance(path, str | Path) for path in paths):
        raise wrong_type("files", files, "a file or a folder, or a list of them")
    return [Path(path) for path in paths]


def _check_out(out: Path, paths: Sequence[Path], force: bool) -> None:
    """Raise if the output folder cannot be made: before anything is read."""
    parent = next(folder for folder in (out.parent, *out.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK) or not parent.is_dir():
        raise CallError(f"'{out}' cannot be written: no permission in '{parent}'; choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists():
        return
    if not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    if not is_built(out):
        raise CallError(f"'{out}' was not made by this command, so --force does not replace it: choose another --out")
    if any(path.resolve().is_relative_to(out.resolve()) for path in paths):
        raise CallError(f"'{out}' contains the input: choose another --out")


def _refuse_images(paths: Sequence[Path]) -> None:
    for path in paths:
        if find_image_folder(str(path)) is not None:
            raise CallError(f"'{path}' has images with captions and is already a data set: see probe data show {path}")


def _check_read(paths: Sequence[Path], report: ReadingReport, patterns: Sequence[str]) -> None:
    if report.files:
        return
    names = ", ".join(f"'{path}'" for path in paths[:3])
    if patterns and not any(one.detail for one in report.skipped.values() if "hidden" not in one.detail):
        raise CallError(f"no file in {names} matches {' or '.join(patterns)}: give another --glob")
    skipped = [f"{one.first}: {one.detail}" for one in report.skipped.values()][:3]
    known = ", ".join(one.name for one in FORMATS)
    found = f"skipped: {'; '.join(skipped)}" if skipped else "no files"
    raise CallError(f"nothing to read in {names}; {found}. Expected {known}")


def _check_made(made: MadeQueries, intake: Intake, report: ReadingReport) -> None:
    if not made.queries:
        raise DataError(
            f"none of {intake.passages} passages in {report.files} files lends a query: expected passages of 30 words "
            "or more in sentences, headings that name them, or a column of questions"
        )
