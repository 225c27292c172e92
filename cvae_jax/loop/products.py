"""What computes the matrix products of training on a CPU: config.products.

XLA has two libraries for them, Eigen and YNNPACK. Its flags choose one for the
whole process, and host/cpu.py sets them to Eigen. A run's own choice goes to
XLA with the program of the run's steps and prevails over the flags. It is a key
of the config, so it is recorded, and kept when the run resumes, also under
other flags. docs/performance_report.md has what each gives.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from cvae_jax.config import ConfigError
from cvae_jax.host import cpu
from cvae_jax.settings import hint
from cvae_jax.types import System

_PREFIX = "LIBRARY_FUSION_TYPE_"
# What YNNPACK computes. Its sums are the faster ones in any case.
_PARTS = {
  "eigen": f"{_PREFIX}REDUCE",
  "ynnpack": f"{_PREFIX}REDUCE,{_PREFIX}INDIVIDUAL_DOT",
}


def apply(config: ConfigDict, system: System) -> tuple[System, dict[str, str]]:
  """Return the system, whose notes say it, and XLA's options for a step.

  The options are empty if the config leaves it to XLA's flags, or if this
  machine cannot do what it asks for.

  Raises:
    ConfigError: there is no such library.
  """
  name = config.products
  if not name:
    return system, {}
  if name not in _PARTS:
    raise ConfigError(f"products={name!r}{hint(name, _PARTS)}")
  options = options_of(name)
  note = f"products: by {name}, as config.products says"
  device = jax.default_backend()
  if device != "cpu":
    options = {}
    note = f"products: products={name} is for CPUs; on {device} it does nothing"
  elif _uses_ynnpack(options) != (name == "ynnpack"):
    options = {}
    note = (
      f"warning: products={name}, but the installed XLA cannot be told so; its "
      "own choice is used, and the last bits may differ from another machine's"
    )
  return system._replace(notes=(*system.notes, note)), options


def options_of(name: str) -> dict[str, str]:
  """Return XLA's options by which a library computes products."""
  return {cpu.YNNPACK: _PARTS[name]}


def uses_ynnpack(program: str) -> bool:
  """Tell whether YNNPACK computes something of a program."""
  return "ynn_fusion" in program


def read_program(
  function: Callable[[Array], Array], dtype, options: dict[str, str]
) -> str | None:
  """Compile a function of a matrix as a test; None if XLA lacks an option."""
  compiled = jax.jit(function, compiler_options=options)
  try:
    return compiled.lower(jnp.zeros((64, 64), dtype)).compile().as_text()
  except jax.errors.JaxRuntimeError:
    return None


def _uses_ynnpack(options: dict[str, str]) -> bool | None:
  """Tell whether YNNPACK computes products; None if options are unknown."""
  program = read_program(lambda x: x @ x, jnp.float32, options)
  return None if program is None else uses_ynnpack(program)
