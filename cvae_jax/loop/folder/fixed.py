"""What a resumed run may change of its config, and what it may not."""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import settings
from cvae_jax.config import to_json
from cvae_jax.defaults import GROUPS

# What may change when a run is resumed: how long it trains, how often it does
# something, the devices, the updates of a dispatch, and where the data lie.
# `init_from` may not: config.json says what the run began with.
FREE = (
  "name",
  "epochs",
  "log_every",
  "checkpoint_every",
  "evaluate_every_epochs",
  "keep",
  "mesh",
  "steps_per_dispatch",
  "data.path",
)


# Keys that were added to pages, with the values that older runs, which lack
# them, were trained with.
LATER = dict(settings.leaves(GROUPS)) | {
  "data.binarise": "",
  "data.condition_dropout": 0.0,
}


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """List the keys that a resumed run may not change, "key: old → new"."""
  before, after = (
    dict(settings.leaves(json.loads(to_json(c)))) for c in (old, new)
  )
  keys = sorted(before.keys() | after.keys())
  absent = "(absent)"
  # Patience counts evaluations, so their interval is part of the rule.
  watched = any(
    before.get(f"{rule}.metric") for rule in ("early_stop", "plateau")
  )
  held = ("evaluate_every_epochs",) if watched else ()

  def value(flat: Mapping, key: str) -> Any:
    return flat.get(key, LATER.get(key, absent))

  return [
    f"{key}: {value(before, key)!r} → {value(after, key)!r}"
    for key in keys
    if (key in held or not is_free(key))
    and value(before, key) != value(after, key)
  ]


def values(config: ConfigDict) -> dict[str, Any]:
  """Return {dotted key: value} of what a resumed run may not change."""
  flat = settings.leaves(json.loads(to_json(config)))
  return {key: value for key, value in flat if not is_free(key)}


def is_free(key: str) -> bool:
  """Tell whether a resumed run may change a key.

  A file of weights may have moved: a checkpoint holds the hash of its content.
  """
  weights = key.startswith("pretrained.") and key.endswith(".file")
  return weights or key in FREE
