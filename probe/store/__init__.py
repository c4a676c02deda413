"""On-disk cache of pooled states: keys, chunk files, inventory."""
