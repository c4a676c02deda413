"""The pass over the texts: composite encoders, scorers, top-k trackers."""
