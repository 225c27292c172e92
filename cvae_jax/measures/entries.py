"""What a ledger's entries hold, compared: is it the same run?"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvae_jax import settings
from cvae_jax.data.files import identity as identities
from cvae_jax.host.files import hash_json

Content = Mapping[str, Any]  # of an entry: config, data, rows and more
NO_CURVE = "which has no curve of its training; give the run itself"
# Keys on which a run's figures do not depend.
WITHOUT_EFFECT = ("name", "reference", "keep", "log_every", "checkpoint_every")


def is_same_training(a: Content, b: Content) -> bool:
  """Tell whether two entries are of one config and, as far as known, one data.

  Keys without effect do not count, nor does the place of the data. Entries of
  old runs do not say what their data were.
  """
  if digest_config(a["config"]) != digest_config(b["config"]):
    return False
  known = [one.get("data") for one in (a, b)]
  if not all(one and "train" in one for one in known):
    return True
  return not identities.differences(*known)


def is_same_run(a: Content, b: Content) -> bool:
  """Tell whether two entries are of one training and have the same curves."""
  rows = [json.dumps(one["rows"], sort_keys=True) for one in (a, b)]
  return rows[0] == rows[1] and is_same_training(a, b)


def digest(content: Content) -> str:
  """Return a hash of the config and the data of an entry."""
  return hash_json([digest_config(content["config"]), content.get("data")])


def digest_config(config: Mapping[str, Any]) -> str:
  """Return a hash of the keys on which figures depend."""
  free = (*WITHOUT_EFFECT, "data.path")  # the same data may lie elsewhere
  return hash_json({k: v for k, v in settings.leaves(config) if k not in free})


def without_places(found: Any) -> Any:
  """Return JSON types in which a path of this machine is the file's name."""
  if isinstance(found, Mapping):
    return {key: without_places(value) for key, value in found.items()}
  if isinstance(found, list | tuple):
    return [without_places(value) for value in found]
  if isinstance(found, str) and os.path.isabs(found):
    return Path(found).name
  return found


def rounded(value: Any) -> Any:
  """Return a figure, or figures in groups and lists, to six digits."""
  if isinstance(value, float):
    return float(f"{value:.6g}")
  if isinstance(value, Mapping):
    return {key: rounded(inner) for key, inner in value.items()}
  if isinstance(value, list):
    return [rounded(inner) for inner in value]
  return value
