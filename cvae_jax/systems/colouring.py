"""Greyscale to colour, cell by cell, with a conditional VAE.

A colour is a point (x, y) of a plane, r² = x² + y² its squared saturation.
The loss of one cell is

    w · ½ ((x − x̂)² + (y − ŷ)²) + KL(q ‖ N(0, I)) + s · (r² − r̂²)²

and once a step l2 · Σ kernel². Every term is logged alone. The encoder of the
original experiment sees only the grey that the decoder has as well. So z can
carry no colour, and the posterior falls onto the prior (docs/colour.md).
With model.encoder.sees_colour the encoder sees the colour, too.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  cells,
  gaussian,
  kl_control,
  likelihoods,
  losses,
  optim,
  parts,
  recompose,
  update,
)
from cvae_jax.nets.colouring import Decoder, Encoder
from cvae_jax.systems.models.colouring import (
  Model,
  init_variables,
  read_likelihood,
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

BRANCHES = ("encoder", "decoder")
_SHOWN = 5  # variants in a sample grid


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim."""
  branch = config.model.branch.to_dict()
  model = Model(
    encoder=Encoder(branch, **config.model.encoder),
    decoder=Decoder(branch, **config.model.decoder),
    positions=config.model.positions,
    weight=config.loss.mse,
    likelihood=read_likelihood(config.loss),
    kl=kl_control.read_kl_weight(config.loss),
    saturation=config.loss.saturation,
    l2=config.loss.l2,
    second_pass=config.loss.kl_of_second_pass,
  )
  if model.positions not in cells.POSITIONS:
    raise ValueError(
      f"model.positions is one of {cells.POSITIONS}; found {model.positions}"
    )
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(model.likelihood),
    )
  }
  return System(
    init=lambda key: update.init_state(players, *init_variables(model, key)),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"photo": (cells.SIDE, cells.SIDE, 3), "cell": ()},
    render=functools.partial(_render, model),
    decode=functools.partial(_colour_maps, model),
    latents=model.encoder.latents,
    schedules=optim.rates(config.optim) | kl_control.schedule(model.kl),
    notes=_notes(model),
  )


def _forward(
  model: Model,
  params,
  model_state,
  batch: Batch,
  noise,
  drop=(None, None),
  second=None,
  step=None,
) -> tuple[Metrics, Array, PyTree]:
  """Return the terms and the plain error [B], the KL [B, Z], the model_state.

  With a step it is a pass of training.
  """
  inputs = model.inputs(batch)
  levels, position, colour = inputs
  q = model.encode(params, inputs, drop[0])
  z = gaussian.reparameterise(noise, q)
  output = model.decode(params, levels, position, z[:, None], drop[1])[:, 0]

  # 1. RECONSTRUCTION: w · ½ ((x − x̂)² + (y − ŷ)²), or −log p of sigma.
  squared_error = losses.squared_error(colour, output)
  logvar, model_state = likelihoods.fit(
    model.likelihood, params, model_state, colour, output, step
  )
  nats = model.likelihood.nats(colour, output, logvar)
  if isinstance(model.likelihood, likelihoods.Gaussian):
    reconstruction = model.weight * 0.5 * squared_error
    terms = {"weighted_squared_error": reconstruction}
  else:
    terms = {"reconstruction": nats}

  # 2. LATENTS: KL(q ‖ N(0, I)), summed over latents. In the faithful variant
  # q comes from another pass with other dropout masks than z.
  if second is not None:
    q = model.encode(params, inputs, second)
  each = gaussian.kl_to_prior(q)
  kl = each.sum(axis=-1)

  # 3. SATURATION: s · (r² − r̂²)² with r² = x² + y².
  true_radius = jnp.sum(colour**2, axis=-1)
  radius = jnp.sum(output**2, axis=-1)
  saturation = model.saturation * (true_radius - radius) ** 2

  terms |= {
    "kl": kl,
    "saturation": saturation,
    "mse": 0.5 * squared_error,
    "elbo": -nats - kl,
  }
  return terms, each, model_state


def _total(terms: Metrics, penalty: Array) -> Array:
  """Add up the loss but for the kernels."""
  first = terms.get("weighted_squared_error", terms.get("reconstruction"))
  return first + penalty + terms["saturation"]


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop, second = (jax.random.fold_in(key, i) for i in range(4))
  second = second if model.second_pass else None
  terms, each, model_state = _forward(
    model, params, model_state, batch, noise, drop, second, step
  )
  terms = parts.means(terms)

  # 4. KERNELS: l2 · Σ kernel² of the convolutions, once a step.
  terms["l2"] = losses.kernel_l2(params, model.l2)

  penalty = model.kl.penalty(each, step, model.encoder.latents)
  return _total(terms, penalty) + terms["l2"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return the terms, and the error of colours drawn without seeing any."""
  terms, each, _ = _forward(model, state.params, state.model_state, batch, key)
  penalty = model.kl.per_example(each, state.step, model.encoder.latents)
  total = _total(terms, penalty)
  levels, position, colour = model.inputs(batch)
  blind = jax.random.fold_in(key, 1)
  z = jax.random.normal(blind, (len(colour), 1, model.encoder.latents))
  z = jnp.concatenate([z, jnp.zeros_like(z)], axis=1)
  drawn = model.decode(state.params, levels, position, z)
  errors = 0.5 * jnp.sum((drawn - colour[:, None]) ** 2, axis=-1)
  unseen = {"prior_error": errors[:, 0], "z0_error": errors[:, 1]}
  return {"loss": total, **terms, **unseen}


def _colour_maps(model: Model, state: TrainState, z: Array, grey: Array):
  """Colour grey photos [N, H, W] in [0, 1]: maps [N, V, 14, 14, 2].

  Each of the latents z [N, V, Z] serves all cells of its photo, and the
  first level is not rounded, as in the source's test.
  """
  photo = jnp.repeat(jnp.arange(len(z)), cells.CELLS)
  cell = jnp.tile(jnp.arange(cells.CELLS), len(z))
  grey = jnp.rint(grey * 255.0).astype(jnp.int32)
  levels = cells.pyramid(grey, photo, cell, whole_bytes=False)
  position = cells.positions(cell, model.positions)
  maps = model.decode(state.params, levels, position, z[photo])
  maps = maps.reshape(len(z), cells.GRID, cells.GRID, *maps.shape[1:])
  return maps.transpose(0, 3, 1, 2, 4)


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Set a photo's true colour map beside variants of the model's."""
  photo = batch["photo"][:1]
  cell = jnp.arange(cells.CELLS)
  true = cells.targets(jnp.repeat(photo, cells.CELLS, axis=0), cell)
  true = true.reshape(1, 1, cells.GRID, cells.GRID, 2)
  z = jax.random.normal(key, (1, _SHOWN, model.encoder.latents))
  grey = cells.grey(photo) / 255.0
  maps = jnp.concatenate([true, _colour_maps(model, state, z, grey)], axis=1)
  grey = jnp.broadcast_to(grey[:, None], (*maps.shape[:2], *grey.shape[1:]))
  return {"colours": recompose.paint(maps, grey)}


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the weight of the squared error amounts to."""
  colour = "the true colour" if model.encoder.sees_colour else "no colour"
  sees = f"the encoder sees {colour}"
  kl = f"{model.kl.words} summed over latents, both averaged over the batch"
  if not isinstance(model.likelihood, likelihoods.Gaussian):
    kind = type(model.likelihood).__name__
    return f"reconstruction: nats of {kind} values, {kl}", sees
  return (
    f"reconstruction: {model.weight:g} × mean squared error of (x, y), {kl}",
    f"= −log p(x, y | z) with p = N(output, {1 / model.weight:g}), up to a "
    f"constant; {sees}",
  )
