"""The commands `probe`, `surgery` and `adaptors`."""

from commands.adaptors import adaptors_app
from commands.classify import classify
from commands.data import data_app
from commands.fuse import fuse
from commands.geometry import geometry
from commands.losses import losses
from commands.plan import plan
from commands.probe import probe_app
from commands.report import report
from commands.similarity import similarity
from commands.store import store_app
from commands.surgery import surgery_app
from commands.tune import tune

__all__ = ["adaptors_app", "data_app", "probe_app", "store_app", "surgery_app"]

probe_app.command(epilog="Example: probe geometry --model minilm --dataset docstrings")(geometry)
probe_app.command(epilog="Example: probe report layers.json geometry.json --out report.html")(report)
probe_app.command(epilog="Example: probe classify --model minilm --dataset docstrings --limit 500")(classify)
probe_app.command(epilog="Example: probe similarity --model minilm --dataset docstrings --limit 500")(similarity)
probe_app.command(epilog="Example: probe plan --model minilm --texts 8841823 --tokens-per-text 75")(plan)
probe_app.add_typer(data_app, name="data")
probe_app.add_typer(store_app, name="store")
adaptors_app.command(epilog="Example: adaptors losses")(losses)
surgery_app.command(epilog="Example: surgery fuse minilm@6:mean minilm@0:mean --out ./minilm-6-0")(fuse)
adaptors_app.command(epilog="Example: adaptors tune --heal --model ./minilm-3-lens --steps 20 --out ./minilm-3-healed")(
    tune
)
