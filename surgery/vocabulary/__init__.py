"""Drop tokens that given texts do not use, from a model's tokenizer, embedding table and config."""
