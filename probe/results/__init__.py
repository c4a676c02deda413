"""Leaderboards and other results as values, with their text, their console tables and their charts."""
