"""Maps between models: one model's queries or documents in the other's space, fitted and chosen without labels."""
