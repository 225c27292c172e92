"""Errors of networks that a config describes and that cannot be built."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.host.own_code import is_library, is_package
from cvae_jax.host.paths import PACKAGE
from cvae_jax.settings import ConfigError

_ROOMS = ("nets", "systems", "method")  # what traces networks
# Python, jax and NumPy raise these if sizes do not fit; flax has its own.
_KINDS = (TypeError, ValueError, IndexError, ArithmeticError)


@contextlib.contextmanager
def explain(config: ConfigDict) -> Iterator[None]:
  """Turn an error of jax on networks that do not fit into one line.

  Errors of the package itself pass, and so do errors of a user's own system and
  of the loop.

  Raises:
    ConfigError: config.model describes networks that cannot be built.
  """
  try:
    yield
  except ConfigError:
    raise
  except Exception as error:
    flax = type(error).__module__.partition(".")[0] == "flax"
    if _is_own(config, error):
      raise
    if not (flax or isinstance(error, _KINDS)) or not _is_shape_error(error):
      raise
    gist = " ".join(str(error).split())[:200]
    raise ConfigError(
      f"config.model: the networks of system {config.system!r} cannot be "
      f"built with these sizes; found {type(error).__name__}: {gist}. "
      "Set what you changed in config.model back, or use sizes that fit the "
      "data and each other; PAGE:help lists a page's keys"
    ) from error


def _is_own(config: ConfigDict, error: Exception) -> bool:
  """Tell whether an error is of a user's own system: config.model has no part.

  It is also one where it passed through a file of the user's own on its way.
  """
  if config.system not in configs.systems():
    return True
  _, *frames = traceback.extract_tb(error.__traceback__)  # the first is here
  ours = [is_package(frame.filename) for frame in frames]
  below = frames[ours.index(True) :] if True in ours else []
  return any(
    not is_package(f.filename) and not is_library(f.filename) for f in below
  )


def _is_shape_error(error: Exception) -> bool:
  """Tell whether an error arose in networks and not in a check of ours."""
  frames = traceback.extract_tb(error.__traceback__)
  ours = [f for f in frames if not is_library(f.filename)]
  if not ours:
    return False
  path = Path(ours[-1].filename).resolve()
  if not path.is_relative_to(PACKAGE):
    return False
  raised = ours[-1] is frames[-1] and (ours[-1].line or "").startswith("raise")
  return path.relative_to(PACKAGE).parts[0] in _ROOMS and not raised
