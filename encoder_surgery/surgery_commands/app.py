"""The app `surgery`, with its commands in help order."""

from encoder_surgery.shell.app import app
from encoder_surgery.surgery_commands.cut import cut
from encoder_surgery.surgery_commands.fuse import fuse
from encoder_surgery.surgery_commands.inspect import inspect
from encoder_surgery.surgery_commands.keep import keep
from encoder_surgery.surgery_commands.pair import pair
from encoder_surgery.surgery_commands.slim import slim
from encoder_surgery.surgery_commands.trim import trim

__all__ = ["surgery_app"]

surgery_app = app(
    "Change an encoder: cut it, keep some of its blocks, fuse or pair several, trim the vocabulary, slim it to a goal.",
    "surgery cut minilm --after 5",
    {
        "surgery inspect minilm": inspect,
        "surgery cut minilm --after 5 --out ./minilm-5": cut,
        "surgery keep minilm --blocks 1,2,5,6 --out ./minilm-1-2-5-6": keep,
        "surgery fuse minilm@6:mean minilm@0:mean --out ./minilm-6-0": fuse,
        "surgery pair ./minilm-static minilm --out ./minilm-pair": pair,
        "surgery slim minilm --dataset docstrings --max-mb 60 --out ./minilm-slim": slim,
        "surgery trim minilm --texts docstrings --out ./minilm-trimmed": trim,
    },
)
