"""Encoders with adaptors, in memory and as saved folders, and specs that include saved folders."""
