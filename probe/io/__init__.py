"""Files, URLs, lines, columns, pixels, and what lies on a disk of a model; no model is loaded here."""
