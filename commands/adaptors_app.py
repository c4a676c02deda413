"""The app `adaptors`: its commands in the order of its help."""

from commands.adaptors_rank import rank
from commands.app import app
from commands.fit import fit
from commands.losses import losses
from commands.tune import tune

__all__ = ["adaptors_app"]

adaptors_app = app("Learn on top of an encoder.", "adaptors rank --on minilm --dataset docstrings --dims 128")
adaptors_app.command(epilog="Example: adaptors rank --on minilm --dataset docstrings --dims 256,128")(rank)
adaptors_app.command(epilog="Example: adaptors fit lens --on minilm@5 --dataset docstrings --out ./minilm-5-lens")(fit)
adaptors_app.command(epilog="Example: adaptors losses")(losses)
adaptors_app.command(epilog="Example: adaptors tune --heal --model ./minilm-3-lens --steps 20 --out ./minilm-3-healed")(
    tune
)
