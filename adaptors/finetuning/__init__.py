"""The encoder itself trained on labelled rows."""
