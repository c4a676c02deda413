"""Hookpoints, layer stacks, poolings and the hooks that read them."""
