"""The parts of a restored run, and what its latents are drawn from."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax.host.arguments import RunError
from cvae_jax.loop.mesh import ONE, Mesh
from cvae_jax.loop.run import effects, fitted, requests
from cvae_jax.metrics.aggregate import Aggregate
from cvae_jax.types import System, TrainState


@dataclasses.dataclass(frozen=True)
class Drawn:
  """A run's parts, and the latents that it draws.

  Attributes:
    folder: the run's folder, or its export's.
    config: the one that it was trained with.
    conditions: the data source's, which say what it can be asked for.
    system: the functions of its method.
    state: its parameters and statistics.
    fitted: a prior that is used instead of the system's, see `with_prior`.
    guidance: how far samples exaggerate their condition, see `with_guidance`.
    temperature: the scale of the prior's draws, see `with_temperature`.
    mesh: the devices that share its work, at most config.mesh.
  """

  folder: Path
  config: ConfigDict
  conditions: Any  # the data source's
  system: System
  state: TrainState
  fitted: Aggregate | None = None
  mesh: Mesh = ONE
  guidance: float = 1.0
  temperature: float = 1.0

  @functools.cached_property
  def placed(self) -> TrainState:
    """Return the state on each device of the mesh."""
    shared = self.mesh.grid is not None
    return self.mesh.replicate(self.state) if shared else self.state

  def with_guidance(self, guidance: float) -> Self:
    """Return the run with another guidance in all it draws.

    Args:
      guidance: how far to go from the answer without the condition to that
        with it; above 1 the condition is exaggerated.

    Raises:
      RunError: it is no number, or the model knows no unknown values.
    """
    return dataclasses.replace(self, guidance=self._check_guidance(guidance))

  def _check_guidance(self, guidance: float) -> float:
    if not np.isfinite(guidance):
      raise RunError(f"guidance is a finite number; found {guidance}")
    if guidance != 1.0 and not self.takes_guidance:
      raise RunError(
        f"{self.folder}: guidance needs a model trained with unknown values of "
        "each attribute; train with --config.data.condition_dropout=0.1"
      )
    return float(guidance)

  @property
  def takes_guidance(self) -> bool:
    """Tell whether training saw unknown values of each attribute."""
    asked = getattr(self.conditions, "asked", ())
    return bool(asked) and set(asked) == set(self.unknowns)

  @functools.cached_property
  def unknowns(self) -> tuple[str, ...]:
    """Name the attributes of which training saw unknown values."""
    return requests.may_be_unknown(self.config, self.conditions)

  def with_temperature(self, temperature: float | None) -> Self:
    """Return the run with latents of another standard deviation, N(0, t² I).

    With t below 1 samples are closer to the most usual image, and differ less.
    This is common for hierarchies (Vahdat and Kautz 2020, section 4), whose
    samples have more errors the more levels there are.

    Args:
      temperature: t, 0 or more; 1 is the prior itself. With None the run is
        returned unchanged.

    Raises:
      RunError: t is no such number, or the prior is not N(0, I).
    """
    if temperature is None:
      return self
    if not (np.isfinite(temperature) and temperature >= 0):
      raise RunError(
        f"a temperature is a number from 0 on; found {temperature}"
      )
    if temperature != 1.0 and not self._standard():
      raise RunError(
        f"{self.folder}: a temperature is of latents from N(0, I), and these "
        "are of another prior: leave the temperature out"
      )
    return dataclasses.replace(self, temperature=float(temperature))

  def _standard(self) -> bool:
    """Tell whether latents are drawn from N(0, I)."""
    own = self.system.draw is None and self.system.prior is None
    return own and self.fitted is None

  def with_prior(self, name: str, dataset: Any = None) -> Self:
    """Return the run with a prior fitted to its posteriors, kept in its folder.

    Args:
      name: "fitted", a Gaussian with full covariance for each condition;
        "fitted:K", a mixture of K; "" for the run as it is.
      dataset: the data, of a run whose data were handed in as arrays.

    Raises:
      RunError: there is no such prior, or the system encodes no images.
      DataError: a fit has to be made, and the data are not there.
    """
    if not name:
      return self
    found = fitted.load_or_fit(self, name, dataset)
    run = dataclasses.replace(self, fitted=found)
    return run.with_temperature(self.temperature)

  def prior(
    self,
    count: int,
    seed: int = 0,
    condition: NDArray | None = None,
    shared: int = 1,
  ) -> NDArray:
    """Draw latents [count, Z] of the run's own prior, or of its fitted one.

    A seed gives the same ones.

    Args:
      count: how many, a multiple of `shared`.
      seed: of the noise.
      condition: [count, A]; only a fitted prior uses it.
      shared: how many consecutive latents have the same noise.
    """
    if self.fitted is not None:
      return fitted.draw(self, count, seed, condition, shared)
    return self._own_prior(count // shared, seed).repeat(shared, axis=0)

  def spread(self, condition: NDArray) -> tuple[NDArray, NDArray]:
    """Return each latent's mean and standard deviation [Z] in the prior.

    Args:
      condition: [1, A]; only a fitted prior uses it.
    """
    if self._standard():
      return np.zeros(self.system.latents), np.ones(self.system.latents)
    count = effects.DRAWS
    z = self.prior(count, condition=np.repeat(condition, count, axis=0))
    return z.mean(axis=0), z.std(axis=0)

  def _own_prior(self, count: int, seed: int) -> NDArray:
    if self.system.draw:
      draw = jax.jit(self.system.draw, static_argnums=2)
      return np.asarray(draw(self.state, jax.random.key(seed), count))
    if self.system.prior:
      return np.asarray(self.system.prior(jax.random.key(seed), count))
    generator = np.random.default_rng(seed)
    shape = (count, self.system.latents)
    z = generator.standard_normal(shape, np.float32)
    return np.float32(self.temperature) * z
