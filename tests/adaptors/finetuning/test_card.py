"""A tuned encoder's card tells how it was trained: all of it, and nothing that is not so."""

import hashlib
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_lines
from tiny_tuning import make_pairs, write_pairs

from adaptors.finetuning.card import describe_tuning, trained_on
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import Round
from adaptors.rows.hard_negatives import MineOptions
from adaptors.rows.load import load_tuning_data
from adaptors.training.epochs import Epoch, best_epoch, describe_choice, epochs_section
from encoder_surgery.shell.output import show_epochs

ROWS = make_pairs()
KEPT = Round(24, ())


def epochs(*scores: float) -> tuple[Epoch, ...]:
    return tuple(Epoch(number, 0.1, None, {32: score}) for number, score in enumerate(scores))


def losses(*found: float) -> tuple[Epoch, ...]:
    return tuple(Epoch(number, 0.1, loss, {}) for number, loss in enumerate(found))


GUIDED = Goal("gist", ("collapse-guard",), LossOptions(0.1, guide="minilm", weight=0.5))
SHORT = Schedule(4, 16, 0.001, 0.2, 64, 7, True)

WORDS: dict[str, tuple[TuneOptions, str]] = {
    "all weights": (TuneOptions(), "All weights were trained on rows (24 labelled rows)."),
    "one block": (
        TuneOptions(scope=Scope(last_blocks=1)),
        "The weights of the last block and of the modules after them were",
    ),
    "some blocks": (
        TuneOptions(scope=Scope(last_blocks=2, layer_decay=0.9)),
        "The weights of the last 2 blocks and of the modules after them, with layer-wise learning-rate decay 0.9, were "
        "trained",
    ),
    "low rank": (TuneOptions(scope=Scope(lora=4)), "LoRA matrices of rank 4 in the linear maps of every block"),
    "the loss": (TuneOptions(), "Loss: `infonce` (mean of -log("),
    "the guide": (
        TuneOptions(GUIDED),
        "inside `collapse-guard` (L + w mean of max(0, 1 - spread/floor) over rows and columns of the cosines), guide "
        "minilm, temperature 0.1, weight 0.5.",
    ),
    "the tokens": (
        TuneOptions(schedule=SHORT),
        "Batches of 16 rows of texts of at most 64 tokens, at most 4 epochs, peak learning rate 0.001, warm-up 0.2, "
        "seed 7, matrix products in bfloat16.",
    ),
    "the model's own tokens": (
        TuneOptions(),
        "Batches of 32 rows, at most 3 epochs, peak learning rate 2e-05, warm-up 0.1, seed 0.",
    ),
    "the cross-encoder": (TuneOptions(cross_encoder="judge"), " The cross-encoder `judge` scored the rows. "),
    "mined": (
        TuneOptions(rounds=1, mining=MineOptions(3, 10, 50, 0.05)),
        "3 hard negatives per pair, mined again in each of 1 rounds (24 rows) at ranks 11 to 50, scored at most 95% of "
        "the lowest positive's score.",
    ),
    "mined above the positives": (
        TuneOptions(rounds=1, mining=MineOptions(relative_margin=-0.5)),
        "scored at most 150% of the lowest positive's score.",
    ),
}


@pytest.mark.parametrize(("options", "words"), WORDS.values(), ids=WORDS)
def test_the_card_tells_every_option(options: TuneOptions, words: str) -> None:
    card = describe_tuning(ROWS, options, [KEPT])
    assert card.startswith("## Tuned\n\n")
    assert words in card
    for other, (_, theirs) in WORDS.items():
        if other in ("the cross-encoder", "mined", "the guide") and theirs != words:
            assert theirs not in card


CHOICES = {
    "nothing held out": ([KEPT], "No rows were held out: the last epoch was saved."),
    "queries": (
        [Round(20, epochs(0.1, 0.5, 0.4))],
        "The highest nDCG@10 of held-out queries (20% of all queries, not trained on) chose the epoch: 1.",
    ),
    "the beginning": ([Round(20, epochs(0.9, 0.5))], "not trained on) chose the epoch: 0."),
    "two rounds": (
        [Round(20, epochs(0.1, 0.2, 0.4)), Round(19, epochs(0.4, 0.3))],
        "The highest nDCG@10 of held-out queries (20% of all queries, not trained on) chose the epoch: 2, 0.",
    ),
    "labels that are scores": (
        [Round(20, losses(0.5, 0.4, 0.2, 0.3))],
        "The lowest loss on rows of held-out queries (20% of all queries, not trained on) chose the epoch: 2.",
    ),
}


@pytest.mark.parametrize(("rounds", "words"), CHOICES.values(), ids=CHOICES)
def test_the_card_says_what_chose_the_epochs(rounds: list[Round], words: str) -> None:
    card = describe_tuning(ROWS, TuneOptions(hold_out=0.2), rounds)
    assert words in card
    assert card.count("chose the epoch") + card.count("No rows were held out") == 1


def test_every_epoch_is_a_line_of_the_card_and_of_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    found = (Epoch(0, None, None, {32: 0.25}), Epoch(1, 0.123456, None, {32: 0.5}))
    assert epochs_section(found) == (
        "\n## Training\n\n"
        "| epoch | train loss | held-out loss | nDCG@10 32 |\n| ---: | ---: | ---: | ---: |\n"
        "| 0 | – | – | 0.2500 |\n| 1 | 0.12346 | – | 0.5000 |\n"
    )
    assert epochs_section(()) == ""
    show_epochs(found)
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line and line[0] in "01"] == [
        ["0", "–", "–", "0.2500"],
        ["1", "0.12346", "–", "0.5000"],
    ]


def test_what_a_training_won_is_said() -> None:
    assert (
        describe_choice(epochs(0.1, 0.5, 0.4))
        == "held-out nDCG@10: 0.1000 before training, 0.5000 after epoch 1 (kept)"
    )
    assert "no epoch improved on the start (held-out nDCG@10 0.5000)" in describe_choice(epochs(0.5, 0.5))
    assert describe_choice(losses(0.5, 0.2)) == "held-out loss: 0.5000 before training, 0.2000 after epoch 1 (kept)"
    assert describe_choice(()) == ""
    assert best_epoch(losses(float("nan"), 0.2)) == 1


def test_only_of_a_data_set_the_card_knows_whose_judgements_were_looked_at(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "tiny")
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "q1\td1\t1"])
    known, unknown = load_tuning_data(str(folder)), load_tuning_data(str(write_pairs(tmp_path / "pairs.jsonl")))
    cards = [describe_tuning(data, TuneOptions(), [KEPT]) for data in (known, unknown)]
    assert cards[0].endswith(" No relevance labels were read except those of the split train.\n")
    assert cards[1].endswith(" No relevance labels were read except those of the file.\n")
    assert "test" not in cards[1]


def test_what_was_seen_is_the_corpus_of_a_data_set_or_the_bytes_of_a_file(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "tiny")
    write_lines(folder / "qrels" / "dev.tsv", ["query-id\tcorpus-id\tscore", "q1\td1\t1"])
    data = load_tuning_data(str(folder), "dev")
    found = trained_on(data)
    assert data.corpus is not None
    assert (found.kind, found.labels, found.seen) == ("tuned", "dev", (("tiny", data.corpus.documents.text_hash),))
    other = write_pairs(tmp_path / "pairs.jsonl")
    found = trained_on(load_tuning_data(str(other)))
    assert found.seen == (("pairs.jsonl", hashlib.sha256(other.read_bytes()).hexdigest()),)
    assert (found.kind, found.labels) == ("tuned", "pairs.jsonl")
