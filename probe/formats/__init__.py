"""Parsers of file formats: a file becomes documents of headings, paragraphs and links. Add a format in `registry`."""
