"""Learn on top of encoders (nothing yet in this release), and turn any spec into what it names."""

__all__: list[str] = []
