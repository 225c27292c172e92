"""Prepare photographs, without a table: prepare_images.py --preset=photos.

python data/prepare_photos.py --images=photos.zip
"""

import functools
import pathlib
import runpy
import sys

_IMAGES = pathlib.Path(__file__).with_name("prepare_images.py")
main = functools.partial(runpy.run_path(str(_IMAGES))["main"], preset="photos")

if __name__ == "__main__":
  sys.exit(main())
