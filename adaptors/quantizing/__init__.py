"""Vectors in few bytes: codes of some bits per dimension, packed for an index, and decoded for the search."""
