"""Shared by all trainings: trainer, callbacks, checkpoints, processes, log."""
