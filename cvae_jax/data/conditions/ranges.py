"""Names of numbers and their ranges, as a config states them."""

from cvae_jax.data import DataError


def check_names(names: tuple[str, ...], ranges: tuple) -> None:
  """Check that names differ and that each has a range.

  Raises:
    DataError: if not.
  """
  if len(set(names)) < len(names):
    raise DataError(f"names differ from each other; found {names}")
  if len(ranges) != len(names):
    raise DataError(f"{len(names)} names {names} but {len(ranges)} ranges")
  for name, (low, high) in zip(names, ranges, strict=True):
    if not low < high:
      raise DataError(f"range of {name}: {low:g} is not below {high:g}")
