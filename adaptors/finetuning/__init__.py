"""Training of the encoder itself on labelled rows."""
