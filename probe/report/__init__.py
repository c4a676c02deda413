"""Results as one page for a browser: a file per section, shared parts beside."""
