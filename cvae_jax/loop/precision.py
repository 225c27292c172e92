"""The precision of the products in training: config.precision."""

import jax
from ml_collections import ConfigDict

from cvae_jax.config import ConfigError
from cvae_jax.nets.fast import half
from cvae_jax.settings import hint
from cvae_jax.types import System

NAMES = ("float32", "bfloat16")


def apply(config: ConfigDict, system: System) -> System:
  """Return the system that trains with the products that config asks for.

  Everything but a step, such as an evaluation, is always computed in float32.

  Raises:
    ConfigError: there is no such precision.
  """
  name = config.precision
  if name not in NAMES:
    raise ConfigError(f"precision={name!r}{hint(name, NAMES)}")
  if name == "float32":
    return system

  def step(*given):
    with half.trace_bfloat16():
      return system.step(*given)

  note = "precision: products of bfloat16 numbers, sums in float32"
  if jax.default_backend() == "cpu":
    note += "; on this processor that is slower than --config.precision=float32"
  return system._replace(step=step, notes=(*system.notes, note))
