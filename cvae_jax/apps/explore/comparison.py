"""Compare runs side by side: one request, the samples of each run."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.pictures import draw
from cvae_jax.apps.explore.request import Request, first


def common_attributes(runs: Sequence[Opened]) -> list[Any]:
  """Return the attributes that all runs have in common."""
  others = [{a.name: a for a in opened.attributes} for opened in runs[1:]]
  return [
    attribute
    for attribute in runs[0].attributes
    if all(_alike(attribute, other.get(attribute.name)) for other in others)
  ]


def samples(
  opened: Opened, values: Mapping[str, Any], seed: int
) -> tuple[NDArray, dict[str, Any]]:
  """Draw one run's samples of a request that several share.

  Returns:
    Images [COUNT, H, W, C], and the run's own conditions that the request
    does not have, at which they were drawn.
  """
  own = first(opened).values
  mine = {name: value for name, value in own.items() if name not in values}
  asked = {name: values[name] for name in own if name in values}
  return draw(opened, Request({**asked, **mine}, seed)).images, mine


def _alike(one: Any, other: Any) -> bool:
  """Tell whether two attributes have the same kind and the same values."""
  if other is None or one.kind != other.kind or one.levels != other.levels:
    return False
  return one.choices() == other.choices()
