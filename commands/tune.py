"""The command `adaptors tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from commands.options import Debug, Force, NoStore, StoreFolder
from commands.progress import working
from commands.shell import friendly, open_store, say
from probe.errors import CallError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from adaptors.heal_texts import HealTexts
    from adaptors.healing import HealOptions
    from probe.encoder import Encoder
    from probe.store import Store

__all__ = ["tune"]

Heal = Annotated[
    bool, typer.Option("--heal", help="Teach a cut encoder the vectors of the full model, without any label.")
]
Cut = Annotated[Path, typer.Option("--model", "-m", help="Folder of a cut with a lens: `surgery cut --lens`.")]
Teacher = Annotated[str, typer.Option(help="The full model: alias, hub id or folder.")]
Data = Annotated[
    list[str], typer.Option("--dataset", "-d", help="Whose documents and training queries are read; several if named.")
]
Steps = Annotated[int, typer.Option(help="Batches.", min=1)]
Minutes = Annotated[
    float | None, typer.Option(help="Instead of --steps: as many batches as fit, by the time that some take.", min=0)
]
Batch = Annotated[int, typer.Option(help="Texts in a batch.", min=2)]
Tokens = Annotated[int | None, typer.Option(help="Longest text while training; the model's own when left out.", min=8)]
TrainSeed = Annotated[int, typer.Option("--seed", help="Of the order of the texts.", min=0)]
Rate = Annotated[float, typer.Option(help="Greatest learning rate.", min=0)]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")]
Checkpoints = Annotated[
    Path | None, typer.Option(help="Keep the training there, and take up one that was interrupted.")
]


@friendly
def tune(
    out: OutFolder,
    model: Cut,
    heal: Heal = False,
    teacher: Teacher = "minilm",
    dataset: Data = ["docstrings"],  # noqa: B006
    steps: Steps = 1000,
    minutes: Minutes = None,
    batch: Batch = 64,
    tokens: Tokens = None,
    rate: Rate = 5e-4,
    seed: TrainSeed = 0,
    checkpoints: Checkpoints = None,
    force: Force = False,
    store: StoreFolder = None,
    no_store: NoStore = False,
    debug: Debug = False,
) -> None:
    """Train an encoder itself: --heal teaches a cut one what the full model says of unlabelled text.

    The full model's vectors are read from the store and never computed twice. Prints the new folder.
    """
    if not heal:
        raise CallError("nothing says what to learn: pass --heal, which teaches a cut encoder the full model's vectors")
    from adaptors.healed_folder import check_student
    from adaptors.healing import HealOptions
    from surgery.folder import check_out

    check_out(out, force)
    check_student(model)
    kept = open_store(store, no_store)
    with working() as report:
        options = HealOptions(steps, batch, tokens, rate, seed, _is_fast(), checkpoints, report)
        texts, student, options = _prepare(model, (teacher, dataset), kept, options, minutes)
        from adaptors.healing import heal as heal_student

        losses = heal_student(student, texts, options)
    _save(student, texts, (model, out, force), f"{_words(teacher, texts, options)} {_told(losses)}")
    typer.echo(out)


def _prepare(
    model: Path, sources: tuple[str, list[str]], kept: "Store | None", options: "HealOptions", minutes: float | None
) -> "tuple[HealTexts, SentenceTransformer, HealOptions]":
    from dataclasses import replace

    from sentence_transformers import SentenceTransformer

    from adaptors.gathering import choose_texts
    from adaptors.heal_texts import gather_heal_texts
    from adaptors.healed_folder import trained_files
    from adaptors.healing import count_steps
    from probe.dataset import load_dataset
    from probe.opening import open_reader

    teacher, datasets = sources
    say(f"loading {', '.join(datasets)}, {teacher} and {model}")
    data = [choose_texts(name, load_dataset(name), "none") for name in datasets]
    texts = gather_heal_texts(open_reader(teacher, None, kept), data, kept, options.progress)
    student = SentenceTransformer(str(model), device="cpu")
    trained_files(student, model)  # what cannot be saved is not trained
    if minutes is not None:
        options = replace(options, steps=count_steps(student, texts, options, minutes))
        say(f"{minutes:g} minutes are about {options.steps} steps here: --steps {options.steps} repeats this training")
    return texts, student, options


def _save(student: "SentenceTransformer", texts: "HealTexts", where: tuple[Path, Path, bool], words: str) -> None:
    from adaptors.healed_folder import Healed, save_healed
    from surgery.fresh_check import check_encoder

    source, out, force = where
    say(f"saving {out} and checking it in a fresh process")
    healed = Healed(student, source, texts.seen, f"## Healed\n\n{words}\n")
    save_healed(healed, out, force, lambda folder: check_encoder(folder, cast("Encoder", student), trust=False))
    say(f"what it brought: probe rank {source} {out} --dataset D")


def _is_fast() -> bool:
    """Return whether this machine multiplies bfloat16 natively."""
    import torch

    from probe.device import pick_device, pick_dtype

    return pick_dtype("auto", pick_device("auto")) == torch.bfloat16


def _words(teacher: str, texts: "HealTexts", options: "HealOptions") -> str:
    names = ", ".join(name for name, _ in texts.seen)
    cut = f" of at most {options.tokens} tokens" if options.tokens else ""
    return (
        f"Every weight was then taught the vectors of `{teacher}` on {len(texts.texts):,} texts of {names}, without "
        f"labels: {options.steps:,} batches of {options.batch} texts{cut}, learning rate "
        f"{options.rate:g}, seed {options.seed}."
    )


def _told(losses: tuple[float, ...]) -> str:
    return f"The loss went from {losses[0]:.4f} to {losses[-1]:.4f}." if losses else ""
