"""Find the engines that could run a model, compare them with the original engine, and choose one."""
