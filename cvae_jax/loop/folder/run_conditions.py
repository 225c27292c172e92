"""The conditions of a run: conditions.json, and the places of attributes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvae_jax import data
from cvae_jax.host import plugins
from cvae_jax.host.files import DamagedFile, read_json
from cvae_jax.settings import ConfigError
from cvae_jax.types import Place

_COPY = "bring a copy of the file back"


def attribute_columns(conditions: Any) -> tuple[Place, ...]:
  """Return the places of all attributes; () if the conditions have none."""
  return tuple(
    Place(
      attribute.name,
      attribute.kind,
      attribute.head,
      conditions.entry_numbers(attribute.name),
      conditions.bit(attribute.name),
    )
    for attribute in getattr(conditions, "attributes", ())
  )


def load_attribute_columns(folder: Path, source: str) -> tuple[Place, ...]:
  """Return where each attribute of a run's conditions stands.

  Args:
    folder: the run's; one that keeps no conditions has no attributes.
    source: the name of its data source.

  Raises:
    DamagedFile: its conditions cannot be read.
  """
  if not (folder / "conditions.json").exists():
    return ()
  return attribute_columns(load_conditions(folder, source))


def load_conditions(folder: Path, source: str, trust: bool = False) -> Any:
  """Return the conditions that a run's folder keeps.

  Args:
    folder: the run's.
    source: the name of its data source.
    trust: whether kinds of a user's own that they name are imported.

  Raises:
    DamagedFile: they cannot be read.
    ConfigError: a kind of a user's own is not there, or not trusted.
  """
  saved = read_json(folder / "conditions.json", dict, _COPY)
  if trust:
    plugins.trust(*_kinds(saved))
  conditions = data.source(source).Conditions
  try:
    return conditions.from_json(saved)
  except ConfigError:  # a kind of a user's own is not there, or not trusted
    raise
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise DamagedFile(
      f"{folder / 'conditions.json'} is damaged ({error!r}); {_COPY}"
    ) from None


def _kinds(saved: Mapping[str, Any]) -> list[str]:
  """Return the kinds that saved conditions name; they may be damaged."""
  entries = saved.get("attributes")
  entries = entries if isinstance(entries, list) else []
  return [str(e.get("kind")) for e in entries if isinstance(e, dict)]
