"""The three apps in one: `python -m encoder_surgery probe layers`, or `encoder-surgery probe layers`."""

from encoder_surgery.adaptors_commands.app import adaptors_app
from encoder_surgery.probe_commands.app import probe_app
from encoder_surgery.shell.app import app
from encoder_surgery.surgery_commands.app import surgery_app

__all__ = ["main"]

main = app(
    "Layer probing and model surgery of embedding models.",
    "encoder-surgery probe layers minilm --dataset docstrings",
)
main.add_typer(probe_app, name="probe")
main.add_typer(surgery_app, name="surgery")
main.add_typer(adaptors_app, name="adaptors")

if __name__ == "__main__":
    main(prog_name="encoder-surgery")
