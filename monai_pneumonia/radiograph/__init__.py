"""Reading one file into one upright grey picture; the lowest layer."""
