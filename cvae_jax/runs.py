"""A trained run as plain functions of arrays.

run = runs.load("runs/digits")
images = run.sample({"class": [3, 3, 8], "ink": 0.5})  # [3, 28, 28, 1]
z = run.encode(images, {"class": [3, 3, 8], "ink": 0.5}).mean
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax import config as configs
from cvae_jax.host import arguments, commands, hub
from cvae_jax.host.arguments import RunError
from cvae_jax.host.images import unit as unit
from cvae_jax.host.paths import local
from cvae_jax.loop import mesh
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.exports import saved as saved
from cvae_jax.loop.folder.folders import (
  Folder as Folder,  # runs.below gives them
  below as below,
)
from cvae_jax.loop.folder.restore import run_state
from cvae_jax.loop.folder.run_conditions import (
  attribute_columns,
  load_conditions,
)
from cvae_jax.loop.run.functions import Functions
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.loop.run.restored import (
  VALUES as VALUES,
  Request,
  caution as caution,
)
from cvae_jax.method import gaussian
from cvae_jax.types import System


@dataclasses.dataclass(frozen=True)
class Run(Functions):
  """A restored run. Images are [B, H, W, C], float in [0, 1] or uint8."""

  def __repr__(self) -> str:
    """Name the run in a line; its arrays would fill thousands."""
    name = hub.display_name(self.folder)
    step = int(self.state.step)
    return (
      f"<Run {name}: {self.config.name}, system {self.config.system}, "
      f"{step:,} steps>"
    )

  @arguments.refuse_ambiguous
  def encode(
    self, images: ArrayLike, condition: Request = None, **named: Any
  ) -> gaussian.Gaussian:
    """Return q(z | images, condition), a Gaussian over [B, Z].

    Args:
      images: [B, H, W, C], uint8 or floats in [0, 1].
      condition: what the images show: vectors [B, A] or words, as in
        `request`. One request serves all images.
      named: attributes and their values, instead: size=0.3.

    Raises:
      RunError: images or condition do not fit the run.
      DataError: an attribute is unknown or missing.
    """
    self._function("encode")  # before a condition is asked for
    images, condition = arguments.rows(
      images=self._images(images),
      condition=self.encode_condition(condition, **named),
    )
    return self._apply("encode", images, condition)

  def decode(self, z: ArrayLike, condition: ArrayLike) -> NDArray:
    """Decode latents: return images [B, H, W, C].

    They are what the network gives, at times a little outside [0, 1]; `guided`
    clips them.

    Args:
      z: latents [B, Z]; one of [Z] is one row.
      condition: vectors [B, A]; one row serves all latents.

    Raises:
      RunError: the system decodes nothing, shapes do not fit, or what it
        decodes is no image: not finite, or far outside [0, 1].
    """
    self._function("decode")
    z = self._check_vectors(z, "z", "Z", self.system.latents)
    z, condition = arguments.rows(z=z, condition=self._condition(condition))
    found = self._apply("decode", z, condition)
    if "image" in self.system.columns:
      arguments.check_decoded(found, self.folder)
    return found

  def edit(
    self, images: ArrayLike, condition: Request, changed: Request
  ) -> NDArray:
    """Change what images [B, H, W, C] in [0, 1] show; return such images.

    Each is encoded with its own condition. The mean of that posterior is
    decoded with the changed one.

    Args:
      images: uint8 or floats in [0, 1].
      condition: what they show: vectors [B, A] or words, as in `encode`.
      changed: vectors [B, A], or words that say only what changes.

    Raises:
      RunError: images or a condition do not fit the run.
      DataError: an attribute is unknown, or has no value.
    """
    own = self.encode_condition(condition)
    if changed is None or isinstance(changed, str | Mapping):
      words = self.parse(changed or {})
      changed = self.conditions.fill(own, words)
    decoded = self.decode(self.encode(images, own).mean, changed)
    return np.clip(decoded, 0.0, 1.0)

  @arguments.refuse_ambiguous
  def sample(
    self,
    condition: Request = None,
    seed: int = 0,
    *,
    count: int | None = None,
    guidance: float | None = None,
    prior: str = "",
    temperature: float | None = None,
    **named: Any,
  ) -> NDArray:
    """Draw images [B, H, W, C] in [0, 1]: decode z ~ prior under a condition.

    Args:
      condition: vectors [B, A] or words, as in `request`.
      seed: of the latents, and of what is drawn for attributes left out.
      count: how many samples, of one condition.
      guidance: above 1 the condition is exaggerated, see `with_guidance`.
      prior: "fitted" or "fitted:K", see `with_prior`, which also takes the
        data of a run whose data were handed in as arrays.
      temperature: of the latents, see `with_temperature`; None for the run's.
      named: attributes and their values, instead: shape="triangle".

    Raises:
      RunError: the condition does not fit the run, or guidance is asked of a
        model that was trained with every value known.
      DataError: an attribute or a value is unknown.
    """
    run = self.with_prior(prior).with_temperature(temperature)
    vectors = run.request(condition, count, seed, **named).vectors
    z = run.prior(len(vectors), seed, vectors)
    return self.guided(z, vectors, guidance)

  def guided(
    self, z: ArrayLike, condition: ArrayLike, guidance: float | None = None
  ) -> NDArray:
    """Decode z [B, Z] under condition [B, A], cut off at [0, 1].

    Args:
      z: latents.
      condition: vectors.
      guidance: see `with_guidance`; None for the run's, 1 if it has none.

    Raises:
      RunError: guidance is no number, or asked of a model that knows no
        unknown values, or the run colours photos.
    """
    guidance = self.guidance if guidance is None else guidance
    guidance = self._check_guidance(guidance)
    if "image" not in self.system.columns:
      raise RunError(f"{self.folder} draws no samples; {purpose(self)}")
    images = self.decode(z, condition)
    if guidance != 1.0:
      free = self.decode(z, np.zeros_like(np.asarray(condition, np.float32)))
      images = free + np.float32(guidance) * (images - free)
    return np.clip(images, 0.0, 1.0)


def load(
  folder: str | Path,
  step: int | None = None,
  *,
  system: System | Callable | None = None,
  conditions: Any = None,
  trust: bool = False,
) -> Run:
  """Restore a run's state: its latest, its best or the one of `step`.

  Without a step it is the best where config.early_stop.restore is set.

  Args:
    folder: the run's folder, an export's, pretrained/digits and the like, or
      hf://user/name and hf://user/name@revision.
    step: a checkpoint's.
    system: what was given to train_and_evaluate as `system`.
    conditions: the object that turns requests into vectors, instead of the
      data source's.
    trust: whether the user's own modules that the run names are imported.

  Raises:
    RunError: the folder is no run, or has no checkpoint yet.
    ConfigError: it names a module of the user's own, and trust is False.
    DamagedFile: a file of it cannot be read.
    CheckpointError: the step is not there or does not fit the config.
  """
  folder = exports.find(local(hub.fetch(folder), "a run's folder"))
  if not (folder / "config.json").exists():
    raise RunError(
      f"{folder} is not a run's folder: no config.json. Train one with "
      f"{commands.format_command('train')} --config=… "
      f"--workdir={commands.quote(folder)}"
    )
  config = configs.of_run(folder)
  if trust:
    configs.trust(config)
  if not saved(folder):
    raise RunError(f"{folder} has no checkpoint yet; let it train longer")
  conditions = conditions or load_conditions(folder, config.data.name, trust)
  attributes = attribute_columns(conditions)
  system, state = run_state(folder, config, attributes, step, system)
  devices = mesh.for_run(config)
  return Run(folder, config, conditions, system, state, mesh=devices)
