"""The last stage of a batch run: the output, written where nobody looks and published whole."""
