"""The commands `probe`, `surgery` and `adaptors`."""

from commands.adaptors_app import adaptors_app
from commands.probe_app import probe_app
from commands.surgery_app import surgery_app

__all__ = ["adaptors_app", "probe_app", "surgery_app"]
