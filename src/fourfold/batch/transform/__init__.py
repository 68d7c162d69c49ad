"""The second stage of a batch run: from source columns to input fields."""
