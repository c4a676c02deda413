"""Hookpoints, layer stacks, poolings, and hooks that read layers and stop the forward early."""
