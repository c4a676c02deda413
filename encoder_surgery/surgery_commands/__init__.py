"""The commands of `surgery`, one per file."""
