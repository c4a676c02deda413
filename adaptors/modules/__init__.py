"""Adaptor modules on pooled states."""
