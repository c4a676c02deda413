"""The commands of `adaptors`, one per file."""
