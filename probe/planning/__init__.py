"""Estimates of FLOPs, hours and bytes before a run."""
