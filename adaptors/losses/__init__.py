"""Losses that sentence-transformers does not have."""
