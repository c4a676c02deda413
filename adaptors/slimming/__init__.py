"""Search for a smaller model that meets a goal: candidates, short trainings, the choice, the final test."""
