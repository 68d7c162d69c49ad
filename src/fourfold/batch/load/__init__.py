"""Load, the last stage of a batch run: write the output out of sight, and publish it as a whole."""
