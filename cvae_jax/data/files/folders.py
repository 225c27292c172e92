"""What the folders of images say: their split, and the tables in them."""

from collections.abc import Sequence

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import splits, tables
from cvae_jax.data.files.finding import Images


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


def join_tables(images: Images, names: Sequence[str]) -> pd.DataFrame | None:
  """Join tables of one name, each of the images beside it; else None.

  So Hugging Face's imagefolder has them: train/metadata.csv, test/metadata.csv.
  """
  if len({name.rpartition("/")[2] for name in names}) > 1:
    return None
  parts = []
  for name in names:
    try:
      table = tables.read(images.read(name), name)
    except DataError:
      return None  # a text that is no table, as a licence in each folder
    folder = name.rpartition("/")[0]
    inside = f"{folder}/" + table
    known = inside.isin(images.where.keys()).all()
    if not known.any():
      return None
    column = known.idxmax()
    parts.append(table.assign(**{column: inside[column]}))
  return pd.concat(parts, ignore_index=True).fillna("")
