"""Prepare faces with their attributes: prepare_images.py --preset=faces.

python data/prepare_faces.py --images=faces.zip --table=attributes.csv
"""

import functools
import pathlib
import runpy
import sys

_IMAGES = pathlib.Path(__file__).with_name("prepare_images.py")
main = functools.partial(runpy.run_path(str(_IMAGES))["main"], preset="faces")

if __name__ == "__main__":
  sys.exit(main())
