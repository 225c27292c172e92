"""Reports on finished sweeps: each is a module with `write`, found by name."""
