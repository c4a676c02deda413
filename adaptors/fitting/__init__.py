"""Fit, compare and choose adaptors on frozen states."""
