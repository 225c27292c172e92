"""The weight of a VAE's KL: β, warm-up, cycles, free bits and capacity."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

Counts = int | tuple[int, ...]  # of latents: all, or those of each level


class KLWeight(NamedTuple):
  """How the KL enters the loss. The logged ELBO does not depend on it.

  The weight is β, `beta`. With `warmup` = n it rises from 0 to β in n steps.
  With `cycles` = m it rises m times, and stays at β for n steps after each
  rise. `free_bits` are the nats of each latent that are not penalised. With a
  `capacity` the term is β · |KL − C|, and C rises from 0 to the capacity in
  `warmup` steps (Burgess et al. 2018).
  """

  beta: float = 1.0
  warmup: int = 0
  cycles: int = 0
  free_bits: float = 0.0
  capacity: float = 0.0

  @property
  def plain(self) -> bool:
    """Tell whether the KL enters the loss unchanged."""
    return self == KLWeight()

  @property
  def constant(self) -> bool:
    """Tell whether the KL enters the loss with a constant weight β."""
    return self._replace(beta=1.0).plain

  @property
  def words(self) -> str:
    """Say what enters the loss: KL, 4 × KL, or KL and what weighs it."""
    if self.constant:
      return "KL" if self.plain else f"{self.beta:g} × KL"
    usual = KLWeight()._asdict()
    said = [f"{k}={v:g}" for k, v in self._asdict().items() if v != usual[k]]
    return f"KL ({', '.join(said)})"

  def weight(self, step: Array) -> Array | float:
    """Return the weight of the KL at a step."""
    if not self.warmup or self.capacity:
      return self.beta
    within = step
    if self.cycles > 1:
      length = 2 * self.warmup
      within = jnp.where(step < self.cycles * length, step % length, length)
    return self.beta * jnp.minimum(1.0, within / self.warmup)

  def penalty(self, kl: Array, step: Array, latents: Counts) -> Array:
    """Return the KL's part of a training loss, [].

    Free bits are compared with the batch's mean KL of each latent (Kingma et
    al. 2016), the capacity with the mean of their sum.

    Args:
      kl: nats [B, Z]; or [B, 1], where only their sum is known.
      step: of the update.
      latents: Z. In a hierarchy the number of latents of each level; free
        bits are then compared with the level's KL.
    """
    if self.plain:  # the same number as the logged KL, to the last bit
      return kl.sum(axis=-1).mean()
    return self._reduce(_sum_latents(kl, latents).mean(axis=0), step, latents)

  def per_example(self, kl: Array, step: Array, latents: Counts) -> Array:
    """Return the penalty of each example alone, [B], for an evaluation."""
    return self._reduce(_sum_latents(kl, latents), step, latents)

  def _reduce(self, kl: Array, step: Array, latents: Counts) -> Array:
    """Return the weighted sum of kl over its columns, with free nats."""
    if self.free_bits:
      kl = jnp.maximum(kl, self._free_nats(kl, latents))
    return self._weigh(kl.sum(axis=-1), step)

  def _free_nats(self, kl: Array, latents: Counts) -> Array | float:
    """Return the least that each column of kl counts as."""
    if isinstance(latents, int):
      return self.free_bits * latents / kl.shape[-1]
    each = self.free_bits * jnp.asarray(latents, kl.dtype)
    return jnp.broadcast_to(each, kl.shape)

  def _weigh(self, kl: Array, step: Array) -> Array:
    if not self.capacity:
      return self.weight(step) * kl
    rise = jnp.minimum(1.0, step / self.warmup) if self.warmup else 1.0
    return self.beta * jnp.abs(kl - rise * self.capacity)


def sum_levels(kl: Array, counts: tuple[int, ...]) -> Array:
  """Add up the KL of latents [B, Z] to the KL of levels [B, L]."""
  ends = np.cumsum(counts)[:-1]
  return jnp.stack([a.sum(-1) for a in jnp.split(kl, ends, -1)], axis=-1)


def _sum_latents(kl: Array, latents: Counts) -> Array:
  return kl if isinstance(latents, int) else sum_levels(kl, latents)


def read_kl_weight(loss) -> KLWeight:
  """Read a config's groups `loss` and `loss.kl`.

  Raises:
    ValueError: a number is below 0, cycles have no warm-up, or free bits or
      cycles stand beside a capacity.
  """
  kl = loss.get("kl", {})
  found = KLWeight(
    loss.get("beta", 1.0), **{k: kl[k] for k in KLWeight._fields if k in kl}
  )
  if min(found) < 0:
    raise ValueError(f"loss.beta and loss.kl are 0 or more; found {found}")
  if found.cycles and not found.warmup:
    raise ValueError(
      f"loss.kl.cycles={found.cycles} repeats the warm-up; give its steps, "
      "loss.kl.warmup"
    )
  if found.free_bits and found.capacity:
    raise ValueError("give loss.kl.free_bits or loss.kl.capacity, not both")
  if found.cycles and found.capacity:
    raise ValueError(
      "a capacity rises once, in loss.kl.warmup steps; give loss.kl.cycles or "
      "loss.kl.capacity, not both"
    )
  return found


def schedule(found: KLWeight) -> dict:
  """Return {"kl_weight": function of the step} where it changes."""
  changes = found.warmup and not found.capacity
  return {"kl_weight": found.weight} if changes else {}
