"""Processes in which nothing of ours was ever imported, forked off one that has imported what takes seconds."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["FreshForks"]

# Reads a call per line, forks for it, and answers with its exit code.
SERVER = """
import json, os, sys, traceback
import numpy, sentence_transformers, transformers.models.bert.modeling_bert

def run(code, arguments):
    sys.argv = ["-c", *arguments]
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

for line in sys.stdin:
    call = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(os.open(call[name], os.O_RDWR), number)
        os.environ.clear()
        os.environ.update(call["environment"])
        os.chdir(call["folder"])
        ended = run(call["code"], call["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class FreshForks:
    """Runs `python -c CODE ARGUMENTS...` as `subprocess.run` does, sparing it the imports of its code."""

    def __init__(self) -> None:
        """Start nothing before the first call."""
        self._server: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command; the options are those that capture text and check nothing."""
        assert options == {"capture_output": True, "text": True, "check": False}
        program, flag, code, *arguments = map(str, command)
        assert [program, flag] == [sys.executable, "-c"]
        with tempfile.TemporaryDirectory() as scratch:
            files = {name: str(Path(scratch, name)) for name in ("stdout", "stderr")}
            for file in files.values():
                Path(file).touch()
            call = {"code": code, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
            ended = self._ask(json.dumps({**call, **files, "stdin": os.devnull}))
            return subprocess.CompletedProcess(command, ended, *(Path(file).read_text() for file in files.values()))

    def _ask(self, call: str) -> int:
        if self._server is None:
            command = [sys.executable, "-c", SERVER]
            self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdin
        assert self._server.stdout
        print(call, file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End the process that forks."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
