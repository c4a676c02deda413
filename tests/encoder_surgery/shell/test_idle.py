"""Options that would do nothing are refused by name, with the other option that makes it so."""

import pytest
from typer.testing import CliRunner

import cli

IDLE = {
    "surgery cut --after 5 --split dev": "--split does nothing without --dataset",
    "surgery cut --after 5 --no-store": "--no-store does nothing without --dataset",
    "surgery cut --after 5 --no-bias": "--no-bias does nothing without --lens",
    "surgery keep --blocks 1 --split dev": "--split does nothing without --dataset",
    "surgery cut --after 5 --similarity dot": "--similarity does nothing without --dataset",
    "surgery cut --after 5 --drop-same-id": "--drop-same-id does nothing without --dataset",
    "surgery keep --blocks 1 --drop-same-id": "--drop-same-id does nothing without --dataset",
    "surgery keep --blocks 1 --limit 9": "--limit does nothing without --dataset",
    "surgery keep --blocks 1 --store s": "--store does nothing without --dataset",
    "surgery fuse a b --metric map": "--metric does nothing without --dataset",
    "adaptors fit pca -m a --out o --steps 300": "--steps does nothing with pca, which is not",
    "adaptors fit lens -m a --out o --lr 0.1": "--lr does nothing with lens, which is not",
    "adaptors fit truncate -m a --out o --checkpoint-dir c": "--checkpoint-dir does nothing with truncate",
    "adaptors fit spectral -m a --out o --report-to none": "--report-to does nothing with spectral, which is not",
    "adaptors fit pca -m a --out o --no-bias": "--no-bias does nothing with pca, which has no bias that can",
    "adaptors fit linear -m a --out o --no-bias": "--no-bias does nothing with linear, which has no bias that can",
    "adaptors rank -m a --kinds pca,mlp --no-bias": "--no-bias does nothing with pca,mlp, none of which has a bias",
    "adaptors rank -m a --kinds pca,lens --steps 3": "--steps does nothing with pca,lens, of which none is trained",
    "adaptors rank -m a --kinds pca --labels train": "--labels does nothing with pca, of which none uses",
    "adaptors tune -d r --num-negatives 5": "--num-negatives does nothing without --rounds",
    "adaptors tune -d r --range-min 10": "--range-min does nothing without --rounds",
    "adaptors tune -d r --relative-margin 0.1": "--relative-margin does nothing without --rounds",
    "adaptors heal cut -o o --steps 3 --minutes 2": "--steps does nothing with --minutes",
    "probe rank a b --fuse-runs rrf": "--fuse-runs does nothing without a fusion among the encoders, such as a+b",
    "probe store prune --all --model a": "--all does nothing with --model",
    "probe store prune --all --unused-for 3": "--all does nothing with --unused-for",
    "probe plan --texts 3 --tflops 1 --device cpu": "--device does nothing with --tflops: nothing is measured",
    "probe plan --texts 3 --tflops 1 --dtype float32": "--dtype does nothing with --tflops: nothing is measured",
}


@pytest.mark.parametrize(("line", "words"), IDLE.items(), ids=IDLE)
def test_an_option_that_would_do_nothing_is_refused(line: str, words: str) -> None:
    program, *rest = line.split()
    result = CliRunner().invoke(getattr(cli, f"{program}_app"), rest)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {words}")
    assert result.stderr.endswith(": leave it out\n")


def test_a_learning_rate_of_nothing_is_refused() -> None:
    for command in ("fit mlp -m a --out o", "tune --out o"):
        result = CliRunner().invoke(cli.adaptors_app, [*command.split(), "--lr", "0"])
        assert result.exit_code == 2
        assert "expected more than 0" in result.stderr
