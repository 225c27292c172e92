"""What trained runs are worth: figures of runs, kept beside them."""
