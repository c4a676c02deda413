"""Finding, configuring and loading models."""
