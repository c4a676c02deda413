"""Files, URLs, lines, columns and pixels; no model is known here."""
