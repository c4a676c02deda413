"""The app `probe`, with its commands in help order."""

from encoder_surgery.probe_commands.classify import classify
from encoder_surgery.probe_commands.data import data_app
from encoder_surgery.probe_commands.gate import gate
from encoder_surgery.probe_commands.geometry import geometry
from encoder_surgery.probe_commands.layers import layers
from encoder_surgery.probe_commands.models import models
from encoder_surgery.probe_commands.plan import plan
from encoder_surgery.probe_commands.rank import rank
from encoder_surgery.probe_commands.report import report
from encoder_surgery.probe_commands.similarity import similarity
from encoder_surgery.probe_commands.store import store_app
from encoder_surgery.shell.app import app

__all__ = ["probe_app"]

probe_app = app(
    "See what every layer of an encoder knows, ranked by retrieval score.",
    "probe layers minilm --dataset docstrings",
    {
        "probe layers minilm --dataset docstrings --layers 4-6 --pooling own,cls": layers,
        "probe rank minilm@6:mean minilm@5:mean minilm@6:cls --dataset docstrings": rank,
        "probe gate minilm@6:mean+minilm@6:cls --baseline minilm --keep 0.9": gate,
        "probe models": models,
        "probe geometry minilm --dataset docstrings": geometry,
        "probe report layers.json geometry.json --out report.html": report,
        "probe classify minilm --dataset docstrings --limit 500": classify,
        "probe similarity minilm --dataset docstrings --limit 500": similarity,
        "probe plan minilm --texts 8841823 --tokens-per-text 75": plan,
    },
)
probe_app.add_typer(data_app, name="data")
probe_app.add_typer(store_app, name="store")
