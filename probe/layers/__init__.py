"""Hookpoints, layer stacks, poolings, and the hooks that read them and stop the forward early."""
