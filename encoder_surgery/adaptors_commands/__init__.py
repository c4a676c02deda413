"""The commands of `adaptors`, one file each."""
