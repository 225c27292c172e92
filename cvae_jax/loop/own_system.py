"""Check a user's own method before it trains: what its functions return.

The functions are traced and not run, so nothing is computed. The package's own
systems are not traced here: tests do that.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.settings import ConfigError
from cvae_jax.types import Masked, System, TrainState

_ROWS = 8  # of the batch that is traced
_SEE = "(docs/extend.md)"


def check(
  config: ConfigDict, system: System, there: Mapping[str, Any]
) -> System:
  """Return a system whose functions return what they are to return.

  A branch that no player owns is named in its notes.

  Args:
    config: the run's.
    system: a user's own.
    there: {column: one that has a shape and a dtype} of the data.

  Raises:
    ConfigError: a function returns another type or shape; both are said.
  """
  _check_fields(system, there)
  if not system.columns.items() <= dict(_shapes(there)).items():
    return system  # feed.check says which column is not there or differs
  check_functions(system, there)
  known = config.get("pretrained", {})
  if idle := [name for name in find_idle(system, there) if name not in known]:
    note = f"note: no player owns {', '.join(idle)}, so it stays as it begins"
    return system._replace(notes=(*system.notes, note))
  return system


def check_functions(system: System, there: Mapping[str, Any]) -> None:
  """Check what the functions of a system return, where it has them.

  Args:
    system: a user's own.
    there: as of `check`.

  Raises:
    ConfigError: a function returns another type or shape; both are said.
  """
  key, state, batch = _trace_inputs(system, there)
  found = jax.eval_shape(system.evaluate, state, batch, key)
  _check_metrics(found)
  image = system.columns.get("image")
  if image is None:
    return
  images = jax.ShapeDtypeStruct((_ROWS, *image), jnp.float32)
  size = (_ROWS, *system.columns.get("condition", (0,)))
  condition = jax.ShapeDtypeStruct(size, jnp.float32)
  if system.encode is not None:
    _check_posterior(
      jax.eval_shape(system.encode, state, images, condition), system.latents
    )
  if system.decode is not None:
    z = jax.ShapeDtypeStruct((_ROWS, system.latents), jnp.float32)
    found = jax.eval_shape(system.decode, state, z, condition)
    if not _is_array(found, images.shape):
      wanted = f"images {_form('B', *image)}, float32 in [0, 1]"
      raise _error("decode", wanted, found)


def find_idle(system: System, there: Mapping[str, Any]) -> list[str]:
  """Name the branches of params that no step changes.

  Args:
    system: a user's own, which `check` has passed.
    there: as of `check`.
  """
  key, state, batch = _trace_inputs(system, there)
  at = jax.ShapeDtypeStruct((), jnp.int32)
  traced = jax.make_jaxpr(system.step)(state, batch, key, at).jaxpr
  paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]]
  moved: dict[str, bool] = {}
  for path, before, after in zip(
    paths, traced.invars, traced.outvars, strict=False
  ):
    if getattr(path[0], "name", "") == "params" and len(path) > 1:
      branch = str(getattr(path[1], "key", path[1]))
      moved[branch] = moved.get(branch, False) or before is not after
  return [branch for branch, moves in moved.items() if not moves]


def check_step(found: Any, state: TrainState) -> Any:
  """Return what a step returned, if it is (TrainState, {name: scalar}).

  Args:
    found: what it returned.
    state: what it was given.

  Raises:
    ConfigError: it is another thing.
  """
  wanted = "(TrainState, {name: scalar}), as the step of update.make_step"
  if not isinstance(found, tuple) or isinstance(found, TrainState):
    raise _error("step", wanted, found)
  kinds = [type(part) for part in found]
  after, metrics = found if len(found) == 2 else (None, None)
  if not isinstance(after, TrainState) or not isinstance(metrics, Mapping):
    said = ", ".join(kind.__name__ for kind in kinds)
    raise ConfigError(
      f"step of the system returned ({said}); expected {wanted}"
    )
  if after.step is state.step:
    raise ConfigError(
      "step of the system returned a state of the same step; expected "
      "state.replace(step=state.step + 1, …), as update.make_step does"
    )
  for name, metric in metrics.items():
    if jnp.shape(metric):
      raise _error("step", wanted, metric, repr(name))
  return found


def _check_fields(system: System, there: Mapping[str, Any]) -> None:
  """Check the parts of a system that are no functions."""
  columns = system.columns
  if not isinstance(columns, Mapping) or not columns:
    raise ConfigError(
      f"columns of the system is {columns!r}; expected {{column: shape of one "
      f"example}}, as facts.columns is: {dict(_shapes(there))} {_SEE}"
    )
  for name in ("init", "step", "evaluate"):
    if not callable(getattr(system, name)):
      found = getattr(system, name)
      raise ConfigError(
        f"{name} of the system is {found!r}; expected a function {_SEE}"
      )
  if isinstance(system.notes, str):
    raise ConfigError(
      f"notes of the system is the text {system.notes!r}; expected a tuple of "
      "texts: (text,)"
    )
  if system.decode is not None and system.latents < 1:
    raise ConfigError(
      f"latents of the system is {system.latents}; expected Z, the length of "
      f"the latents that decode takes {_SEE}"
    )


@jax.tree_util.register_pytree_node_class
class _Columns(dict):
  """A batch that says what it has where a column is read that it lacks."""

  def __missing__(self, column: str) -> None:
    raise ConfigError(
      f"evaluate of the system reads the column {column!r} of a batch, and "
      f"columns of the system names {', '.join(self)}: name it there, and "
      f"bring data that have it {_SEE}"
    )

  def tree_flatten(self):
    return tuple(self.values()), tuple(self)

  @classmethod
  def tree_unflatten(cls, names, values):
    return cls(zip(names, values, strict=True))


def _trace_inputs(system: System, there: Mapping[str, Any]):
  """Return shapes of (key, state, batch), what functions are traced with."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  state = jax.eval_shape(system.init, key)
  if not isinstance(state, TrainState):
    raise _error("init", "a TrainState, of update.init_state", state)
  batch = _Columns(
    (name, _row(there[name], shape)) for name, shape in system.columns.items()
  )
  return key, state, batch


def _check_metrics(found: Any) -> None:
  """Check that evaluate gives numbers of each row."""
  wanted = "{name: [B]}, a number of each row"
  if not isinstance(found, Mapping):
    raise _error("evaluate", wanted, found)
  for name, metric in found.items():
    parts = metric if isinstance(metric, Masked) else (metric,)
    if not all(_is_array(part, (_ROWS,), any_type=True) for part in parts):
      raise _error("evaluate", f"{wanted}, not reduced", metric, repr(name))


def _check_posterior(found: Any, latents: int) -> None:
  """Check that encode gives a Gaussian of all latents."""
  wanted = f"a gaussian.Gaussian with mean and logvar {_form('B', latents)}"
  shape = (_ROWS, latents)
  if not isinstance(found, Gaussian):
    point = "; of a code without a variance: gaussian.point(z)"
    raise _error("encode", wanted + point, found)
  if not all(_is_array(part, shape) for part in found):
    said = f"{wanted}, as latents of the system says"
    raise _error("encode", said, found.mean, "the mean")


def _is_array(
  found: Any, shape: tuple[int, ...], any_type: bool = False
) -> bool:
  if getattr(found, "shape", None) != shape:
    return False
  return any_type or jnp.issubdtype(found.dtype, jnp.floating)


def _row(column: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
  """Return the shape of a batch's column."""
  dtype = getattr(column, "entries", column).dtype
  return jax.ShapeDtypeStruct((_ROWS, *shape), dtype)


def _shapes(there: Mapping[str, Any]):
  return ((name, tuple(c.shape[1:])) for name, c in there.items())


def _form(*sizes: Any) -> str:
  return f"[{', '.join(map(str, sizes))}]"


def _error(name: str, wanted: str, found: Any, part: str = "") -> ConfigError:
  """Return the error of a function that returns another thing."""
  where = f" for {part}" if part else ""
  return ConfigError(
    f"{name} of the system returned {_describe(found)}{where}; expected "
    f"{wanted} {_SEE}"
  )


def _describe(found: Any) -> str:
  """Say what a function returned, in a few words."""
  if (shape := getattr(found, "shape", None)) is not None:
    return f"{found.dtype} {_form(*shape)}"
  return f"a {type(found).__name__}" if found is not None else "None"
