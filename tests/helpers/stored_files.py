"""Code for a child process that watches a store while other processes are killed."""

# Return the chunks of a store under the folder `root`, each with the time it was written.
FILES = """
import contextlib, os
from pathlib import Path

def files(store):
    found = {}
    for folder, _, names in os.walk(Path(root, store)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it may be gone, or have its name by now
                if name.endswith(".safetensors"):
                    found[os.path.join(folder, name)] = os.stat(os.path.join(folder, name)).st_mtime_ns
    return found
"""
