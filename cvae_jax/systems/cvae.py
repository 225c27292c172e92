"""Conditional VAE with squared error (Sohn et al. 2015): digits and faces.

The loss of one example is

    w · Σ (x − x̂)² + KL(q(z | x, c) ‖ N(0, I)) + grey(step) · Σ x̂ (1 − x̂)

and once a step l2 · Σ kernel². Every term is logged alone. With the weight w
the first two terms are −ELBO up to a constant, under p(x | z) = N(x̂, 1/(2w)).
So the ELBO in nats is logged beside them. With config.loss another likelihood
takes the first term's place, and β, warm-up and free bits weigh the second.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import binary
from cvae_jax.systems.models import hierarchy, pair
from cvae_jax.systems.models.cvae import (
  BRANCHES,
  Model,
  build,
  init_variables,
)
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: a choice of config.loss is not supported, or the squared error
      has no weight above 0, and so is no likelihood.
  """
  model = build(config, facts)
  likelihood = model.likelihood
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(likelihood) + model.prior.branches,
    )
  }
  conditions = facts.condition_size

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    return model.output(state.params, z, condition)

  def posterior(state: TrainState, noise, image, condition):
    return model.posterior(state.params, noise, image, condition)[:2]

  draw, log_prior = latent_priors.make_functions(model.prior, model.pseudo)
  sampled = model.prior.sampled
  return System(
    init=lambda key: update.init_state(
      players, *init_variables(model, conditions, key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=functools.partial(_render, model),
    encode=lambda state, image, c: model.encode(state.params, image, c),
    decode=lambda state, z, c: model.decode(state.params, z, c),
    **likelihoods.make_functions(likelihood, output),
    observe=binary if model.binarise else None,
    draw=draw if sampled else None,
    log_prior=log_prior if sampled else None,
    posterior=posterior if model.levels else None,
    latents=model.latents,
    schedules=optim.rates(config.optim)
    | ({"grey_weight": model.grey} if model.grey else {})
    | kl_control.schedule(model.kl),
    notes=_notes(model) + hierarchy.note(model.levels),
  )


class _Found(NamedTuple):
  """What a forward pass finds."""

  image: Array  # the target
  output: Array  # its mean image
  kl: Array  # [B, Z]
  terms: Metrics  # each [B]
  model_state: PyTree
  q: Gaussian  # that z is of
  z: Array  # [B, Z]


def _forward(
  model: Model,
  params,
  model_state,
  batch: Batch,
  noise,
  drop=(None, None),
  second=None,
  step=None,
) -> _Found:
  """Return the target, the output and the terms of the loss.

  With a `second` key the KL is of another encoder pass with other dropout
  masks than those that z came from. Keras's graph mode did this in the
  original experiment. With a step it is a pass of training.
  """
  image = parts.unit(batch["image"])
  condition = batch["condition"]
  if model.binarise:
    image = binary(jax.random.fold_in(noise, 1), image)
  q, z, output = pair.infer(model, params, image, condition, noise, drop)
  first = q

  # 1. RECONSTRUCTION: w · Σ (x − x̂)², summed over pixels and channels; of
  # another likelihood −log p(x | z, c).
  nats, model_state = likelihoods.measure_nats(
    model.likelihood, params, model_state, image, output, step
  )
  terms = {}
  if isinstance(model.likelihood, likelihoods.Gaussian):
    weight = model.likelihood.weight
    squared_error = weight * losses.squared_error(image, output)
    terms["weighted_squared_error"] = squared_error
  else:
    terms["reconstruction"] = nats

  # 2. LATENTS: KL(q(z | x, c) ‖ p(z)), summed over latents.
  if second is not None:
    q = model.encode(params, image, condition, second)
  each = model.prior.kl(params, q, z, model.pseudo(params))
  kl = each.sum(axis=-1)

  # 3. GREY: Σ x̂ (1 − x̂), which draws pixels to black or white. Its weight
  # depends on the step, so it is multiplied later.
  mean = model.image(output)
  terms["kl"] = kl
  if model.grey:
    terms["grey"] = losses.grey_level(mean)

  elbo = -nats - kl
  terms["elbo"] = elbo
  terms |= hierarchy.terms(model.levels, each)
  terms |= likelihoods.bits(model.likelihood, elbo, model.shape)
  return _Found(image, mean, each, terms, model_state, first, z)


def _reconstruction(terms: Metrics) -> Array:
  """Return the first term of the loss, under either of its names."""
  return terms.get("weighted_squared_error", terms.get("reconstruction"))


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop, second = (jax.random.fold_in(key, i) for i in range(4))
  second = second if model.second_pass else None
  found = _forward(model, params, model_state, batch, noise, drop, second, step)
  terms = parts.means(found.terms)
  penalty = model.kl.penalty(found.kl, step, model.counts)
  total = _reconstruction(terms) + penalty
  if model.grey:
    terms["grey"] *= model.grey(step)
    total += terms["grey"]

  # 4. KERNELS: l2 · Σ kernel² of the convolutions, once a step.
  if model.l2 is not None:
    terms["l2"] = model.penalise_kernels(params)
    total += terms["l2"]

  # 5. REGULARISER: strength · R(z), by the objective's name; the equations
  # are in method/regularisers.py.
  if (regulariser := model.regulariser) is not None:
    draw = functools.partial(model.draw, params, noise, len(found.z))
    added = regulariser.terms(found.z, found.q, draw)
    terms |= added
    total += regulariser.strength * sum(added.values())
  return total, (terms, found.model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  found = _forward(model, state.params, state.model_state, batch, key)
  terms = found.terms
  penalty = model.kl.per_example(found.kl, state.step, model.counts)
  total = _reconstruction(terms) + penalty
  if model.grey:
    terms["grey"] *= model.grey(state.step)
    total += terms["grey"]
  psnr = losses.psnr(found.image, found.output)
  return {"loss": total, **terms, "psnr": psnr}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pair targets with reconstructions; draw fixed styles under a panel."""
  found = _forward(model, state.params, state.model_state, batch, key)
  styles = parts.STYLES
  options = panel.shape[0]
  encode = model.pseudo(state.params)
  z = model.prior.draw(state.params, key, styles, encode)
  z = jnp.repeat(z, options, axis=0)
  drawn = model.decode(state.params, z, jnp.tile(panel, (styles, 1)))
  return {
    "reconstruction": jnp.stack([found.image, found.output]),
    "conditions": drawn.reshape(styles, options, *model.shape),
  }


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the weights of squared error and KL amount to."""
  size = math.prod(model.shape)
  kl = f"{model.kl.words} summed over latents, both averaged over the batch"
  if not isinstance(model.likelihood, likelihoods.Gaussian):
    kind = type(model.likelihood).__name__
    return (f"reconstruction: nats of {kind} values, {kl}",)
  weight = model.likelihood.weight
  meaning = f"with p(x|z) = N(x̂, {1 / (2 * weight):g})"
  if model.kl.plain:
    constant = 0.5 * size * math.log(math.pi / weight)
    meaning = f"= −ELBO in nats − {constant:.2f} {meaning}"
  if model.kl.constant:
    beta = model.kl.beta / (2 * weight)
    meaning += f"; relative to ½·SSE + β·KL, β = {beta:g}"
  error = f"{weight:g} × squared error summed over {size} values"
  return f"reconstruction: {error}, {kl}", meaning
