"""Conversion of documents into data sets."""
