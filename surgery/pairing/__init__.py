"""Two encoders as one saved model, for queries and for documents; others import `model`, `folder` and `agreement`."""
