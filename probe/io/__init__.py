"""Files, URLs, lines, columns and pixels; no model and no data set is known here."""
