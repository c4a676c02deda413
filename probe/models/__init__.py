"""Where models are found, what they ask for, how they are loaded."""
