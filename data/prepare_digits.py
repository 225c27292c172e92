"""Download MNIST and verify it; safe to run again.

    python data/prepare_digits.py [--folder=data/mnist]

The default folder is $CVAE_JAX_DATA/mnist, or data/mnist without it.
"""

import argparse
import sys
from collections.abc import Sequence

from cvae_jax.data import DataError, root
from cvae_jax.data.files import download
from cvae_jax.host.paths import PathError, local


def main(argv: Sequence[str] | None = None) -> int:
  """Fetch MNIST's four files; return 0, or 1 after saying what failed."""
  parser = argparse.ArgumentParser(description="Download and verify MNIST.")
  parser.add_argument("--folder", default=root() / "mnist")
  options = parser.parse_args(argv)
  try:
    folder = local(options.folder, "--folder")
  except PathError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(f"MNIST in {folder.resolve()} (11 MB)")
  for name, sha256 in download.MNIST.items():
    try:
      path = download.fetch(name, folder, download.MNIST_MIRRORS, sha256)
    except (DataError, OSError) as error:
      print(f"error: {error}", file=sys.stderr)
      return 1
    print(f"  {path.name}: verified")
  print("Train on it: --config=digits:full")
  return 0


if __name__ == "__main__":
  sys.exit(main())
