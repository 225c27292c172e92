"""What the folders of images say: their split, and the rest of the path."""

from collections.abc import Sequence

from cvae_jax.data.files import splits


def split_folders(paths: Sequence[str]) -> tuple[list[list[str]], list[str]]:
  """Return the folders of each path, and its split; [] if they say none.

  Outer folders that all paths share are left out, and so is a split's.
  """
  folders = [[w.strip() for w in path.split("/")[:-1]] for path in paths]
  shared = _count_shared(folders)
  folders = [folder[shared:] for folder in folders]
  if not all(folder and splits.canonical(folder[0]) for folder in folders):
    return folders, []
  found = [splits.canonical(folder[0]) for folder in folders]
  return [folder[1:] for folder in folders], found


def _count_shared(folders: Sequence[Sequence[str]]) -> int:
  """Count the outer folders that all images lie in; a split's is none."""
  depth = 0
  for level in zip(*folders, strict=False):
    if len(set(level)) > 1 or splits.canonical(level[0]):
      break
    depth += 1
  # The innermost folder of a set of one class is that class.
  return depth
