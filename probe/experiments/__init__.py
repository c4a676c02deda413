"""Experiments behind the commands: rank layers, classify, correlate, measure geometry."""
