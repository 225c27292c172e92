"""What a folder has by the names in it: checkpoints, or an export's weights."""

from pathlib import Path

WEIGHTS = "model.safetensors"  # of an export


def is_export(folder: str | Path) -> bool:
  """Tell whether a folder is an export: it has arrays and no checkpoints."""
  folder = Path(folder)
  return (folder / WEIGHTS).is_file() and not (folder / "checkpoints").exists()


def steps(workdir: str | Path) -> list[int]:
  """List the steps of a run's checkpoints, in order, without damaged ones."""
  names = _names(workdir)
  return sorted(int(name) for name in names if name.isdigit())


def has_checkpoint(workdir: str | Path) -> bool:
  """Tell whether a run has a checkpoint, even one that was set aside."""
  return any(n.isdigit() or ".damaged" in n for n in _names(workdir))


def _names(workdir: str | Path) -> list[str]:
  return [path.name for path in Path(workdir).glob("checkpoints/[0-9]*")]
