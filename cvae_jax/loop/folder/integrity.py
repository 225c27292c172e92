"""Digests and checks that tell a saved state from another or a damaged one."""

import concurrent.futures
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from cvae_jax.host.console import say
from cvae_jax.host.files import hash_json
from cvae_jax.types import PyTree, TrainState

MARK = "_CHECKPOINT_METADATA"  # orbax's file of a checkpoint's times


class CheckpointError(ValueError):
  """Says which checkpoint does not fit, and which names differ."""


class Damaged(CheckpointError):
  """Says which checkpoint cannot be read, or is not what was saved."""


def fingerprint(tree: PyTree) -> str:
  """Return the SHA-256 of a tree's names, shapes and float32 values."""
  total = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    total.update(f"{leaf_name(path)} {leaf.shape}\n".encode())
    total.update(np.ascontiguousarray(leaf, np.float32).tobytes())
  return total.hexdigest()


def digest(tree: PyTree) -> str:
  """Return the SHA-256 of a tree's names, shapes, types and every bit.

  The leaves are hashed in parallel, since hashlib releases Python's lock.
  """
  named = jax.tree_util.tree_leaves_with_path(tree)
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    leaves = pool.map(_hash_array, (leaf for _, leaf in named))
    total = hashlib.sha256()
    for (path, _), leaf in zip(named, leaves, strict=True):
      total.update(f"{leaf_name(path)} {leaf}\n".encode())
  return total.hexdigest()


def _hash_array(leaf: Array) -> str:
  array = np.ascontiguousarray(leaf)
  content = hashlib.sha256(array.view(np.uint8).reshape(-1)).hexdigest()
  return f"{array.shape} {array.dtype} {content}"


def leaf_name(path) -> str:
  """Return the name of a leaf, "params/encoder/conv_0/kernel"."""
  return "/".join(_key_name(key) for key in path)


def _key_name(key) -> str:
  """Return the name of one step of a path as orbax's metadata has it."""
  for field in ("key", "name", "idx"):
    if hasattr(key, field):
      return str(getattr(key, field))
  return str(key)


def shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
  """Return {"params/encoder/conv_0/kernel": shape} of all leaves."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {leaf_name(path): tuple(leaf.shape) for path, leaf in leaves}


def check_names(expected: Mapping, found: Mapping, where: str) -> None:
  """Compare the expected {name: shape} with those that are there.

  Raises:
    CheckpointError: names are missing or extra, or shapes differ.
  """
  lines = [f"missing: {n} {expected[n]}" for n in expected if n not in found]
  lines += [f"extra: {n} {found[n]}" for n in found if n not in expected]
  lines += [
    f"shape: {n} is {found[n]}, expected {expected[n]}"
    for n in expected
    if n in found and found[n] != expected[n]
  ]
  if lines:
    shown = "\n  ".join(sorted(lines)[:20])
    raise CheckpointError(
      f"{where} does not fit this config ({len(lines)} differences):\n  {shown}"
    )


def check_types(expected: PyTree, found: PyTree, where: str) -> None:
  """Compare the types of two trees of the same names.

  Raises:
    CheckpointError: an array has another type: it would be cast unsaid.
  """
  wanted = jax.tree_util.tree_leaves_with_path(expected)
  types = {leaf_name(path): str(leaf.dtype) for path, leaf in wanted}
  for path, leaf in jax.tree_util.tree_leaves_with_path(found):
    name = leaf_name(path)
    if str(leaf.dtype) != types[name]:
      raise CheckpointError(
        f"{where}: {name} is {leaf.dtype}, expected {types[name]}; it was not "
        "made by this project's training"
      )


def check_marks(folder: Path, repair: bool) -> None:
  """Check the files of times by which orbax lists checkpoints.

  Orbax works without such a file, and with one that is no JSON. It fails if the
  file holds unexpected JSON. With `repair` such a file is removed.

  Raises:
    CheckpointError: a file is a link or a device.
    Damaged: a file is JSON of another kind, and may not be removed.
  """
  for path in sorted(folder.glob(f"*/{MARK}")):
    check_files(path)
    try:
      found = json.loads(path.read_bytes())
    except RecursionError:
      found = ()  # nested groups, at which orbax would fail
    except (OSError, ValueError):  # the training may delete checkpoints now
      continue
    if isinstance(found, dict):
      continue
    kind = type(found).__name__
    what = f"{path} is damaged: found {kind}, expected a mapping"
    if not repair:
      raise Damaged(f"{what}; delete it, and the checkpoint is read without it")
    path.unlink()
    say(f"warning: {what}; it is removed and not needed")


def check_files(folder: Path) -> None:
  """Refuse links and devices in a checkpoint: they read from elsewhere.

  Raises:
    CheckpointError: there is one.
  """
  paths = [Path(folder)]
  for place, folders, files in os.walk(folder):
    paths += [Path(place) / name for name in (*folders, *files)]
  for path in paths:
    try:
      mode = path.lstat().st_mode
    except FileNotFoundError:  # another process has deleted it
      continue
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
      kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
      raise CheckpointError(
        f"{path} is {kind}; a checkpoint has plain files alone. It is not "
        "read; put a copy of the file there"
      )


def check_held(
  found: Mapping[str, str], saved: Mapping[str, str], where: str
) -> None:
  """Compare {branch: SHA-256} of weights from files with a checkpoint's.

  Raises:
    CheckpointError: a branch is another one.
  """
  for name, sha256 in found.items():
    if sha256 != saved.get(name):
      raise CheckpointError(
        f"{where} was made with another {name!r}: SHA-256 {saved.get(name)}, "
        f"found {sha256}; bring the weights back that the run began with"
      )


def seal(counters: Mapping[str, Any]) -> dict[str, Any]:
  """Return counters with their own SHA-256, which `check_counters` compares."""
  counters = {k: v for k, v in counters.items() if k != "counters_sha256"}
  return {**counters, "counters_sha256": hash_json(counters)}


def check_counters(counters: Any, where: str) -> dict[str, Any]:
  """Return counters as they were before `seal`.

  Checkpoints made before there were digests have none.

  Raises:
    Damaged: they are no mapping, or not what was saved.
  """
  if not isinstance(counters, dict):
    raise Damaged(
      f"{where} is damaged: its counters are {type(counters).__name__}, "
      "expected a mapping"
    )
  seal = counters.pop("counters_sha256", None)
  if seal is not None and hash_json(counters) != seal:
    raise Damaged(
      f"{where} is damaged: its counters are not those that were saved "
      "(SHA-256)"
    )
  return counters


def check_state(
  state: TrainState, sha256: str | None, step: int, where: str
) -> None:
  """Compare a state with its counters and its folder.

  Checkpoints made before there were digests have none.

  Raises:
    Damaged: it is not the state that was saved, or is not finite.
  """
  if sha256 is not None and digest(state) != sha256:
    raise Damaged(
      f"{where} is damaged: its arrays are not those that were saved (SHA-256)"
    )
  if int(state.step) != step:
    raise Damaged(f"{where} is damaged: its state is of step {int(state.step)}")
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    # An optimiser's second moment may overflow, but it never becomes NaN.
    moment = leaf_name(path).startswith("opt_state/")
    values = np.asarray(leaf)
    sound = ~np.isnan(values) if moment else np.isfinite(values)
    if not sound.all():
      raise Damaged(f"{where} is damaged: {leaf_name(path)} is not finite")
