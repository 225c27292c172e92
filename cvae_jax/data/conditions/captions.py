"""Numbers in captions."""


def show(value: float) -> str:
  """Return a number in three digits, or to one decimal from 100 on."""
  return f"{value:.3g}" if abs(value) < 100 else f"{round(value, 1):.7g}"
