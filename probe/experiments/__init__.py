"""The work of a command: layers ranked, classified, correlated, measured."""
