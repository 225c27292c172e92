"""Networks that a config describes and that cannot be built."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from cvae_jax.settings import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = ("nets", "systems", "method")  # what traces networks
_LIBRARIES = ("site-packages", "dist-packages")
# What Python, jax and NumPy raise where sizes do not fit; flax has its own.
_KINDS = (TypeError, ValueError, IndexError, ArithmeticError)


@contextlib.contextmanager
def explain(config: ConfigDict) -> Iterator[None]:
  """Turn what jax says of networks that do not fit into a line.

  What the package says itself passes, and so does all that comes of a user's
  own system or of the loop.

  Raises:
    ConfigError: config.model describes networks that cannot be built.
  """
  try:
    yield
  except ConfigError:
    raise
  except Exception as error:
    flax = type(error).__module__.partition(".")[0] == "flax"
    if not (flax or isinstance(error, _KINDS)) or not _is_shape_error(error):
      raise
    gist = " ".join(str(error).split())[:200]
    raise ConfigError(
      f"config.model: the networks of system {config.system!r} cannot be "
      f"built with these sizes; found {type(error).__name__}: {gist}. "
      "Set what you changed in config.model back, or use sizes that fit the "
      "data and each other; PAGE:help lists a page's keys"
    ) from error


def _is_shape_error(error: Exception) -> bool:
  """Tell whether networks were traced and none of our own checks spoke."""
  frames = traceback.extract_tb(error.__traceback__)
  ours = [f for f in frames if not any(n in f.filename for n in _LIBRARIES)]
  if not ours:
    return False
  path = Path(ours[-1].filename).resolve()
  if not path.is_relative_to(_PACKAGE):
    return False
  raised = ours[-1] is frames[-1] and (ours[-1].line or "").startswith("raise")
  return path.relative_to(_PACKAGE).parts[0] in _ROOMS and not raised
