"""Parts that many systems share: branches, mean terms, sample grids."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.types import (
  KNOWN,
  Batch,
  Masked,
  Metrics,
  PyTree,
  TrainState,
)

Networks = Mapping[str, Any]  # {branch: flax module}
STYLES = 8  # latents, the rows of a sample grid


def share_noise(x: Array) -> Array:
  """Divide the rows of noise [B, ...] among devices, like those of a batch.

  Arrays that depend on a batch are divided with it. A network that sees noise
  alone would run in full on each device. With one device nothing is done.
  """
  if axes := jax.sharding.get_abstract_mesh().axis_names:
    return jax.lax.with_sharding_constraint(
      x, jax.sharding.PartitionSpec(axes[0])
    )
  return x


def unit(image: Array) -> Array:
  """Map uint8 images [B, H, W, C] of a batch to float32 in [0, 1]."""
  return image.astype(jnp.float32) / 255.0


def init_branches(
  nets: Networks, key: Array, **inputs: Array | tuple[Array, ...]
) -> tuple[PyTree, PyTree]:
  """Draw the parameters of networks and start their batch statistics.

  Args:
    nets: {branch: network}. Their order decides the random keys.
    key: a random key.
    inputs: for each branch an example of its input, or a tuple of them.

  Returns:
    ({branch: parameters}, {branch: statistics}). A network without batch
    normalisation has the statistics {}.
  """
  params = {}
  statistics = {}
  for index, (name, net) in enumerate(nets.items()):
    arrays = inputs[name]
    if not isinstance(arrays, tuple):
      arrays = (arrays,)
    variables = net.init(jax.random.fold_in(key, index), *arrays)
    params[name] = variables["params"]
    statistics[name] = variables.get("batch_stats", {})
  return params, statistics


def apply_branch(
  nets: Networks,
  name: str,
  params: PyTree,
  statistics: PyTree,
  *arrays: Array,
  train: bool = False,
) -> tuple[PyTree, PyTree]:
  """Apply one network that may have batch statistics.

  Args:
    nets: {branch: network}.
    name: the branch to apply.
    params: {branch: parameters}.
    statistics: {branch: batch statistics}.
    arrays: the inputs of the network.
    train: whether to normalise by the batch and move the statistics. Else the
      network normalises by the statistics and they stay.

  Returns:
    (output, the statistics of all branches afterwards).
  """
  variables = {"params": params[name], "batch_stats": statistics[name]}
  if not train:
    return nets[name].apply(variables, *arrays), statistics
  output, after = nets[name].apply(
    variables, *arrays, train=True, mutable=["batch_stats"]
  )
  moved = after.get("batch_stats", statistics[name])
  return output, {**statistics, name: moved}


def means(terms: Metrics) -> Metrics:
  """Average each term over the batch: {name: [B]} to {name: []}."""
  return {name: term.mean() for name, term in terms.items()}


def masked_means(terms: Mapping[str, Masked]) -> Metrics:
  """Return what loop.meter averages over the rows that have each term.

  A mean over a batch's own rows would not do: batches have different numbers
  of such rows, or none.

  Args:
    terms: {name: [B]}, 0 in the rows that have no value.
  """
  shares = {name + KNOWN: term.known.mean() for name, term in terms.items()}
  return {name: term.value.mean() for name, term in terms.items()} | shares


def make_render(
  encode: Callable,
  decode: Callable,
  prior: Callable | None = None,
  draw: Callable | None = None,
):
  """Build the function that draws a system's sample grids.

  Args:
    encode: (state, image, condition) -> Gaussian, as of a System.
    decode: (state, z, condition) -> image, as of a System.
    prior: (key, count) -> z [count, Z].
    draw: (state, key, count) -> z [count, Z], instead of `prior`.

  Returns:
    (state, batch, panel [P, A], key) -> {grid: images [R, P, H, W, C]}.
  """

  def latents(state: TrainState, key: Array, count: int) -> Array:
    return draw(state, key, count) if draw else prior(key, count)

  def render(state: TrainState, batch: Batch, panel: Array, key: Array):
    image = batch.get("labelled_image", batch["image"])
    image = unit(image)
    condition = batch["condition"]
    z = encode(state, image, condition).mean
    rows = [image, decode(state, z, condition)]
    options = panel.shape[0]
    if options > 1:  # a row is one latent under every condition
      z = jnp.repeat(latents(state, key, STYLES), options, axis=0)
    else:
      z = latents(state, key, STYLES**2)
    drawn = decode(state, z, jnp.tile(panel, (len(z) // options, 1)))
    return {
      "reconstruction": jnp.stack(rows),
      "conditions": drawn.reshape(STYLES, -1, *image.shape[1:]),
    }

  return render
