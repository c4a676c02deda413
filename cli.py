"""The commands `probe`, `surgery` and `adaptors`: parse, call one function, print its result."""

import functools
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from probe.errors import CallError, ProbeError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from probe.dataset import Dataset
    from probe.leaderboard import Leaderboard

__all__ = ["adaptors_app", "probe_app", "surgery_app"]

# The backslash keeps rich from reading brackets as markup.
_SPECS = "Encoders, written model\\[@layers]\\[:pooling]; the first is the baseline."
_FORMATS = ("table", "json", "csv", "markdown")
_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}

P = ParamSpec("P")
R = TypeVar("R")


def _app(help: str, example: str) -> typer.Typer:
    return typer.Typer(
        help=help,
        epilog=f"Example: {example}",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


probe_app = _app(
    "See what every layer of an encoder knows, ranked by retrieval score.",
    "probe layers --model minilm --dataset docstrings",
)
data_app = _app("Look at a data set, or build one from your own documents.", "probe data show docstrings")
surgery_app = _app("Change an encoder. This release has no surgery command yet.", "surgery --help")
adaptors_app = _app("Learn on top of an encoder. This release has no adaptor command yet.", "adaptors --help")
probe_app.add_typer(data_app, name="data")


@surgery_app.callback()
@adaptors_app.callback()
def no_command_yet() -> None:
    """Let an app without commands show its help."""


Model = Annotated[str, typer.Option("--model", "-m", help="Alias (see `probe models`), hub id or folder.")]
DatasetName = Annotated[str, typer.Option("--dataset", "-d", help="docstrings, a BEIR name, a BEIR folder or zip.")]
Layers = Annotated[str, typer.Option("--layers", help="all, 0-6 or 1,3,5; 0 = the embeddings.")]
Poolings = Annotated[str, typer.Option("--pooling", help="own, cls, last, max, mean; several with commas.")]
MetricName = Annotated[str, typer.Option("--metric", help="ndcg, map, recall, precision or mrr @ a cut-off.")]
Split = Annotated[str | None, typer.Option(help="Whose judgements to use; test, or the only one, when left out.")]
Limit = Annotated[int | None, typer.Option(help="Keep about so many documents; every judged one stays.")]
Dtype = Annotated[str, typer.Option(help="Of the matrix products: auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Seed = Annotated[int, typer.Option(help="Of the intervals and the paired tests.", min=0)]
MaxTokens = Annotated[int | None, typer.Option(help="Longest input; the model's own when left out.")]
QueryPrompt = Annotated[str | None, typer.Option(help="Put before queries; the model's own when left out.")]
DocumentPrompt = Annotated[str | None, typer.Option(help="Put before documents; the model's own when left out.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that the model's folder brings.")]
Baseline = Annotated[str | None, typer.Option(help="bm25 adds a BM25 row (needs the extra bm25).")]
Format = Annotated[str, typer.Option("--format", "-f", help="table, json, csv or markdown.")]
TableOrJson = Annotated[str, typer.Option("--format", "-f", help="table or json.")]
Save = Annotated[Path | None, typer.Option(help="Write a file as well; .json, .csv, .md or .txt says how.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def friendly(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command answer errors with a message on stderr and the right exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # Read when torch is imported: beside a busy process, spinning threads cost a third of the speed.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no Δ shows a question mark
                stream.reconfigure(errors="replace")
        try:
            return command(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise _failed("interrupted", 130) from None
        except Exception as error:
            if kwargs.get("debug"):
                raise
            if isinstance(error, ProbeError):
                raise _failed(str(error), error.exit_code) from error
            if isinstance(error, OSError):
                raise _failed(f"the system refused: {error}", 1) from error
            kind = type(error).__name__
            raise _failed(f"unexpected {kind}: {error} (a fault of ours: --debug shows where)", 1) from error

    return run


def _failed(message: str, exit_code: int) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(exit_code)


@probe_app.command(epilog="Example: probe layers --model minilm --dataset docstrings --layers 4-6 --pooling own,cls")
@friendly
def layers(
    model: Model = "minilm",
    dataset: DatasetName = "docstrings",
    layers: Layers = "all",
    pooling: Poolings = "own",
    metric: MetricName = "ndcg@10",
    split: Split = None,
    limit: Limit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    baseline: Baseline = None,
    format: Format = "table",
    save: Save = None,
    debug: Debug = False,
) -> None:
    """Rank every layer of a model by how well it retrieves, in one pass over the texts.

    A layer is probed by zero-shot retrieval: nothing is trained or fitted. The full model is always in the table.
    """
    _check_output(format, save)
    from probe.loading import LoadOptions, load_model
    from probe.metrics import Metric
    from probe.ranking import RankOptions, rank_layers
    from probe.reader import LayerReader

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), _wants_bm25(baseline)
    _say(f"loading {dataset} and {model}")
    with _working() as report:
        data = _load_data(dataset, split, limit)
        reader = LayerReader(load_model(model, options))
        ranking = RankOptions(ranked_by, seed, bm25, _command_line(), report)
        board = rank_layers(reader, data, layers, pooling.split(","), ranking)
    _emit(board, format, save)


@probe_app.command(epilog="Example: probe rank minilm@6:mean minilm@5:mean minilm@6:cls --dataset docstrings")
@friendly
def rank(
    specs: Annotated[list[str], typer.Argument(help=_SPECS)],
    dataset: DatasetName = "docstrings",
    metric: MetricName = "ndcg@10",
    split: Split = None,
    limit: Limit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    baseline: Baseline = None,
    format: Format = "table",
    save: Save = None,
    debug: Debug = False,
) -> None:
    """Rank any encoders side by side, each tested against the first one given.

    Layer left out = the last one, pooling left out = the model's own; minilm@all:mean and minilm@3,5 name several.
    """
    _check_output(format, save)
    from adaptors.resolve import resolve_specs
    from probe.loading import LoadOptions
    from probe.metrics import Metric
    from probe.ranking import RankOptions
    from probe.ranking import rank as rank_contestants

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), _wants_bm25(baseline)
    _say(f"loading {dataset} and the models of {', '.join(specs)}")
    with _working() as report:
        data = _load_data(dataset, split, limit)
        resolved = resolve_specs(specs, options)
        ranking = RankOptions(ranked_by, seed, bm25, _command_line(), report)
        board = rank_contestants(resolved.contestants, data, str(resolved.baseline), ranking)
    _emit(board, format, save)


@probe_app.command(epilog="Example: probe models")
@friendly
def models(format: TableOrJson = "table", debug: Debug = False) -> None:
    """List the aliases: hub id, pooling, prompts, longest input, and which are on this machine now."""
    _check_choice("--format", format, ("table", "json"))
    from probe.models_table import list_models, model_notes, models_table
    from probe.render import print_whole

    found = list_models()
    if format == "json":
        _print_json([vars(model) for model in found])
        return
    print_whole(models_table(found), _console())
    for line in model_notes(found):
        _console().print(line, markup=False)


@data_app.command(epilog="Example: probe data show docstrings")
@friendly
def show(
    dataset: Annotated[str, typer.Argument(help="docstrings, a BEIR name, a BEIR folder or zip.")],
    split: Split = None,
    format: TableOrJson = "table",
    debug: Debug = False,
) -> None:
    """Show what is in a data set: counts, judgements per query, lengths, an example, defects."""
    _check_choice("--format", format, ("table", "json"))
    from probe.data_summary import summarise, summary_table
    from probe.dataset import load_dataset

    summary = summarise(load_dataset(dataset, split))
    _print_json(vars(summary)) if format == "json" else _console().print(summary_table(summary))


@data_app.command(epilog="Example: probe data build README.md --out ./readme-data")
@friendly
def build(
    files: Annotated[list[Path], typer.Argument(help="Text, Markdown, JSONL or CSV files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the folder where it exists.")] = False,
    debug: Debug = False,
) -> None:
    """Make a BEIR data set of your own documents, with synthetic known-item queries; prints its folder."""
    from probe.documents import build_dataset

    built = build_dataset(files, out, force)
    _say(f"{built.documents} passages of {built.files} files, {built.queries} synthetic queries; next:")
    _say(f"probe layers --dataset {shlex.quote(str(built.folder))}")
    typer.echo(built.folder)


def _check_choice(option: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise CallError(f"unknown {option} '{value}': expected one of {', '.join(choices)}")


def _check_output(format: str, save: Path | None) -> None:
    """Refuse a wrong --format or --save before the work, not after it."""
    _check_choice("--format", format, _FORMATS)
    if save is None:
        return
    if save.suffix.lower() not in _SUFFIXES:
        raise CallError(f"--save '{save}': expected a file ending in {', '.join(_SUFFIXES)}")
    if save.is_dir():
        raise CallError(f"--save '{save}' is a folder: expected a file")
    if not save.parent.is_dir():
        raise CallError(f"--save '{save}': there is no folder '{save.parent}'; make it first")
    if not os.access(save if save.exists() else save.parent, os.W_OK):
        raise CallError(f"--save '{save}' cannot be written: permission denied")


def _load_data(name: str, split: str | None, limit: int | None) -> "Dataset":
    from probe.dataset import load_dataset

    data = load_dataset(name, split, limit)
    if limit is not None and len(data.documents) > limit:
        _say(f"--limit {limit} keeps {len(data.documents)} documents: every judged one stays")
    return data


def _wants_bm25(baseline: str | None) -> bool:
    if baseline is None:
        return False
    _check_choice("--baseline", baseline, ("bm25",))
    from probe.bm25 import check_bm25

    check_bm25()
    return True


def _command_line() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _console(**options: Any) -> "Console":
    from rich.console import Console

    return Console(highlight=False, **options)


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _emit(board: "Leaderboard", format: str, save: Path | None) -> None:
    if save is not None:
        _write_whole(save, _draw(board, _SUFFIXES[save.suffix.lower()]))
        _say(f"saved {save}")
    if format == "table":
        from probe.render import print_leaderboard

        print_leaderboard(board, _console())
    else:
        typer.echo(board.render(format), nl=False)


def _draw(board: "Leaderboard", format: str) -> str:
    if format != "table":
        return board.render(format)
    from probe.render import print_leaderboard

    text = io.StringIO()
    print_leaderboard(board, _console(file=text, width=200))
    return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
    """Write beside the file and rename, so that it is whole or not there."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise ProbeError(f"'{path}' cannot be written: {error}") from error


@contextmanager
def _working() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar with a rate per step on stderr, and keep libraries from writing between its lines."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=_console(stderr=True)) as bar:
        steps: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in steps or bar.tasks[steps[step]].finished:
                steps[step] = bar.add_task(step, total=total, rate="")
            task = bar.tasks[steps[step]]
            speed = task.finished_speed or task.speed
            bar.update(steps[step], advance=done, rate=f"{speed:.0f} texts/s" if speed else "")

        yield report
