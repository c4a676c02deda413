"""Data sets as values, and the formats they are read from."""
