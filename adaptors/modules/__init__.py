"""Adaptors: modules on pooled states."""
