"""The checkpoints of a run's folder, by their names alone."""

from pathlib import Path


def steps(workdir: str | Path) -> list[int]:
  """List the steps of a run's checkpoints, in order, without damaged ones."""
  names = _names(workdir)
  return sorted(int(name) for name in names if name.isdigit())


def has_checkpoint(workdir: str | Path) -> bool:
  """Tell whether a run has a checkpoint, even one that was set aside."""
  return any(n.isdigit() or ".damaged" in n for n in _names(workdir))


def _names(workdir: str | Path) -> list[str]:
  return [path.name for path in Path(workdir).glob("checkpoints/[0-9]*")]
