"""Open the doors through which a certificate sends rows: one file an architecture."""
