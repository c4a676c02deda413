"""The commands `probe`, `surgery` and `adaptors`, as a module at the top."""

from encoder_surgery.adaptors_commands.app import adaptors_app
from encoder_surgery.probe_commands.app import probe_app
from encoder_surgery.surgery_commands.app import surgery_app

__all__ = ["adaptors_app", "probe_app", "surgery_app"]
