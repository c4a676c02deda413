"""Runs too large for one process: estimates of FLOPs, hours and bytes beforehand, usable processors, Ray."""
