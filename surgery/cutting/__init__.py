"""Remove blocks from an encoder or from one tower of a two-tower model, and check the cut law."""
