"""Pure functions on arrays: top k and ties, retrieval metrics, intervals, tests, correlations, geometry."""
