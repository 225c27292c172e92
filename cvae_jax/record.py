"""A run's folder: what was asked, where it ran, what came out.

config.json · conditions.json · data.json · environment.json · parameters.txt ·
metrics.jsonl · events.out.tfevents.* · samples/<step>_<grid>.png · DONE
"""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from cvae_jax import config as configs
from cvae_jax import data, images
from cvae_jax.data import identity as identities
from cvae_jax.files import write_atomically
from cvae_jax.types import PyTree

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


DATA = "data.json"  # which data a run trains on, and holds out


class RunMismatch(ValueError):
  """Says why a folder's run cannot be continued as asked."""


class Record:
  """Writes one run's folder; knows nothing of systems."""

  def __init__(self, workdir: Path):
    self.folder = Path(workdir)
    self._metrics = None
    self._events = None

  def check(
    self,
    config: ConfigDict,
    conditions: Mapping[str, Any],
    identity: Mapping[str, Any] | None = None,
  ) -> None:
    """Checks config, conditions and data against the run's own, if any.

    It writes nothing: a launch that fails leaves no trace of its data.

    Raises:
      RunMismatch: the folder holds a run of another config or other data.
    """
    path = self.folder / "config.json"
    if not path.exists():
      return
    old = configs.from_json(path.read_text())
    if differing := configs.differences(old, config):
      raise RunMismatch(
        f"{self.folder} holds a run of another config; differing keys:\n  "
        + "\n  ".join(differing)
        + "\nUse another --workdir, or the run's own config."
      )
    path = self.folder / "conditions.json"
    saved = json.loads(path.read_text()) if path.exists() else {}
    # Older runs lack what conditions learnt to say since: that is not held.
    today = {
      k: v for k, v in json.loads(_json(conditions)).items() if k in saved
    }
    if saved != today:
      raise RunMismatch(
        f"{path} differs from what today's data give: the training data have "
        "changed since this run began. Bring the old data back or use "
        "another --workdir."
      )
    if identity is not None:
      check_data(self.folder, identity)

  def start(
    self,
    config: ConfigDict,
    conditions: Mapping[str, Any],
    step: int,
    params: PyTree,
    identity: Mapping[str, Any] | None = None,
  ) -> None:
    """Begins or continues the record after `step` completed updates.

    Rows past `step` belong to updates that a kill took back; they go.
    """
    # First, or a kill could leave a lengthened run that passes for whole.
    (self.folder / "DONE").unlink(missing_ok=True)
    # config.json makes the folder a run's, so conditions are there before.
    write_atomically(self.folder / "conditions.json", _json(conditions))
    if identity is not None:
      write_atomically(self.folder / DATA, _json(identity))
    write_atomically(self.folder / "config.json", configs.to_json(config))
    self._environment()
    write_atomically(self.folder / "parameters.txt", parameter_table(params))
    path = self.folder / "metrics.jsonl"
    kept = [r for r in read_metrics(self.folder) if r["step"] <= step]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
    self._metrics = path.open("a")
    self._events = _summary_writer()(str(self.folder), purge_step=step + 1)

  def metrics(self, row: Mapping[str, Any]) -> None:
    """Appends a row to metrics.jsonl and its numbers to TensorBoard."""
    self._metrics.write(json.dumps(row) + "\n")
    self._metrics.flush()
    for name, value in row.items():
      if name not in ("step", "split"):
        self._events.add_scalar(f"{row['split']}/{name}", value, row["step"])

  def grids(self, step: int, grids: Mapping[str, ArrayLike]) -> None:
    """Writes {name: images [R, P, H, W, C]} as samples/<step>_<name>.png."""
    for name, array in grids.items():
      path = self.folder / "samples" / f"{step:06d}_{name}.png"
      images.save_grid(path, array)
      self._events.add_image(
        f"samples/{name}", images.grid(array), step, dataformats="HWC"
      )

  def sync(self) -> None:
    """Puts the metrics on the disk, before a checkpoint vouches for them."""
    os.fsync(self._metrics.fileno())
    self._events.flush()

  def close(self, done: bool) -> None:
    """Closes the files; marks the run as finished if it is."""
    if self._metrics:
      self._metrics.close()
      self._events.close()
    if done:
      write_atomically(self.folder / "DONE", "")

  def _environment(self) -> None:
    """Adds this launch to environment.json; a resumed run has several."""
    path = self.folder / "environment.json"
    launches = json.loads(path.read_text()) if path.exists() else []
    launches.append(
      {
        "time": datetime.datetime.now(datetime.UTC).isoformat(),
        "argv": sys.argv,
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {p: importlib.metadata.version(p) for p in _PACKAGES},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "device": str(jax.devices()[0]),
        "host": platform.platform(),
        "cores": os.cpu_count(),
      }
    )
    write_atomically(path, json.dumps(launches, indent=2) + "\n")


def check_data(folder: Path, identity: Mapping[str, Any]) -> None:
  """Checks today's data against a run's data.json; older runs have none.

  Raises:
    RunMismatch: they are others; what differs is named.
  """
  path = Path(folder) / DATA
  if not path.exists():
    return
  differing = identities.differences(json.loads(path.read_text()), identity)
  if differing:
    raise RunMismatch(
      f"{path}: the training data have changed since this run began, or its "
      f"held-out data have: {'; '.join(differing)}. Bring the old data back "
      "or use another --workdir."
    )


def load_data(folder: Path, config: Any) -> data.Dataset:
  """Loads a run's data, checked against its data.json.

  Raises:
    DataError: they are missing or bad.
    RunMismatch: they are not those of the run.
  """
  try:
    dataset = data.load(config)
  except data.DataError as error:
    path = config.get("path", "")
    if path and not Path(path).expanduser().exists():
      raise data.DataError(
        f"{path}, where the run's config.json says that its data are, is not "
        "there; say where they are now: launch.evaluate --data=PATH. Found: "
        f"{error}"
      ) from error
    raise
  if (Path(folder) / DATA).exists():
    check_data(folder, dataset.identity())
  return dataset


def read_metrics(folder: Path) -> list[dict[str, Any]]:
  """Reads metrics.jsonl; a last line cut short by a kill is left out."""
  path = Path(folder) / "metrics.jsonl"
  if not path.exists():
    return []
  lines = path.read_text().split("\n")
  return [json.loads(line) for line in lines[:-1]]  # behind the last \n: torn


def parameter_table(params: PyTree) -> str:
  """Lists name, shape and size of each array, a total per branch and all."""
  lines, total = [], 0
  for branch, tree in params.items():
    size = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
      name = "/".join([branch, *(str(key.key) for key in path)])
      lines.append(f"{name:40} {leaf.shape!s:20} {leaf.size:>12,}")
      size += leaf.size
    lines.append(f"{branch + ' in all':40} {'':20} {size:>12,}")
    total += size
  return "\n".join([*lines, f"{'total':40} {'':20} {total:>12,}", ""])


def _json(conditions: Mapping[str, Any]) -> str:
  return json.dumps(conditions, indent=2, sort_keys=True) + "\n"


def _summary_writer() -> type:
  """Imports tensorboardX's writer but not torch.

  tensorboardX imports torch where that is installed, for a type it never
  meets here; None in its place makes that import fail, as it may.
  """
  absent = "torch" not in sys.modules
  if absent:
    sys.modules["torch"] = None
  try:
    from tensorboardX import SummaryWriter
  finally:
    if absent:
      del sys.modules["torch"]
  return SummaryWriter


def _git(*words: str) -> str | None:
  """Asks git about the code's folder; None outside a checkout."""
  folder = Path(__file__).parent
  try:
    done = subprocess.run(
      ["git", "-C", str(folder), *words], capture_output=True, text=True
    )
  except OSError:
    return None
  return done.stdout.strip() if done.returncode == 0 else None
