"""Smaller versions of a model: their size, how they are made and trained, their scores beside the full model's."""
