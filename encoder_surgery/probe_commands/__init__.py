"""The commands of `probe`, one file each."""
