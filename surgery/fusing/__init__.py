"""Fuse several hookpoints into one encoder, in memory and as a saved folder."""
