"""Pictures of results: a file per figure, shared panels beside."""
