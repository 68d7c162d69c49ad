"""Extract, the first stage of a batch run: find the source's files, and read their rows in chunks."""
