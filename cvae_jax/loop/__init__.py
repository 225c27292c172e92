"""The parts of one training run: its data, its state, its records."""
