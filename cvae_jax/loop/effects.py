"""How much each latent changes what a run draws, and how far to move it.

The effect of a latent is Morris's screening measure μ*, the mean of absolute
elementary effects (Morris 1991; Campolongo, Cariboni and Saltelli 2007): from
a few draws of the prior one latent is moved by a standard deviation and the
others are held, and the change of a pixel is averaged. It needs a decoder and
nothing else. The active units of Burda et al. 2016 are counted from the
posterior means of data, which an export does not bring and a GAN has not; they
are a figure of a run (`cvae_jax.measures.collapse`), not the order of sliders.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DRAWS = 400  # of the prior, from which spans and effects are taken
REACH = 3.0  # standard deviations to each side that a slider spans
_DECODES = 512  # images that are decoded for the effects, about
_BASES = 8  # draws from which each latent is moved, at most


def measure(
  decode: Callable[[NDArray, NDArray], NDArray],
  z: NDArray,
  condition: NDArray,
) -> NDArray[np.float64]:
  """Return the effect of each latent: [Z].

  Args:
    decode: images [B, H, W, C] of latents [B, Z] and conditions [B, A], as
      `Run.guided`.
    z: draws of the prior [N, Z].
    condition: [A], under which all images are decoded.
  """
  latents = z.shape[1]
  count = max(1, min(_BASES, len(z), _DECODES // (latents + 1)))
  base = z[:count]
  moved = np.repeat(base[None], 1 + latents, axis=0)  # [1 + Z, N, Z]
  each = np.arange(latents)
  moved[1 + each, :, each] += z.std(axis=0)[:, None]
  every = moved.reshape(-1, latents)
  images = decode(every, np.repeat(condition[None], len(every), axis=0))
  images = images.reshape(1 + latents, count, -1)
  return np.abs(images[1:] - images[:1]).mean(axis=(1, 2), dtype=np.float64)


def order(effects: NDArray) -> list[int]:
  """Return the numbers of latents, that of the greatest effect first."""
  return np.argsort(-effects, kind="stable").tolist()


def latent_ranges(z: NDArray) -> NDArray[np.float64]:
  """Return the low and the high end of each latent, [Z, 2], to a tenth.

  Args:
    z: draws of the prior [N, Z]. One with edges, as a uniform one, is not
      left by much.
  """
  middle = z.mean(axis=0)
  reach = REACH * np.maximum(z.std(axis=0), 1e-3)
  edge = 0.25 * np.ptp(z, axis=0)
  low = np.maximum(middle - reach, z.min(axis=0) - edge)
  high = np.minimum(middle + reach, z.max(axis=0) + edge)
  ends = np.stack([low, high], axis=1).astype(np.float64)
  return np.where(ends < 0, np.floor(ends * 10), np.ceil(ends * 10)) / 10
