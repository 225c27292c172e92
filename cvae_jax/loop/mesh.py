"""Several devices as one: the only place that divides arrays among devices.

Each device has the whole state and a part of each batch. XLA adds up their
results: the means of a loss, the statistics of a batch, the gradients. So no
program needs to know of devices. Its numbers depend on the number of devices
only through the order of additions.

With one device everything here is what jax does by default.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax.config import ConfigError
from cvae_jax.types import PyTree

_AXIS = "batch"
_WHOLE = PartitionSpec()
_FIRST = PartitionSpec(_AXIS)  # the first axis is divided among the devices


class Mesh(NamedTuple):
  """The devices that share a batch; `grid` is None if there is only one."""

  grid: jax.sharding.Mesh | None = None

  @property
  def size(self) -> int:
    """Return the number of devices."""
    return self.grid.size if self.grid else 1

  def jit(self, function: Callable, **how: Any) -> Callable:
    """Compile a function whose results lie in full on each device."""
    if self.grid is None:
      return jax.jit(function, **how)

    known = _with_grid(self.grid, function)
    return jax.jit(known, out_shardings=NamedSharding(self.grid, _WHOLE), **how)

  def key(self, make: Callable[[], jax.Array]) -> jax.Array:
    """Return the random key that `make` makes, on each device."""
    return self.jit(make)() if self.grid else make()

  def replicate(self, tree: PyTree) -> PyTree:
    """Put arrays on each device in full."""
    if self.grid is None:
      return jax.device_put(tree)
    return jax.tree.map(lambda leaf: self._put(leaf, _WHOLE), tree)

  def split(self, rows: NDArray) -> jax.Array:
    """Put rows [..., B] on the devices, a part of B on each."""
    if self.grid is None or rows.shape[-1] % self.size:
      return self.replicate(rows)
    return self._put(rows, PartitionSpec(*(None,) * (rows.ndim - 1), _AXIS))

  def batch(self, columns: NDArray) -> NDArray | jax.Array:
    """Put columns [B, ...] on the devices, a part of B on each."""
    if self.grid is None or len(columns) % self.size:
      return columns
    return self._put(columns, _FIRST)

  def gather(
    self, read: Mapping[str, Callable], rows: NDArray
  ) -> tuple[dict[str, jax.Array], jax.Array]:
    """Read rows [..., B] on the host: (table, positions of the rows in it).

    Each device holds the entries of the table that its part of B needs, and
    each process reads only the entries of its own devices.

    Args:
      read: by a column's name, row numbers [N] -> entries [N, ...].
      rows: row numbers.
    """
    if self.grid is None or rows.shape[-1] % self.size:
      places = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
      table = {name: np.asarray(of(rows.ravel())) for name, of in read.items()}
      return self.replicate(table), self.replicate(places)
    # A device's rows of several batches follow one another.
    shape = (-1, self.size, rows.shape[-1] // self.size)
    order = rows.reshape(shape).transpose(1, 0, 2).ravel()
    places = np.arange(rows.size, dtype=np.int32)
    places = places.reshape(self.size, -1, shape[-1]).transpose(1, 0, 2)
    table = {}
    for name, of in read.items():
      entry = of(order[:0]).shape[1:]
      table[name] = self._build(
        (rows.size, *entry),
        _FIRST,
        lambda index, of=of: np.asarray(of(order[index[0]])),
      )
    return table, self.split(places.reshape(rows.shape))

  def local(self, take: Callable) -> Callable:
    """Return `take(table, rows [B])` of a `gather`: each device its own."""
    return _local(self.grid, take) if self.grid else take

  def any(self, flag: bool) -> jax.Array:
    """Return whether the flag of any process is set."""
    mine = np.full(1, flag)
    flags = self._build((self.size,), _FIRST, lambda _: mine)
    return _any(self)(flags)

  def to_one_device(self, tree: PyTree) -> PyTree:
    """Return arrays that lie in full on each device as arrays of one device."""
    if self.grid is None:
      return tree
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

  def _put(self, leaf: Any, spec: PartitionSpec) -> jax.Array:
    array = np.asarray(leaf)
    return self._build(array.shape, spec, lambda index: array[index])

  def _build(self, shape, spec: PartitionSpec, part: Callable) -> jax.Array:
    """Put an array on the devices; each process makes its devices' parts."""
    with jax.transfer_guard("allow"):  # it is meant
      return jax.make_array_from_callback(
        shape, NamedSharding(self.grid, spec), part
      )


ONE = Mesh()


@functools.lru_cache(maxsize=256)  # so that a function is compiled once
def _with_grid(grid: jax.sharding.Mesh, function: Callable) -> Callable:
  """Return a function in which parts.share_noise can divide noise."""

  def apply(*given):
    with jax.sharding.use_abstract_mesh(grid.abstract_mesh):
      return function(*given)

  return apply


@functools.cache
def _any(mesh: Mesh) -> Callable:
  return mesh.jit(lambda flags: flags.any())


@functools.cache  # so that a program is compiled once for all its uses
def _local(grid: jax.sharding.Mesh, take: Callable) -> Callable:
  def own(table, rows):
    length = jax.tree.leaves(table)[0].shape[0]
    return take(table, rows - jax.lax.axis_index(_AXIS) * length)

  return jax.shard_map(
    own, mesh=grid, in_specs=(_FIRST, _FIRST), out_specs=_FIRST
  )


def from_config(config: ConfigDict) -> Mesh:
  """Return a mesh of config.mesh devices; 0 stands for all.

  Raises:
    ConfigError: there are fewer devices, or they cannot share a batch evenly.
  """
  asked = config.mesh
  there = jax.device_count()
  if not 0 <= asked <= there:
    raise ConfigError(
      f"mesh={asked}; expected a number of devices from 1 to the {there} that "
      f"jax finds ({jax.devices()[0].device_kind}), or 0 for all"
    )
  size = asked or there
  if jax.process_count() > 1 and size != there:
    raise ConfigError(
      f"mesh={asked}: {jax.process_count()} processes train with all their "
      f"{there} devices; give --config.mesh=0"
    )
  if config.batch_size % size:
    raise ConfigError(
      f"batch_size={config.batch_size} cannot be shared evenly by {size} "
      f"devices (mesh={asked}); give a multiple of {size}, or another mesh"
    )
  return _build_mesh(jax.devices()[:size])


def for_run(config: ConfigDict) -> Mesh:
  """Return the mesh of a finished run: as many devices, if they are here.

  They divide the run's batches evenly. In batches of another size a system
  would draw other noise, and the figures would not be those of one device.
  """
  devices = jax.local_devices()
  most = min(config.get("mesh", 1) or len(devices), len(devices))
  size = max(n for n in range(1, most + 1) if config.batch_size % n == 0)
  return _build_mesh(devices[:size])


def _build_mesh(devices: list[jax.Device]) -> Mesh:
  size = len(devices)
  if size == 1:
    return ONE
  grid = jax.make_mesh(
    (size,), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices
  )
  return Mesh(grid)
