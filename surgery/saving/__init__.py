"""Save a changed model as a standard model folder: weights, output heads, model cards, the check in a fresh process."""
