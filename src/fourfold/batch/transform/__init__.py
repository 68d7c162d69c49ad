"""Transform, the second stage of a batch run: turn source columns into input fields."""
