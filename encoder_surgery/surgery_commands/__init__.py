"""The commands of `surgery`, one file each."""
