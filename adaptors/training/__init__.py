"""Shared by all training: trainer, callbacks, checkpoints, distributed processes, metrics log."""
