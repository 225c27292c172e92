"""Sample grids that any system with an encoder and a decoder can draw."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from cvae_jax.types import Batch, TrainState

STYLES = 8


def make_render(encode: Callable, decode: Callable, prior: Callable):
  """Builds (state, batch, panel [P, A], key) -> {grid: [R, P, H, W, C]}.

  Args:
    encode: (state, image, condition) -> Gaussian, as of a System.
    decode: (state, z, condition) -> image, as of a System.
    prior: (key, count) -> z [count, Z].
  """

  def render(state: TrainState, batch: Batch, panel: Array, key: Array):
    image = batch.get("labelled_image", batch["image"])
    image = image.astype(jnp.float32) / 255.0
    condition = batch["condition"]
    z = encode(state, image, condition).mean
    rows = [image, decode(state, z, condition)]
    options = panel.shape[0]
    if options > 1:  # a row is one latent under every condition
      z = jnp.repeat(prior(key, STYLES), options, axis=0)
    else:
      z = prior(key, STYLES**2)
    drawn = decode(state, z, jnp.tile(panel, (len(z) // options, 1)))
    return {
      "reconstruction": jnp.stack(rows),
      "conditions": drawn.reshape(STYLES, -1, *image.shape[1:]),
    }

  return render
