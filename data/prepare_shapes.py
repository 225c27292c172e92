"""Draw shapes of known colour, size and angle, as class folders and a table.

python data/prepare_shapes.py --out=data/shapes
python data/prepare_images.py --images=data/shapes --out=data/shapes_64
"""

import argparse
import sys
from collections.abc import Sequence

from cvae_jax.data.files import shapes
from cvae_jax.host.paths import PathError, folder


def main(argv: Sequence[str] | None = None) -> int:
  """Draw the set; return 0, or 1 after saying what failed."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--out", required=True, help="the folder to write")
  parser.add_argument("--count", type=int, default=3000)
  parser.add_argument("--size", type=int, default=64, help="pixels a side")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument(
    "--unknown",
    type=float,
    default=0.0,
    help="share of the table's values to leave empty, 0 to 1",
  )
  options = parser.parse_args(argv)
  bounds = {"count": (1, 10**7), "size": (8, 1024), "seed": (0, 2**32 - 1)}
  bounds["unknown"] = (0.0, 1.0)
  for name, (least, most) in bounds.items():
    if not least <= (found := getattr(options, name)) <= most:
      said = f"--{name}={found}: expected {least} to {most}"
      print(f"error: {said}", file=sys.stderr)
      return 1
  try:
    out = folder(options.out, "--out")
    shapes.write(
      out, options.count, options.seed, options.size, options.unknown
    )
  except (PathError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(f"{options.count:,} shapes in {out}, their attributes in labels.csv")
  return 0


if __name__ == "__main__":
  sys.exit(main())
