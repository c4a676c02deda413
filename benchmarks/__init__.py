"""Benchmarks: side by side with the peers, interleaved in one run, printed as ratios."""
