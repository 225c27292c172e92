"""Bounds on the log-likelihood, in nats."""

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian
from cvae_jax.types import Batch, Metrics, System, TrainState


def importance_weighted(system: System, samples: int):
  """Build (state, batch, key) -> {"iw_bound": [B]}.

  log (1/k) Σ p(x | z) p(z) / q(z | x) over k = samples draws (Burda et al.
  2016): between the ELBO (k = 1) and log p(x | condition).
  """

  def bound(state: TrainState, batch: Batch, key: Array) -> Metrics:
    image = batch["image"].astype(jnp.float32) / 255.0
    # A system that asks for none is not given one.
    condition = batch.get("condition", jnp.zeros((len(image), 0)))
    if system.observe:  # once: the bound is of one x, whatever k
      image = system.observe(jax.random.fold_in(key, 1), image)
    q = system.encode(state, image, condition)
    # One wide batch [k · B]: a loop over samples would cost CPU its threads.
    q, image, condition = jax.tree.map(
      lambda x: jnp.tile(x, (samples, *[1] * (x.ndim - 1))),
      (q, image, condition),
    )
    z = gaussian.reparameterise(key, q)
    output = system.decode(state, z, condition)
    weights = (
      -system.nats(image, output)
      + gaussian.log_density(z, gaussian.standard(z))
      - gaussian.log_density(z, q)
    ).reshape(samples, -1)
    return {"iw_bound": jax.nn.logsumexp(weights, axis=0) - jnp.log(samples)}

  return bound
