"""Static cuts: one vector per token and no block, fitted in closed form to a full model's vectors."""
