"""Choices on a training or development split: the cheapest layer that is good enough, the weights of a fusion."""
