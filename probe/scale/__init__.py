"""Runs too large for one process: estimates of FLOPs, hours and bytes beforehand, and passes on a Ray cluster."""
