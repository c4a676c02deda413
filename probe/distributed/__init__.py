"""The pass over the documents on a Ray cluster."""
