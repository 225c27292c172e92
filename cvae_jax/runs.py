"""A trained run as plain functions of arrays.

run = runs.load("runs/digits")
images = run.sample({"class": [3, 3, 8], "ink": 0.5})  # [3, 28, 28, 1]
z = run.encode(images, {"class": [3, 3, 8], "ink": 0.5}).mean
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.errors import ScopeParamShapeError
from ml_collections import ConfigDict
from numpy.typing import ArrayLike, NDArray

from cvae_jax import config as configs, data
from cvae_jax.host import arguments, commands
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import DamagedFile, read_json
from cvae_jax.host.images import unit
from cvae_jax.host.paths import local
from cvae_jax.loop import asking, exports, fitted
from cvae_jax.loop.folders import (
  Folder as Folder,  # runs.below gives them
  below as below,
)
from cvae_jax.loop.restore import run_state
from cvae_jax.loop.run_data import places
from cvae_jax.method import gaussian
from cvae_jax.metrics.aggregate import Aggregate
from cvae_jax.types import PyTree, System, TrainState

ROWS = 500  # that a run computes at once, of small images
VALUES = 1 << 21  # of the images computed at once: 48 faces of 120 × 120
Request = ArrayLike | Mapping[str, Any] | str | None
YOUNG = 200  # steps, fewer than any page trains for but its smoke variant


@dataclasses.dataclass(frozen=True)
class Run:
  """A restored run. Images are [B, H, W, C], float in [0, 1] or uint8."""

  folder: Path
  config: ConfigDict
  conditions: Any  # the data source's: encode, measure, panel
  system: System
  state: TrainState
  fitted: Aggregate | None = None  # instead of the system's prior

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
    images, condition = arguments.rows(
      images=self._images(images), condition=self._known(condition, named)
    )
    return self._apply("encode", images, condition)

  def decode(self, z: ArrayLike, condition: ArrayLike) -> NDArray:
    """Return images [B, H, W, C] for z [B, Z] and condition [B, A]."""
    self._function("decode")
    z = self._shaped(z, "z", "Z", self.system.latents)
    z, condition = arguments.rows(z=z, condition=self._condition(condition))
    return self._apply("decode", z, condition)

  def outputs(self, z: ArrayLike, condition: ArrayLike) -> PyTree:
    """Return what the system's `nats` is of for z [B, Z], condition [B, A]."""
    if self.system.outputs is None:
      return self.decode(z, condition)
    z = self._shaped(z, "z", "Z", self.system.latents)
    z, condition = arguments.rows(z=z, condition=self._condition(condition))
    return self._apply("outputs", z, condition)

  def kl(self, q: gaussian.Gaussian, z: ArrayLike) -> NDArray:
    """Return KL(q ‖ prior) [B] of posteriors, by z [B, Z] of a learned one."""
    if self.system.log_prior is None:
      return np.asarray(gaussian.kl_to_prior(q)).sum(axis=-1)
    z = self._shaped(z, "z", "Z", self.system.latents)
    return np.asarray(gaussian.log_density(z, q)) - self._apply("log_prior", z)

  def edit(
    self, images: ArrayLike, condition: Request, changed: Request
  ) -> NDArray:
    """Show images [B, H, W, C] as they might be: [B, H, W, C] in [0, 1].

    Each is encoded with its own condition; the mean of that posterior is
    decoded with the changed one. Both are vectors [B, A] or words, in which
    `changed` says only what is to change.
    """
    own = self._known(condition, {})
    if changed is None or isinstance(changed, str | Mapping):
      words = self.parse(changed or {})
      changed = self.conditions.fill(own, words)
    decoded = self.decode(self.encode(images, own).mean, changed)
    return np.clip(decoded, 0.0, 1.0)

  def sample(
    self,
    condition: Request = None,
    seed: int = 0,
    *,
    count: int | None = None,
    guidance: float = 1.0,
    prior: str = "",
    **named: Any,
  ) -> NDArray:
    """Draw images [B, H, W, C] in [0, 1]: decode z ~ prior under a condition.

    Args:
      condition: vectors [B, A] or words, as in `request`.
      seed: of the latents, and of what is drawn for attributes left out.
      count: how many samples, of one condition.
      guidance: how far to go from the answer without the condition to that
        with it; above 1 the condition is exaggerated.
      prior: "fitted" or "fitted:K", see `with_prior`.
      named: attributes and their values, instead: shape="triangle".

    Raises:
      RunError: the condition does not fit the run, or guidance is asked of a
        model that was trained with every value known.
      DataError: an attribute or a value is none that there is.
    """
    vectors = self.request(condition, count, seed, **named).vectors
    run = self.with_prior(prior)
    z = run.prior(len(vectors), seed, vectors)
    return run.guided(z, vectors, guidance)

  def guided(
    self, z: ArrayLike, condition: ArrayLike, guidance: float = 1.0
  ) -> NDArray:
    """Decode z [B, Z] under condition [B, A], cut off at [0, 1].

    Args:
      z: latents.
      condition: vectors.
      guidance: see `sample`.

    Raises:
      RunError: guidance is asked of a model that knows no unknown values.
    """
    images = self.decode(z, condition)
    if guidance != 1.0:
      if not getattr(self.conditions, "known_bits", False):
        raise RunError(
          f"{self.folder}: guidance needs a model trained with unknown values; "
          "train with --config.data.condition_dropout=0.1"
        )
      free = self.decode(z, np.zeros_like(np.asarray(condition, np.float32)))
      images = free + np.float32(guidance) * (images - free)
    return np.clip(images, 0.0, 1.0)

  def parse(self, request: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return a request as {attribute: value}.

    Raises:
      RunError: the run can be asked for nothing.
      DataError: a name or a value is none that there is.
    """
    return asking.parse(self.folder, self.conditions, request)

  def request(
    self,
    condition: Request = None,
    count: int | None = None,
    seed: int = 0,
    **named: Any,
  ) -> asking.Asked:
    """Return the condition vectors of a request, and what was left out.

    Args:
      condition: vectors [B, A]; or {attribute: value or B values}; or text,
        "shape=triangle,size=0.9".
      count: B, where the request is of one row.
      seed: of what is drawn for attributes left out.
      named: attributes and their values, instead or besides.

    Raises:
      RunError: vectors or count do not fit the run.
      DataError: an attribute or a value is none that there is.
    """
    if condition is None or isinstance(condition, str | Mapping):
      words = self.parse(condition or {})
      if not getattr(self.conditions, "attributes", ()):
        self.parse(named)
        return asking.Asked(self._nothing(1 if count is None else count))
      return asking.vectors(
        self.folder, self.config, self.conditions, words | named, count, seed
      )
    if named:
      raise RunError(
        f"give a condition as vectors or as words; found vectors and "
        f"{', '.join(named)}"
      )
    vectors = self._condition(condition)
    if count is not None and len(vectors) != count:
      if len(vectors) != 1:
        raise RunError(f"count is {count}; found {len(vectors)} conditions")
      vectors = np.repeat(vectors, count, axis=0)
    return asking.Asked(vectors)

  def with_prior(self, name: str, dataset: Any = None) -> "Run":
    """Return the run with a prior fitted to its posteriors after training.

    The fit is stored as prior.npz in the run's folder.

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
    return dataclasses.replace(self, fitted=fitted.of_run(self, name, dataset))

  def prior(
    self,
    count: int,
    seed: int = 0,
    condition: NDArray | None = None,
    shared: int = 1,
  ) -> NDArray:
    """Draw latents [count, Z]; a seed gives the same ones.

    Args:
      count: how many.
      seed: of the noise.
      condition: [count, A], which a fitted prior heeds.
      shared: so many in a row are of the same noise.
    """
    if self.fitted is not None:
      return fitted.draw(self, count, seed, condition, shared)
    return self._own_prior(count // shared, seed).repeat(shared, axis=0)

  def _own_prior(self, count: int, seed: int) -> NDArray:
    if self.system.draw:
      draw = jax.jit(self.system.draw, static_argnums=2)
      return np.asarray(draw(self.state, jax.random.key(seed), count))
    if self.system.prior:
      return np.asarray(self.system.prior(jax.random.key(seed), count))
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, self.system.latents), np.float32)

  def regions(self, count: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Draw latents [count, Z] and the classes [count] whose places they are.

    Raises:
      RunError: the system's prior has no such places.
    """
    if self.system.regions is None:
      raise RunError(f"{self.folder}: its prior gives no class a place")
    z, label = self.system.regions(jax.random.key(seed), count)
    return np.asarray(z), np.asarray(label)

  def classify(self, images: ArrayLike) -> NDArray:
    """Return class probabilities [B, K] of images."""
    return np.asarray(
      jax.nn.softmax(self._apply("classify", self._images(images)))
    )

  def predict(
    self, images: ArrayLike, given: ArrayLike | None = None
  ) -> NDArray:
    """Return class probabilities or a value in [0, 1], [B, K], of images.

    Args:
      images: [B, H, W, C].
      given: [B, G], the attributes that config.columns.given names.

    Raises:
      RunError: the system cannot, or `given` has another size.
    """
    images = self._images(images)
    given = np.zeros((len(images), 0)) if given is None else np.asarray(given)
    wanted = (len(images), len(self.config.get("columns", {}).get("given", ())))
    if self.system.predict and given.shape != wanted:
      raise RunError(
        f"{self.folder} reads images beside given attributes of shape "
        f"{wanted}; found {given.shape}"
      )
    return np.asarray(
      self._apply("predict", images, arguments.floats(given, "given"))
    )

  def _function(self, name: str) -> Callable[..., PyTree]:
    """Return one of the system's functions, or say that it has none."""
    function = getattr(self.system, name)
    if function is None:
      raise RunError(
        f"{self.folder}: its system, {self.config.system!r}, cannot {name}; "
        "use a run that can"
      )
    return function

  def _images(self, images: ArrayLike) -> NDArray:
    """Return checked images [B, H, W, C], of the size that the run knows."""
    shape = self.system.columns.get("image")
    return arguments.images(images, shape, self.folder)

  def _known(self, condition: Request, named: Mapping[str, Any]) -> NDArray:
    """Return a condition [B, A] in which nothing is drawn at random."""
    if condition is not None and not isinstance(condition, str | Mapping):
      return self.request(condition, **named).vectors
    words = self.parse(condition or {})
    words = words | self.parse(named)
    if not getattr(self.conditions, "attributes", ()):
      return self._nothing(1)
    return self.conditions.encode(words)

  def _nothing(self, count: int) -> NDArray:
    """Return the conditions [count, A] of a run that can be asked nothing."""
    width = self.system.columns.get("condition", (0,))[0]
    return np.zeros((count, width), np.float32)

  def _condition(self, condition: ArrayLike) -> NDArray:
    """Return a checked condition [B, A]; one of [A] is one row."""
    width = self.system.columns.get("condition")
    return self._shaped(condition, "condition", "A", width and width[0])

  def _shaped(
    self, values: ArrayLike, name: str, letter: str, width: int | None
  ) -> NDArray:
    """Return finite values [B, width]; those of [width] are one row.

    A system without images, the colouring, has shapes of its own. Width 0 is
    "no condition", which a system that reads none takes.
    """
    if "image" not in self.system.columns:
      width = None
    return arguments.vectors(values, name, letter, width, self.folder)

  def _apply(self, name: str, *columns: NDArray) -> PyTree:
    """Apply one of the system's functions, a bounded number of rows at once.

    The maps of ten thousand images would take gigabytes, and a hundred
    thousand uint8 images as floats, so these become floats part by part.
    """
    function = jax.jit(self._function(name))  # the same function compiles once
    size = math.prod(self.system.columns.get("image", ()))
    rows = max(1, min(ROWS, VALUES // size))
    count = len(columns[0])
    if not count:  # one row of zeros has the shapes of an empty result
      columns = [np.zeros((1, *c.shape[1:]), c.dtype) for c in columns]
    try:
      parts = [
        function(
          self.state, *(unit(column[i : i + rows]) for column in columns)
        )
        for i in range(0, len(columns[0]), rows)
      ]
    except ScopeParamShapeError:
      raise RunError(
        f"{self.folder} cannot {name} arrays of these shapes: "
        + ", ".join(str(column.shape) for column in columns)
        + "; it has the conditions "
        + ", ".join(map(str, getattr(self.conditions, "names", ())))
      ) from None
    if not count:
      return jax.tree.map(lambda array: np.asarray(array)[:0], parts[0])
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


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
    folder: the run's folder, an export's, or pretrained/digits and the like.
    step: a checkpoint's.
    system: what was given to train_and_evaluate as `system`.
    conditions: the object that turns requests into vectors, instead of the
      data source's.
    trust: whether the user's own modules that the run names are imported.

  Raises:
    RunError: the folder is no run, or has no checkpoint yet.
    CheckpointError: the step is not there or does not fit the config.
  """
  folder = exports.find(local(folder, "a run's folder"))
  if not (folder / "config.json").exists():
    raise RunError(
      f"{folder} is not a run's folder: no config.json. Train one with "
      f"{commands.named('train')} --config=… --workdir={folder}"
    )
  config = configs.of_run(folder)
  remedy = "bring a copy of the file back"
  asked = read_json(folder / "conditions.json", dict, remedy)
  if trust:
    configs.trust(config)
  source = data.source(config.data.name)
  if not saved(folder):
    raise RunError(f"{folder} has no checkpoint yet; let it train longer")
  conditions = conditions or _conditions(folder, source, asked, remedy)
  attributes = places(conditions)
  system, state = run_state(folder, config, attributes, step, system)
  return Run(folder, config, conditions, system, state)


def _conditions(folder: Path, source: Any, asked: dict, remedy: str) -> Any:
  """Return the conditions that a run's folder keeps.

  Raises:
    DamagedFile: they cannot be read.
  """
  try:
    return source.Conditions.from_json(asked)
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise DamagedFile(
      f"{folder / 'conditions.json'} is damaged ({error!r}); {remedy}"
    ) from None


def caution(run: Run) -> str:
  """Return a line where a run is too young to show much, or nothing."""
  step = int(run.state.step)
  if step >= YOUNG:
    return ""
  return (
    f"note: {run.folder} was trained for {step} steps only; do not judge the "
    "model by what it shows"
  )


def saved(folder: str | Path) -> bool:
  """Tell whether a folder has what `load` needs: a checkpoint, or an export."""
  if exports.is_export(folder):
    return True
  checkpoints = local(folder, "a run's folder").glob("checkpoints/*")
  return any(path.name.isdigit() for path in checkpoints)
