"""The shapes and the types that every room shares.

Letters used in brackets everywhere: B batch, N examples, H W image height and
width, C channels, Z latents, A conditions, K classes. Images are uint8 in a
source and in a batch, which is rows of it; `parts.unit` maps them to floats in
[0, 1]. All else that a system takes or returns is float in [0, 1].
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
  """Everything that training changes, as arrays: what a checkpoint holds."""

  step: Array  # int32 []: completed updates
  params: PyTree  # {branch: ...}; players own branches
  model_state: PyTree  # not trained by gradients, e.g. batch statistics
  opt_state: PyTree  # {player: optimiser state}; see additions.adjustable

  def __repr__(self) -> str:
    """Name its parts in a line; its arrays would fill thousands."""
    parts = self.params if isinstance(self.params, Mapping) else ()
    return f"TrainState(step={self.step}, params={{{', '.join(parts)}}})"


class Player(NamedTuple):
  """One optimiser's share of a step."""

  loss: LossFn
  tx: optax.GradientTransformation
  owns: tuple[str, ...]  # the branches of params that it moves
  every: int = 1  # n: it moves in steps n, 2n, 3n, … counted from 1


class Masked(NamedTuple):
  """A metric that some rows of a batch do not have."""

  value: Array  # [B], any number where there is none
  known: Array  # [B], 1 where there is one, else 0


# Ends the name of the share of a batch's rows that have a metric of training.
KNOWN = "/known"


class Place(NamedTuple):
  """Where an attribute stands in a condition, and how a judge learns it."""

  name: str
  kind: str  # see data.conditions
  head: str  # the kind of a judge's output; see systems.judge
  entries: tuple[int, ...]  # its entries in a condition [A]
  bit: int | None  # the entry that says whether it is known, if any


class Facts(NamedTuple):
  """Facts of the data, so that no config has to state them."""

  columns: Mapping[str, tuple[int, ...]]  # {column: shape of one example}
  rows: int | None = None  # training examples
  attributes: tuple[Place, ...] = ()  # what a condition holds, if known
  mean: tuple[float, ...] = ()  # of each channel, in [0, 1], if known

  @property
  def image_shape(self) -> tuple[int, ...]:
    """Return (H, W, C) of the column `image`.

    Raises:
      ValueError: the data have no such column.
    """
    if "image" not in self.columns:
      raise ValueError(
        f"the data have no column 'image'; they have {', '.join(self.columns)}"
      )
    return self.columns["image"]

  @property
  def condition_size(self) -> int:
    """Return the length A of a condition, 0 where the data have none."""
    return self.columns.get("condition", (0,))[0]


class System(NamedTuple):
  """One method, as pure functions of arrays.

  An optional function is None where a method has no such thing. A judge, for
  example, decodes nothing.
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
  # (state, noise [K · B, Z], image, condition) -> (q, z), K draws for each
  # image. Set where latents have levels: the posterior of a level depends on
  # the levels above it. `encode` then uses the means of the levels above
  posterior: Callable | None = None
  # (state, z [B, Z], condition [B, A]) -> image [B, H, W, C]
  decode: Callable | None = None
  # (state, image [B, H, W, C]) -> logits [B, K]
  classify: Callable | None = None
  # (state, image, given [B, G]) -> class probabilities or a value, [B, K]
  predict: Callable | None = None
  # (image, output) -> −log p(x | z) in nats, [B]
  nats: Callable | None = None
  # (state, z [B, Z], condition [B, A]) -> output, the argument of `nats`. Set
  # where the likelihood needs more than the decoded image
  outputs: Callable | None = None
  # (key, image) -> the target of `nats`, which is what `encode` is trained on.
  # Set where targets are drawn from the image, as binary pixels are
  observe: Callable | None = None
  # True where no label was used: the numbers of the categories then have no
  # meaning
  unlabelled: bool = False
  latents: int = 0  # Z
  # (key, count) -> z [count, Z], where the prior is not N(0, I)
  prior: Callable | None = None
  # (state, key, count) -> z [count, Z], where the prior is learned
  draw: Callable | None = None
  # (state, z [B, Z]) -> log p(z) [B], where it is learned
  log_prior: Callable | None = None
  # (key, count) -> (z [count, Z], class [count]). Set where each class has a
  # region of the prior
  regions: Callable | None = None
  # {name: function of the step, or a constant}, logged as schedule/<name>
  schedules: Mapping[str, Callable | float] = {}
  # What the loss means, for people to read
  notes: tuple[str, ...] = ()
