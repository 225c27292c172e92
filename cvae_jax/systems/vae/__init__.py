"""VAE on flat images; with a condition it is the supervised CVAE.

Kingma and Welling 2014, and M2 of Kingma et al. 2014 where every label is
known. Which condition, or none, is a choice of the data. The loss of one
example, with sums over pixels and latents, is

    −log p(x | z, c) + β · KL(q(z | x, c) ‖ p(z)) + l2 · Σ kernel²

with Bernoulli pixels, β 1 and p(z) = N(0, I), unless config.loss and
config.prior say otherwise. The last
term is a prior N(0, 1 / (2 l2)) on the kernels. With `objective` iwae or dreg
the first two are replaced by −log (1/k) Σ p(x | z) p(z) / q(z | x) over k
samples (Burda et al. 2016). Other objectives add a term of the batch's
latents to −ELBO; `factor`'s is of a second player, which tells latents from
shuffled ones (Kim and Mnih 2018).
"""

import functools

from jax import Array

from cvae_jax.method import (
  kl_control,
  latent_priors,
  likelihoods,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.vae import model as models, terms
from cvae_jax.systems.vae.model import Model
from cvae_jax.types import Facts, Player, System, TrainState

BRANCHES = ("encoder", "decoder")


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe.

  Raises:
    ValueError: config.loss asks for what there is not.
  """
  model = models.build(config, facts)
  likelihood = model.loss.likelihood
  players = {
    "model": Player(
      loss=functools.partial(terms.loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(likelihood) + model.prior.branches,
    )
  }
  if model.discriminator is not None:
    players["discriminator"] = Player(
      loss=functools.partial(terms.discriminator_loss, model),
      tx=optim.build(config.optim),
      owns=(models.DISCRIMINATOR,),
    )
  conditions = facts.conditions

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return model.encode(state.params, flat(image), condition)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.image(state.params, z, condition)

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    return model.output(state.params, z, condition)

  draw, log_prior = latent_priors.functions(model.prior, model.pseudo)
  sampled = model.prior.sampled
  return System(
    init=lambda key: update.init_state(
      players, *models.begin(model, conditions, key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(terms.evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=parts.make_render(encode, decode, draw=draw),
    encode=encode,
    decode=decode,
    nats=functools.partial(likelihoods.nats_of_images, likelihood),
    outputs=likelihoods.make_outputs(likelihood, output),
    observe=binary if model.loss.binarise else None,
    draw=draw if sampled else None,
    log_prior=log_prior if sampled else None,
    latents=model.latents,
    schedules=optim.logged(config.optim) | kl_control.schedule(model.loss.kl),
    notes=(_note(model),),
  )


def _note(model: Model) -> str:
  """Say what the loss is made of."""
  loss = model.loss
  pixels = type(loss.likelihood).__name__
  plain = loss.likelihood == likelihoods.Bernoulli() and loss.kl.plain
  if plain and loss.objective == "elbo":
    return "loss: −ELBO in nats, Bernoulli pixels, + L2 of the kernels"
  if loss.bound:
    return (
      f"loss: −log of {loss.samples} importance weights' mean in nats "
      f"({loss.objective}), {pixels} pixels, + L2 of the kernels"
    )
  added = ""
  if loss.objective != "elbo":
    added = f" + {loss.strength:g} × {loss.objective}"
  return (
    f"loss: nats of {pixels} pixels + {loss.kl} of the KL in nats{added}, + L2 "
    "of the kernels"
  )
