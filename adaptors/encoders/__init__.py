"""An encoder with its adaptor, in memory and as a folder, and the one resolver of specs."""
