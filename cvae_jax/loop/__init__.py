"""What one training run is made of: its data, its state, its records."""
