"""Priors of latents by name: standard, conditional, mixture and VampPrior.

The conditional prior p(z | c) = N(m(c), s(c)²) is a change of variables: the
latent of the system is e = (z − m) / s, whose prior is N(0, I) again. So code
that draws, edits or measures latents needs not know of this prior, and an
edited image keeps its place within its condition.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import check
from cvae_jax.types import PyTree, TrainState

BRANCH = "prior"  # of params
NAMES = ("standard", "conditional", "mixture", "vamp")


class Prior(NamedTuple):
  """The prior of a system's latents; its parameters are a branch of params."""

  name: str
  latents: int
  components: int  # of the mixtures
  image: tuple[int, ...]  # shape of a pseudo-input of VampPrior
  conditions: int

  @property
  def branches(self) -> tuple[str, ...]:
    """Return the branches of params that it has."""
    return () if self.name == "standard" else (BRANCH,)

  @property
  def sampled(self) -> bool:
    """Tell whether the KL is estimated by a sample of z."""
    return self.name in ("mixture", "vamp")

  def init(self, key: Array) -> PyTree:
    """Return its branch of params, {} for the standard prior."""
    size = self.latents
    count = self.components
    if self.name == "conditional":  # begins as N(0, I)
      kernel = jnp.zeros((self.conditions, 2 * size))
      branch = {"kernel": kernel, "bias": jnp.zeros(2 * size)}
    elif self.name == "mixture":
      branch = {
        "logits": jnp.zeros(count),
        "mean": jax.random.normal(key, (count, size)),
        "logvar": jnp.zeros((count, size)),
      }
    elif self.name == "vamp":
      image = jax.random.normal(key, (count, *self.image))
      branch = {
        "image": image - 1.0,  # logits, rather dark
        "condition": jnp.full((count, self.conditions), 0.5),
      }
    else:
      return {}
    return {BRANCH: branch}

  def standardise(self, params: PyTree, q: Gaussian, condition) -> Gaussian:
    """Return q(e) for a posterior q(z); only `conditional` changes anything."""
    if self.name != "conditional":
      return q
    mean, logvar = self._moments(params, condition)
    scaled = (q.mean - mean) * jnp.exp(-0.5 * logvar)
    return Gaussian(scaled, q.logvar - logvar)

  def place(self, params: PyTree, e: Array, condition: Array) -> Array:
    """Return the z [..., Z] that the decoder reads, from e [..., Z]."""
    if self.name != "conditional":
      return e
    mean, logvar = self._moments(params, condition)
    return mean + jnp.exp(0.5 * logvar) * e

  def _moments(self, params: PyTree, condition: Array) -> tuple[Array, Array]:
    branch = params[BRANCH]
    bias = branch["bias"].reshape((1,) * (condition.ndim - 1) + (-1,))
    found = jnp.matmul(condition, branch["kernel"]) + bias
    mean, logvar = jnp.split(found, 2, axis=-1)
    return mean, logvar

  def kl(self, params: PyTree, q: Gaussian, z: Array, encode) -> Array:
    """Return KL(q ‖ p) of each latent [B, Z], or its estimate by z, [B, 1].

    Args:
      params: of the system.
      q: a posterior, as `standardise` returns it.
      z: a sample of it.
      encode: (image, condition) -> Gaussian, for pseudo-inputs.
    """
    if not self.sampled:
      return gaussian.kl_to_prior(q)
    density = self.log_density(params, z, encode)
    return (gaussian.log_density(z, q) - density)[..., None]

  def log_density(self, params: PyTree, z: Array, encode: Callable) -> Array:
    """Return log p(z) [...] of z [..., Z]."""
    if not self.sampled:
      return gaussian.log_density(z, gaussian.standard(z))
    logits, parts = self._components(params, encode)
    lead = (1,) * (z.ndim - 1)
    parts = jax.tree.map(lambda a: a.reshape(*lead, *a.shape), parts)
    logs = gaussian.log_density(z[..., None, :], parts)
    shares = jax.nn.log_softmax(logits).reshape(*lead, -1)
    return jax.nn.logsumexp(logs + shares, axis=-1)

  def draw(self, params: PyTree, key: Array, count: int, encode) -> Array:
    """Draw e [count, Z]."""
    if not self.sampled:
      return gaussian.draw(key, count, self.latents)
    logits, parts = self._components(params, encode)
    which, noise = jax.random.split(key)
    index = jax.random.categorical(which, logits, shape=(count,))
    return gaussian.reparameterise(
      noise, jax.tree.map(lambda a: a[index], parts)
    )

  def _components(self, params: PyTree, encode) -> tuple[Array, Gaussian]:
    """Return the components' logits [K] and Gaussians over [K, Z]."""
    branch = params[BRANCH]
    if self.name == "mixture":
      return branch["logits"], Gaussian(branch["mean"], branch["logvar"])
    pseudo = jax.nn.sigmoid(branch["image"]), branch["condition"]
    return jnp.zeros(self.components), encode(*pseudo)


def make_functions(prior: Prior, pseudo: Callable) -> tuple[Callable, Callable]:
  """Return a prior's functions of a System: draw and log_prior.

  Args:
    prior: of the system's latents.
    pseudo: params → ((image, condition) → Gaussian), for VampPrior.
  """

  def draw(state: TrainState, key: Array, count: int) -> Array:
    encode = pseudo(state.params)
    return prior.draw(state.params, key, count, encode)

  def log_prior(state: TrainState, z: Array) -> Array:
    encode = pseudo(state.params)
    return prior.log_density(state.params, z, encode)

  return draw, log_prior


def build(config, latents: int, image: tuple[int, ...], conditions: int):
  """Build the prior that a config's group `prior` names.

  Args:
    config: of a run. `prior.name` is one of NAMES, `prior.components` the
      number of Gaussians of mixture and vamp.
    latents: Z.
    image: the shape of an image.
    conditions: A.

  Raises:
    ValueError: there is no such prior, or nothing to condition it on.
  """
  group = config.get("prior", {})
  name = check(NAMES, group.get("name", "standard"), "prior.name")
  components = group.get("components", 10)
  if components < 1:
    raise ValueError(f"prior.components is 1 or more; found {components}")
  if name == "conditional" and not conditions:
    raise ValueError(
      "prior.name=conditional is p(z | c), and these data have no condition; "
      "choose data with one, or another prior"
    )
  return Prior(name, latents, components, tuple(image), conditions)
