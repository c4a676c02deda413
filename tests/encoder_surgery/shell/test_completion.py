"""Completion of commands, options, choices, aliases and data set names, in the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from encoder_surgery.shell.completion import complete_datasets, complete_metrics, complete_models, complete_specs

ROOT = Path(__file__).parents[3]

# A console script, as an installer writes it.
SCRIPT = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from cli import probe_app
sys.argv[0] = "probe"
probe_app(prog_name="probe")
"""

# What a user presses TAB after, and a completion there.
TYPED = {
    "probe la": "layers",
    "probe layers --rec": "--recommend",
    "probe layers mini": "minilm",
    "probe layers --model arctic-": "arctic-m",
    "probe layers --dataset sci": "scifact",
    "probe layers --dtype bf": "bfloat16",
}

BASH = """
eval "$(probe --show-completion bash)"
while read -r line; do
    COMP_WORDS=($line); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMP_LINE="$line"; COMP_POINT=${#line}
    _probe_completion probe; echo "${COMPREPLY[*]}"
done
"""
# The widgets of zsh need a terminal: a compadd of ours prints what would be offered.
ZSH = """
autoload -U compinit; compinit -u -D
_describe() { shift; print -r -- ${(P)1} }
_arguments() { local spec=${@[-1]}; print -r -- ${(e)spec} }
compadd() { print -r -- ${@} }
eval "$(probe --show-completion zsh)"
while read -r line; do
    words=(${=line}); CURRENT=${#words}
    _probe_completion | tr '\\n' ' '; echo
done
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with `probe` on its path."""
    script = tmp_path / "probe"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(("shell", "program"), [("bash", BASH), ("zsh", ZSH)])
def test_a_shell_completes(shell: str, program: str, environment: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    command = [shell, *(["-f"] if shell == "zsh" else ["--norc"]), "-c", program]
    asked = "\n".join(TYPED) + "\n"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, env=environment, check=False)
    offered = done.stdout.splitlines()
    assert len(offered) == len(TYPED), (done.stdout, done.stderr)
    assert [line for line, words in zip(TYPED, offered, strict=True) if TYPED[line] not in words] == [], done.stdout


def test_values_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minilm-5").mkdir()
    (tmp_path / "mine.zip").touch()
    monkeypatch.chdir(tmp_path)
    assert complete_models("mini") == ["minilm", "minilm-l12"]
    assert complete_models("./mi") == ["./minilm-5"]
    assert complete_specs("arctic-m+mini") == ["arctic-m+minilm", "arctic-m+minilm-l12"]
    assert complete_datasets("nfc") == ["nfcorpus"]
    assert complete_datasets("nanos") == complete_datasets("NanoS") == ["NanoSCIDOCS", "NanoSciFact"]
    assert complete_datasets("./mi") == ["./mine.zip", "./minilm-5"]
    assert complete_datasets(f"{tmp_path}/m") == [f"{tmp_path}/mine.zip", f"{tmp_path}/minilm-5"]
    assert complete_metrics("rec") == ["recall@100"]
