"""Healing: distillation of the full model's vectors into a cut encoder."""
