"""A cut encoder taught the full model's vectors."""
