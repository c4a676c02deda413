"""Input and output: local and remote files, text lines, columns, images, and model folders. Loads no models."""
