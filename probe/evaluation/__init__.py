"""The one pass over the texts: encoders made of states, scorers, top-k trackers."""
