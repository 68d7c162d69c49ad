"""Where a stream's answers and dead letters go."""
