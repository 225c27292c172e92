"""The encoder and the decoder of a cvae or a vae, of one level or several."""

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian, likelihoods, parts
from cvae_jax.systems.models import hierarchy
from cvae_jax.types import PyTree


def init_variables(
  model, likelihood: likelihoods.Likelihood, image, conditions: int, key: Array
) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state.

  Args:
    model: a cvae's or a vae's.
    likelihood: of its pixels.
    image: one row, [1, H, W, C] or [1, D], as the encoder takes it.
    conditions: numbers of the condition vector.
    key: of the draws.
  """
  condition = jnp.zeros((1, conditions))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  if model.levels:
    inputs = hierarchy.examples(model.levels, condition)
  else:
    z = jnp.zeros((1, model.latents))
    inputs = {"encoder": (image, condition), "decoder": (z, condition)}
  params, _ = parts.init_branches(nets, key, **inputs)
  branch, model_state = likelihoods.init_variables(likelihood)
  branch |= model.prior.init(jax.random.fold_in(key, len(nets)))
  return params | branch, model_state


def infer(model, params: PyTree, image, condition, key, drop) -> tuple:
  """Draw z of q(z | image, condition): return q, z and its output.

  Args:
    model: a cvae's or a vae's.
    params: of the system.
    image: [B, H, W, C] or [B, D], as the encoder takes it.
    condition: [B, A].
    key: of the noise.
    drop: keys of the encoder's and the decoder's dropout, or None for none.
  """
  if model.levels:
    noise = gaussian.draw(key, len(image), model.latents)
    return model.posterior(params, noise, image, condition)
  q = model.encode(params, image, condition, drop[0])
  z = gaussian.reparameterise(key, q)
  return q, z, model.output(params, z, condition, drop[1])
