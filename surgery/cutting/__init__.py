"""Blocks removed from an encoder, or from one tower of a two-tower model; the cut law."""
