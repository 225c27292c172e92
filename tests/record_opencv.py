"""Records OpenCV's own hue, grey and resizes of three photos.

Run in an environment of its own, which no part of the project needs:

    pip install opencv-python-headless scikit-image
    python tests/record_opencv.py > tests/opencv.json

The photos are scikit-image's PNGs, thinned to 112 × 112 by slicing, so that
no decoder and no resize comes before what is recorded.
"""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import skimage.data

PHOTOS = ("astronaut", "chelsea", "coffee")


def thinned(name):
  """Return RGB uint8 [112, 112, 3]: every second pixel of the middle."""
  path = Path(skimage.data.__file__).parent / f"{name}.png"
  image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
  top, left = ((n - 224) // 2 for n in image.shape[:2])
  return image[top : top + 224 : 2, left : left + 224 : 2]


def window(grey, i, j, size):
  """Cuts the window of a cell, zero outside the photo."""
  padded = np.pad(grey, 56)
  top, left = (56 + 8 * k + 4 - size // 2 for k in (i, j))
  return padded[top : top + size, left : left + size]


def digest(array):
  """Return the SHA-256 of an array's bytes."""
  return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def record(rgb):
  """Return what OpenCV makes of a photo, as JSON types."""
  bgr = rgb[..., ::-1].copy()
  grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
  hue = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)[..., 0]
  chroma = (rgb.max(-1) - rgb.min(-1)) / 255.0
  angle = 2 * np.pi * hue / 180
  x, y = (
    (chroma * f(angle)).reshape(14, 8, 14, 8).mean((1, 3))
    for f in (np.cos, np.sin)
  )
  top = cv2.resize(grey, (14, 14))
  unit = grey / 255.0
  levels = [
    [cv2.resize(window(unit, i, j, s), (14, 14)) for s in (56, 28, 14)]
    for i in range(14)
    for j in range(14)
  ]
  return {
    "photo": digest(rgb),
    "grey": digest(grey),
    "hue": digest(hue),
    "level_0": digest((top / 255.0).astype(np.float32)),
    "level_0_unrounded": digest(cv2.resize(unit, (14, 14)).astype(np.float32)),
    "levels_1_to_3": digest(np.array(levels).astype(np.float32)),
    "x": np.round(x, 7).ravel().tolist(),
    "y": np.round(y, 7).ravel().tolist(),
  }


if __name__ == "__main__":
  found = {name: record(thinned(name)) for name in PHOTOS}
  print(json.dumps({"opencv": cv2.__version__, "photos": found}))
