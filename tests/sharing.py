"""Compiled programs that the runs of test files share.

Each training makes its functions anew, so jax traces and compiles them anew,
which is most of a small run's time. Within `programs` a config is resolved to
the same System each time, and `jax.jit` gives functions of the same code that
close over the same things one compiled program. They are kept for the files
that come later. A file that exchanges parts of what is compiled does without,
or trains a config that no other test has.
"""

import contextlib
import functools
import json
import types
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import pytest

from cvae_jax import config as configs
from cvae_jax.loop.folder import fixed
from cvae_jax.nets.fast import ops

_compiled: dict[Hashable, Callable] = {}
_systems: dict[Hashable, Any] = {}
_alive: list[Any] = []  # an id is an object's only while it lives


@contextlib.contextmanager
def programs() -> Iterator[None]:
  """Let equal configs and equal functions share systems and programs."""
  jit = jax.jit
  resolve = configs.resolve

  def shared_jit(function=None, **options):
    if function is None:
      return functools.partial(shared_jit, **options)
    _alive.append(function)
    key = _how(), _key(function), repr(sorted(options.items()))
    if key not in _compiled:
      _compiled[key] = jit(function, **options)
    return _compiled[key]

  def shared_resolve(config, facts=None, *, system=None):
    if system is not None:
      return resolve(config, facts, system=system)
    values = json.dumps(fixed.values(config), default=str)
    key = _how(), values, repr(facts)
    if key not in _systems:
      _systems[key] = resolve(config, facts)
    return _systems[key]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "jit", shared_jit)
    patch.setattr(configs, "resolve", shared_resolve)
    yield


def _how() -> Hashable:
  """Return what fixtures choose of how programs are made."""
  unoptimised = jax.config.read("jax_disable_most_optimizations")
  return ops.fast_on_cpu(), unoptimised


def _key(thing: Any) -> Hashable:
  """Return what is equal for functions that do the same."""
  if isinstance(thing, functools.partial):
    parts = (thing.func, *thing.args, *sorted(thing.keywords.items()))
    return tuple(_key(part) for part in parts)
  if isinstance(thing, tuple):
    return type(thing), tuple(_key(part) for part in thing)
  if isinstance(thing, types.FunctionType):
    cells = (cell.cell_contents for cell in thing.__closure__ or ())
    held = (*cells, *(thing.__defaults__ or ()))
    return thing.__code__, tuple(_key(part) for part in held)
  if isinstance(thing, str | int | float | bool | None):
    return type(thing), thing
  _alive.append(thing)
  return id(thing)
