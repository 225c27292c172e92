"""How much ink is in an image."""

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError
from cvae_jax.data.files.digit_files import SIDE
from cvae_jax.host import images as pictures


def ink_ratio(images: npt.ArrayLike) -> npt.NDArray[np.float64]:
  """Return r [N]: the mean of each image's pixels, white being 1."""
  try:
    images = pictures.check(images)
  except ValueError as error:
    raise DataError(str(error)) from None
  if images.shape[1:] not in ((SIDE, SIDE), (SIDE, SIDE, 1)):
    raise DataError(
      f"images of shape {images.shape}; expected [N, 28, 28] or [N, 28, 28, 1]"
    )
  white = 255 if images.dtype == np.uint8 else 1
  return images.mean(tuple(range(1, images.ndim)), dtype=np.float64) / white
