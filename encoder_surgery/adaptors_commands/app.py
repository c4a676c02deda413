"""The app `adaptors`, with its commands in help order."""

from encoder_surgery.adaptors_commands.fit import fit
from encoder_surgery.adaptors_commands.heal import heal
from encoder_surgery.adaptors_commands.losses import losses
from encoder_surgery.adaptors_commands.rank import rank
from encoder_surgery.adaptors_commands.tune import tune
from encoder_surgery.shell.app import app

__all__ = ["adaptors_app"]

adaptors_app = app(
    "Train an encoder, or small adaptors on top of it.",
    "adaptors rank minilm --dims 128",
    {
        "adaptors rank minilm -d docstrings --dims 256,128": rank,
        "adaptors fit lens minilm@5 -d docstrings": fit,
        "adaptors losses": losses,
        "adaptors tune minilm -d pairs.jsonl --epochs 1 --out ./minilm-mine": tune,
        "adaptors heal ./minilm-3-lens --steps 20 --out ./minilm-3-healed": heal,
    },
)
