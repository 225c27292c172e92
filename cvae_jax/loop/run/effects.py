"""How much each latent changes what a run draws, and how far to move it.

The effect of a latent is Morris's screening measure μ*, the mean of absolute
elementary effects (Morris 1991; Campolongo, Cariboni and Saltelli 2007): from
a few draws of the prior, one latent is moved by a standard deviation while the
others stay the same, and the change of a pixel is averaged. This needs only a
decoder. The active units of Burda et al. 2016 need more: they are counted from
posterior means of data, but an export has no data, and a GAN has no posterior.
So they are a figure of a run (`cvae_jax.measures.collapse`), and the sliders
are ordered by effects.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DRAWS = 400  # draws of the prior for ranges and effects
REACH = 3.0  # standard deviations to each side that a slider spans
_DECODES = 512  # images that are decoded for the effects, roughly
_BASES = 8  # draws in which each latent is moved, at most


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
  """Return the numbers of the latents, the one of the greatest effect first."""
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
  low, high = np.stack([low, high]).astype(np.float64)
  return np.stack([np.floor(low * 10), np.ceil(high * 10)], axis=1) / 10
