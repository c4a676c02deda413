"""The commands of `probe`, one per file."""
