"""Several hookpoints as one encoder, in memory and as a folder."""
