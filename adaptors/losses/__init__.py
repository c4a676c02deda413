"""Losses that sentence-transformers does not provide."""
