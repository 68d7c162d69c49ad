"""The rows that a model is packed with: read from files, made to provoke differences, or expected by its maker."""
