"""Texts and images to states: readers, MaxSim, truncation."""
