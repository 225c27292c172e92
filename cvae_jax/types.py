"""The shapes and the three types that every room shares.

Letters used in brackets everywhere: B batch, N examples, H W image height and
width, C channels, Z latents, A conditions, K classes. Images are float in
[0, 1] inside a system and uint8 in a source.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import optax
from jax import Array

PyTree = Any
Batch = Mapping[str, Array]  # columns of a source, each [B, ...]
Metrics = dict[str, Array]  # scalars, or [B] where a docstring says so

# (params, model_state, batch, key, step) -> (scalar, (metrics, model_state))
LossFn = Callable[
  [PyTree, PyTree, Batch, Array, Array], tuple[Array, tuple[Metrics, PyTree]]
]


@flax.struct.dataclass
class TrainState:
  """Everything that training changes, arrays only: state = checkpoint."""

  step: Array  # int32 []: completed updates
  params: PyTree  # {branch: ...}; players own branches
  model_state: PyTree  # not trained by gradients, e.g. batch statistics
  opt_state: PyTree  # {player: optimiser state}; see additions.adjustable


class Player(NamedTuple):
  """One optimiser's share of a step."""

  loss: LossFn
  tx: optax.GradientTransformation
  owns: tuple[str, ...]  # the branches of params that it moves
  every: int = 1  # it moves in steps every, 2 every, … counted from 1


class Place(NamedTuple):
  """Where an attribute stands in a condition, and by what it is learnt."""

  name: str
  kind: str  # see data.conditions
  head: str  # of a judge
  entries: tuple[int, ...]  # of a condition [A]
  bit: int | None  # the entry that says whether it is known, if any


class Facts(NamedTuple):
  """What the data know, so that no config has to say it."""

  columns: Mapping[str, tuple[int, ...]]  # the shape of one example of each
  rows: int | None = None  # training examples
  attributes: tuple[Place, ...] = ()  # what conditions hold, where they say
  mean: tuple[float, ...] = ()  # of each channel, in [0, 1], where known

  @property
  def image_shape(self) -> tuple[int, ...]:
    """Return (H, W, C) of the column `image`."""
    return self.columns["image"]

  @property
  def conditions(self) -> int:
    """Return the length A of a condition, 0 where the data have none."""
    return self.columns.get("condition", (0,))[0]


class System(NamedTuple):
  """One method, as pure functions of arrays.

  The optional ones are None where a method has no such thing: a judge
  decodes nothing.
  """

  # (key) -> TrainState
  init: Callable[[Array], TrainState]
  # (state, batch, key, at) -> (state, metrics); see update.make_step
  step: Callable[[TrainState, Batch, Array, Array], tuple[TrainState, Metrics]]
  # (state, batch, key) -> {name: [B]}
  evaluate: Callable[[TrainState, Batch, Array], Metrics]
  # {column: shape of one example}: what a batch must hold
  columns: Mapping[str, tuple[int, ...]]
  # (state, batch, panel [P, A], key) -> {name: images [R, P, H, W, C]}
  render: Callable | None = None
  # (state, image [B, H, W, C], condition [B, A]) -> Gaussian over [B, Z]
  encode: Callable | None = None
  # (state, noise [K · B, Z], image, condition) -> (q, z), K draws of an image,
  # where latents have levels, each known given those above it. There `encode`
  # is the same without noise: each level by the means of those above
  posterior: Callable | None = None
  # (state, z [B, Z], condition [B, A]) -> image [B, H, W, C]
  decode: Callable | None = None
  # (state, image [B, H, W, C]) -> logits [B, K]
  classify: Callable | None = None
  # (state, image, given [B, G]) -> class probabilities or a value, [B, K]
  predict: Callable | None = None
  # (image, output) -> −log p(x | z) in nats, [B]
  nats: Callable | None = None
  # (state, z [B, Z], condition [B, A]) -> output, what `nats` is of, where the
  # decoded image does not say it all
  outputs: Callable | None = None
  # (key, image) -> the image that `nats` is of, where that is drawn from it
  observe: Callable | None = None
  # No label taught its categories: that they have numbers means nothing
  unlabelled: bool = False
  latents: int = 0  # Z
  # (key, count) -> z [count, Z], where the prior is not N(0, I)
  prior: Callable | None = None
  # (state, key, count) -> z [count, Z], where the prior is learned
  draw: Callable | None = None
  # (state, z [B, Z]) -> log p(z) [B], where it is learned
  log_prior: Callable | None = None
  # (key, count) -> (z [count, Z], class [count]), where places of the prior
  # are given to classes
  regions: Callable | None = None
  # {name: function of the step, or a constant}, logged as schedule/<name>
  schedules: Mapping[str, Callable | float] = {}
  # What the loss means, for people to read
  notes: tuple[str, ...] = ()
