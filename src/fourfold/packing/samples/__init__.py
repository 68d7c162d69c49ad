"""Read, make and check the rows that a model is packed with."""
