"""An encoder with its adaptor, in memory and as a folder; saved folders among specs."""
