"""Labelled training rows: files, forms, hard negatives, scores of a cross-encoder."""
