"""Data sets and readers of their formats."""
