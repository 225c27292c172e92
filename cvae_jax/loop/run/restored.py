"""A restored run: its requests, and its functions applied to arrays."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax.errors import ScopeParamShapeError
from numpy.typing import ArrayLike, NDArray

from cvae_jax.host import arguments, hub
from cvae_jax.host.arguments import RunError
from cvae_jax.host.images import unit
from cvae_jax.loop.idle_latents import YOUNG
from cvae_jax.loop.run import purposes, requests
from cvae_jax.loop.run.drawn import Drawn
from cvae_jax.types import PyTree

ROWS = 500  # small images that a run computes at once
VALUES = 1 << 21  # of the images computed at once: 48 faces of 120 × 120
Request = ArrayLike | Mapping[str, Any] | str | None


class Restored(Drawn):
  """A run's requests, and checks of its arguments."""

  @property
  def condition_size(self) -> int:
    """Return the length A of a condition, 0 where the system reads none."""
    return self.system.columns.get("condition", (0,))[0]

  @functools.cached_property
  def reads_condition(self) -> bool:
    """Tell whether what the run decodes depends on a condition.

    An adversarial autoencoder and a GAN are given the data's conditions and do
    not read them. A run that decodes nothing, as a judge, is not looked at.
    """
    decode = self.system.decode
    if decode is None or "image" not in self.system.columns:
      return True
    if not self.condition_size:
      return False
    sizes = (self.system.latents, self.condition_size)
    rows = [jax.ShapeDtypeStruct((1, size), np.float32) for size in sizes]
    traced = jax.make_jaxpr(decode)(self.state, *rows).jaxpr
    condition = traced.invars[-1]
    read = [*traced.outvars, *(v for e in traced.eqns for v in e.invars)]
    return any(variable is condition for variable in read)

  @property
  def asks(self) -> bool:
    """Tell whether a request changes what the run draws."""
    if not getattr(self.conditions, "attributes", ()):
      return False
    return self.reads_condition or self.fitted is not None

  def parse(self, request: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return a request as {attribute: value}.

    Raises:
      RunError: the run can be asked for nothing.
      DataError: a name or a value is unknown.
    """
    return requests.parse(self, request)

  @arguments.refuse_ambiguous
  def request(
    self,
    condition: Request = None,
    count: int | None = None,
    seed: int = 0,
    **named: Any,
  ) -> requests.Asked:
    """Return the condition vectors of a request, and what was left out.

    Args:
      condition: vectors [B, A]; or {attribute: value or B values}; or text,
        "shape=triangle,size=0.9".
      count: B, where the request is of one row.
      seed: of what is drawn for attributes left out.
      named: attributes and their values, instead or besides.

    Raises:
      RunError: vectors or count do not fit the run.
      DataError: an attribute or a value is unknown.
    """
    arguments.check_draw(count, seed)
    if condition is None or isinstance(condition, str | Mapping):
      words = self.parse(condition or {}) | self.parse(named)
      if not self.asks:
        return requests.Asked(self._blank(1 if count is None else count))
      return requests.vectors(self, words, count, seed)
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
    return requests.Asked(vectors)

  def _function(self, name: str) -> Callable[..., PyTree]:
    """Return one of the system's functions, or say that it has none."""
    function = getattr(self.system, name)
    if function is None:
      raise RunError(
        f"{self.folder}: its system, {self.config.system!r}, cannot {name}; "
        + purposes.purpose(self)
      )
    return function

  def _images(self, images: ArrayLike) -> NDArray:
    """Return checked images [B, H, W, C] of the run's size."""
    shape = self.system.columns.get("image")
    return arguments.images(images, shape, self.folder)

  @arguments.refuse_ambiguous
  def encode_condition(
    self, condition: Request = None, **named: Any
  ) -> NDArray[np.float32]:
    """Return the condition vectors [B, A] of what images show.

    Nothing is drawn at random, unlike in `request`: attributes that are left
    out are unknown.

    Args:
      condition: vectors [B, A] or words, as in `request`.
      named: attributes and their values, instead or besides.

    Raises:
      RunError: vectors do not fit the run, or a value may not be unknown.
      DataError: a name or a value is unknown, or an attribute is missing.
    """
    if condition is not None and not isinstance(condition, str | Mapping):
      return self.request(condition, **named).vectors
    words = self.parse(condition or {}) | self.parse(named)
    if not getattr(self.conditions, "attributes", ()):
      return self._blank(1)
    if getattr(self.conditions, "known_bits", False):
      words = requests.complete(self, words)
    return self.conditions.encode(words)

  def _blank(self, count: int) -> NDArray:
    """Return the conditions [count, A] of a run that can be asked nothing."""
    return np.zeros((count, self.condition_size), np.float32)

  def _condition(self, condition: ArrayLike) -> NDArray:
    """Return a checked condition [B, A]; one of [A] is one row."""
    width = self.system.columns.get("condition")
    return self._check_vectors(condition, "condition", "A", width and width[0])

  def _check_vectors(
    self, values: ArrayLike, name: str, letter: str, width: int | None
  ) -> NDArray:
    """Return finite values [B, width]; those of [width] are one row.

    The colouring, a system without images, has shapes of its own. A width of 0
    is an empty condition, for a system that reads none.
    """
    if "image" not in self.system.columns:
      width = None
    return arguments.vectors(values, name, letter, width, self.folder)

  def _apply(self, name: str, *columns: NDArray) -> PyTree:
    """Apply one of the system's functions, a bounded number of rows at once.

    The maps of ten thousand images would take gigabytes of memory, and so would
    a hundred thousand images as floats: they become floats part by part.
    """
    # The same function is compiled only once.
    function = self.mesh.jit(self._function(name))
    size = math.prod(self.system.columns.get("image", ()))
    rows = max(1, min(ROWS, VALUES // size)) * self.mesh.size
    count = len(columns[0])
    if not count:  # one row of zeros gives the shapes of an empty result
      columns = [np.zeros((1, *c.shape[1:]), c.dtype) for c in columns]
    try:
      parts = [
        function(
          self.placed,
          *(self.mesh.batch(unit(c[i : i + rows])) for c in columns),
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


def caution(run: Restored) -> str:
  """Return a warning if a run was trained for too few steps, else ""."""
  step = int(run.state.step)
  if step >= YOUNG:
    return ""
  return (
    f"note: {hub.display_name(run.folder)} was trained for {step} steps only; "
    "do not judge the model by what it shows"
  )
