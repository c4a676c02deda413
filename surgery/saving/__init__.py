"""A changed model as a folder that anybody can load: weights, heads, cards, the check in a fresh process."""
