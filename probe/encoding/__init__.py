"""Texts and images to states: readers, MaxSim, early stop."""
