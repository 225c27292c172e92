"""Compare what the entries of a condition vector mean in two runs."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.host.wording import shorten
from cvae_jax.loop.begin import find_lender
from cvae_jax.loop.folder.run_conditions import load_conditions


def caution(config: ConfigDict, conditions: Any) -> str:
  """Say which entries mean something else in the run of `init_from`.

  Weights fit by their shapes alone. So those of a run whose classes are in
  another order, for instance, fit too.

  Args:
    config: a run's, which may borrow weights of another.
    conditions: that run's own.

  Returns:
    A sentence; "" if nothing is borrowed or nothing differs.
  """
  if not config.init_from:
    return ""
  lender = find_lender(config.init_from)
  found = differences(conditions, _kept_conditions(lender))
  if not found:
    return ""
  return (
    f"init_from {config.init_from!r}: {len(found)} of {conditions.size} "
    "entries of the condition vector mean something else in that run: "
    f"{shorten(found, 3)}. Weights of conditions begin with the meanings there"
  )


def differences(own: Any, other: Any) -> list[str]:
  """Describe the entries of a condition vector that differ in meaning.

  Args:
    own: the conditions of a run.
    other: those of another. If their vectors have another length, or one has
      no attributes, no weights of conditions fit, and nothing is compared.
  """
  both = own, other
  if not all(getattr(one, "attributes", ()) for one in both):
    return []
  if own.size != other.size:
    return []
  mine, theirs = (zip(one.names, one.meanings, strict=True) for one in both)
  pairs = enumerate(zip(mine, theirs, strict=True))
  return [_describe(place, *pair) for place, pair in pairs if len({*pair}) > 1]


def _describe(place: int, own: tuple[str, str], other: tuple[str, str]) -> str:
  """Say what an entry holds here and there, by name or else by meaning."""
  part = 0 if own[0] != other[0] else 1
  said = own[0] if part == 0 else f"{own[0]}: {own[1]}"
  return f"entry {place} is {said!r} here and {other[part]!r} there"


def _kept_conditions(folder: Path) -> Any:
  """Return the conditions that a run keeps, None where it keeps none."""
  if not (folder / "conditions.json").exists():
    return None
  return load_conditions(folder, configs.of_run(folder).data.name)
