"""Commands: `python -m launch.<name> --help`. The only room with absl."""
