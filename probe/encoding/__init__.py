"""Encoding of texts and images: layer readers, MaxSim, truncation."""
