"""Own documents to a data set."""
