"""Passes over the documents on a Ray cluster."""
