"""Adaptors on frozen states: fitted, compared, chosen."""
