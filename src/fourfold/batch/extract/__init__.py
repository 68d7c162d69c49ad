"""The first stage of a batch run: the source's files, pinned, and their rows in chunks."""
