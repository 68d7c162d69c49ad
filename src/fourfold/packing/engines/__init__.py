"""The engines that could run a model, how they are compared, and which of them a package gets."""
