"""A run's folder: its checkpoints, its config and data, its environment."""
