"""Paths that a user gives: of this machine, with ~ expanded."""

import os
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # the folder cvae_jax
# The second form is what pathlib leaves of "gs://bucket".
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z][A-Za-z0-9+.-]+:/")


class PathError(ValueError):
  """Says why a path cannot be used."""


def local(path: str | os.PathLike, what: str = "the path") -> Path:
  """Return a path of this machine, `~` expanded.

  Args:
    path: as the user gave it.
    what: how the error calls the path, as "--workdir".

  Raises:
    PathError: it is empty, names another machine or an unknown home folder.
  """
  text = os.fspath(path)
  if isinstance(text, bytes):
    text = os.fsdecode(text)
  if not text.strip() or "\0" in text:
    raise PathError(
      f"{what} is {text!r}; expected a folder or a file, as in runs/digits"
    )
  if text.startswith("hf:/"):
    raise PathError(
      f"{what} is {text!r}, a name of the Hub, which is only read; give a "
      "folder here, or fetch it with: hf download user/name --local-dir=FOLDER"
    )
  if _REMOTE.match(text):
    raise PathError(
      f"{what} is {text!r}: remote paths are not supported; mount it, or copy "
      "it to this machine and give that path"
    )
  try:
    found = Path(text).expanduser()
  except RuntimeError as error:
    raise PathError(
      f"{what} is {text!r}: no home folder is known for it ({error}); give "
      "the whole path"
    ) from None
  return found


def folder(path: str | os.PathLike, what: str = "the folder") -> Path:
  """Return `local(path)`, where a folder is or can be made.

  Raises:
    PathError: as `local`; or it is a file, or lies below one, or among the
      checkpoints of a run, which would then be taken for damaged.
  """
  found = local(path, what)
  for place in (found, *found.parents):
    run = place.parent
    if place.name == "checkpoints" and (run / "config.json").is_file():
      raise PathError(
        f"{what} is {str(path)!r}, among the checkpoints of the run {run}; "
        "give another folder"
      )
  for place in (found, *found.parents):
    if place.is_dir():
      break
    if place.exists() or place.is_symlink():
      kind = "a file" if place.exists() else "a link to nothing"
      raise PathError(
        f"{what} is {str(path)!r}: {place} is {kind}; expected a folder, or a "
        "name that is free"
      )
  return found
