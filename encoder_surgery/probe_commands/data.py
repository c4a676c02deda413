"""The commands of `probe data`."""

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import advanced, app, flag, friendly
from encoder_surgery.shell.output import FormatFlag, as_json, say
from encoder_surgery.shell.progress import working

if TYPE_CHECKING:
    from probe.documents.build import BuildOptions, BuiltDataset

__all__ = ["data_app"]

_EXAMPLES = 5


@friendly
def show(
    dataset: option.DatasetArgument = "docstrings",
    split: option.Split = None,
    model: Annotated[str, flag("Model whose maximum input documents are compared with.", "--model", "-m")] = "minilm",
    *,
    output: FormatFlag,
) -> None:
    """Show whether a data set can answer the question: power, kinds of query, lengths, duplicates, defects."""
    from probe.documents.token_count import open_counter
    from probe.errors import ProbeError
    from probe.experiments.data_inspection import inspect_dataset, inspection_rows
    from probe.experiments.data_summary import summarize, summary_table
    from probe.models.published_config import read_model_config
    from probe.models.sources import find_source
    from probe.sources.loading import load_dataset

    data = load_dataset(dataset, split)
    try:
        counter = open_counter(model, read_model_config(find_source(model).folder).max_tokens)
    except ProbeError as error:
        say(f"lengths are not compared with a model's input: {error}")
        counter = None
    count, longest = (counter.count, counter.limit) if counter else (None, 0)
    found = inspect_dataset(dataset, data, count=count, longest=longest)
    summary = summarize(data)
    shown = {**vars(summary), "inspection": asdict(found)}
    output.show(as_json(shown), lambda: [summary_table(summary, inspection_rows(found))])


@dataclass(frozen=True)
class BuildFlags:
    """How documents become a data set."""

    panel: ClassVar[str] = "Reading"

    glob: Annotated[
        list[str] | None, flag("Read only matching files of folders, as in .gitignore; several times.", "--glob")
    ] = None
    queries: Annotated[
        Path | None, flag("Your own queries: .txt, or .csv, .tsv, .jsonl with query and document (id or path).")
    ] = None
    generate: Annotated[str | None, flag("Text-to-text model that writes queries, such as a doc2query T5.")] = None
    kinds: Annotated[
        str | None,
        flag("Kinds of queries: own, question, heading, link, generated, sentence, keywords; comma-separated."),
    ] = None
    model: Annotated[str, flag("Model whose tokens the passages are measured in.", "--model", "-m")] = "minilm"
    max_tokens: Annotated[int | None, flag("Most tokens of a passage; default: what the model reads, up to 512.")] = (
        None
    )
    text_field: Annotated[str | None, flag("Column of the text, in CSV, JSON and Parquet files.")] = None
    title_field: Annotated[str | None, flag("Column of the title.")] = None
    id_field: Annotated[str | None, flag("Column of the id.")] = None
    strict: Annotated[bool, flag("Stop at the first file that cannot be read.", "--strict")] = False
    no_ignore: Annotated[bool, advanced("Read files that .gitignore excludes, too.", "--no-ignore")] = False
    seed: option.Seed = 0

    def options(self) -> "BuildOptions":
        """Return the options of the build."""
        from probe.documents.build import BuildOptions
        from probe.formats.document import RecordFields

        return BuildOptions(
            patterns=tuple(self.glob or ()),
            fields=RecordFields(self.text_field, self.title_field, self.id_field),
            queries=self.queries,
            generate=self.generate,
            kinds=None if self.kinds is None else tuple(kind.strip() for kind in self.kinds.split(",")),  # type: ignore[misc]
            model=self.model,
            max_tokens=self.max_tokens,
            strict=self.strict,
            respect_ignore=not self.no_ignore,
            seed=self.seed,
        )


@friendly
def build(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of them: Markdown, HTML, PDF, code, CSV, ...")],
    out: option.OutFolder = Path("my-data"),
    force: option.Force = False,
    *,
    flags: BuildFlags,
    output: FormatFlag,
) -> None:
    """Build a data set from your own documents, with queries made from them; prints its folder."""
    from probe.documents.build import build_dataset

    with working() as report:
        built = build_dataset(files, out, force, options=flags.options(), progress=report)
    for line in _describe(built):
        say(line)
    output.show(as_json(built.to_json()), lambda: [str(built.folder)])


def _describe(built: "BuiltDataset") -> Iterator[str]:
    """Yield what was read and made, some queries, and the next commands."""
    from probe.documents.write import is_synthetic

    yield from built.report.lines()
    intake = built.intake
    dropped = f"{intake.exact_duplicates} duplicates, {intake.boilerplate} repeated blocks"
    yield f"{built.documents} passages; left out: {dropped}, {built.report.dropped} pieces of navigation"
    if intake.near_duplicates:
        yield f"{len(intake.near_duplicates)} passages that nearly equal another lend no query"
    yield from _describe_own(built)
    if intake.clashes:
        yield f"warning: {len(intake.clashes)} ids occur twice; named by file and line instead: {intake.clashes[0]}"
    for split in ("train", "dev", "test"):
        if split in built.splits:
            kinds = Counter(query.kind for query in built.splits[split])
            yield f"{split}: {kinds.total()} queries ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})"
    if "train" not in built.splits:
        yield "warning: too few queries for train and dev: all are in test"
    elif built.divided_by == "passage":
        yield "few documents: train, dev and test have passages of the same ones"
    yield from _examples(built)
    if any(is_synthetic(query) for query in built.splits["test"]):
        yield "queries made by machine compare encoders; their scores do not measure your search"
    folder = shlex.quote(str(built.folder))
    yield f"next: probe data show {folder}; probe layers -d {folder}"


def _describe_own(built: "BuiltDataset") -> Iterator[str]:
    own = built.made.own
    if own.unknown:
        yield f"warning: rows of own queries with documents that are not here: {own.unknown} (first {own.example})"
    broad = sum(len(query.relevant) > 1 for query in own.judged)
    if broad:
        yield f"{broad} own queries name a file or document of several passages: each of them counts as relevant"
    if own.unjudged:
        yield f"{len(own.unjudged)} own queries without a document that answers them: written, and not scored"


def _examples(built: "BuiltDataset") -> Iterator[str]:
    queries = built.splits["test"]
    for query in queries[:: max(1, len(queries) // _EXAMPLES)][:_EXAMPLES]:
        yield f"  {query.kind}: {query.text} -> {query.relevant[0]}"


data_app = app(
    "Inspect a data set, or build one from your own documents.",
    "probe data show docstrings",
    {"probe data show docstrings": show, "probe data build README.md --out ./readme-data": build},
)
