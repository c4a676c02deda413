"""Pooled states on the disk: keys, chunks, inventory."""
