"""The precision of the products in training: config.precision."""

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from cvae_jax.config import ConfigError
from cvae_jax.host import cpu
from cvae_jax.loop import products
from cvae_jax.nets.fast import half
from cvae_jax.settings import hint
from cvae_jax.types import System

NAMES = ("float32", "bfloat16")
# YNNPACK multiplies, and the barriers of nets/fast/half_conv.py stay: this pass
# would remove them before XLA decides what to compute in one loop.
_FAST = products.options_of("ynnpack") | {
  "xla_disable_hlo_passes": "cse_barrier_expander"
}


def apply(config: ConfigDict, system: System) -> tuple[System, dict[str, str]]:
  """Return the system that trains with the products that config asks for.

  Everything but a step, such as an evaluation, is always computed in float32.
  Beside it are XLA's options for a step.

  Raises:
    ConfigError: there is no such precision, or config.products forbids it.
  """
  name = config.precision
  if name not in NAMES:
    raise ConfigError(f"precision={name!r}{hint(name, NAMES)}")
  if name == "float32":
    return system, {}
  on_cpu = jax.default_backend() == "cpu"
  if on_cpu and config.products == "eigen":
    raise ConfigError(
      "precision=bfloat16 with products=eigen: on a CPU only YNNPACK "
      "multiplies bfloat16 numbers; leave products out, or train in float32"
    )
  fast = on_cpu and _is_possible()

  def step(*given):
    with half.trace_bfloat16(fast):
      return system.step(*given)

  note = "precision: products of bfloat16 numbers, sums in float32"
  if on_cpu and not fast:
    note += "; with this XLA that is slower than --config.precision=float32"
  elif fast and not cpu.has_matrix_unit():
    note += (
      "; this processor has no matrix unit for them (AMX), so "
      "--config.precision=float32 may be faster"
    )
  made = system._replace(step=step, notes=(*system.notes, note))
  return made, _FAST if fast else {}


def _is_possible() -> bool:
  """Tell whether XLA multiplies bfloat16 numbers and keeps barriers."""

  def product(x):
    x = lax.optimization_barrier(2 * x)
    return jnp.matmul(x, x, preferred_element_type=jnp.float32)

  program = products.read_program(product, jnp.bfloat16, _FAST) or ""
  return products.uses_ynnpack(program) and "opt-barrier" in program
