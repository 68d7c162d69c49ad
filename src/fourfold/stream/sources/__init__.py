"""Where a stream's events come from."""
