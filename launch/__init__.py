"""Commands: `python -m launch.<name> --help`. The only room with absl."""

import logging

# jax reports at INFO, through absl, each accelerator that is not there.
logging.getLogger("jax._src.xla_bridge").setLevel(logging.WARNING)
