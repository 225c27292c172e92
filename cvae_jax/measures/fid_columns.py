"""FID and KID of runs as columns of a table, read from their measures.json.

A column's name says what its figures were measured by, so that only figures
which may be compared stand below each other.
"""

from collections.abc import Mapping
from typing import Any

from cvae_jax.data.files import inception_files
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.measures.kept import MANNERS


def read(run: Folder) -> dict[str, float]:
  """Return {"FID 2048": …, "KID 2048": …, "FID 2048, guidance 2": …}.

  Figures of a state that the run no longer hands out are left out; see
  `describe_old`.
  """
  found = {}
  for section in _split(run)[0]:
    name = _name(section["protocol"])
    found[f"FID {name}"] = section["fid"]
    found[f"KID {name}"] = section["kid"]
  return found


def describe_old(runs: Mapping[str, Folder]) -> list[str]:
  """Say of which runs FID and KID are of a state of the past."""
  return [
    f"note: {name}: FID was measured at step {section['protocol']['step']}, "
    "which is no longer the state of the run; measure it again"
    for name, run in runs.items()
    for section in _split(run)[1]
  ]


def _split(run: Folder) -> tuple[list[Mapping], list[Mapping]]:
  """Return the sections of the state that a run hands out, and the others."""
  found = [
    section
    for name, section in run.measures.items()
    if name.split("_")[0] == "fid" and "step" in section.get("protocol", {})
  ]
  if not found:
    return [], []
  now = _find_step(run)
  old = [s for s in found if now not in (None, s["protocol"]["step"])]
  return [s for s in found if s not in old], old


def _find_step(run: Folder) -> int | None:
  """Return the step of the state that a run hands out.

  It is None of a ledger's entry, whose figures are those of its end.
  """
  if not (run.path / "checkpoints").is_dir():
    return None
  if run.best_step is not None:
    return run.best_step
  checkpoints = Checkpoints(run.path, read_only=True)
  try:
    return checkpoints.latest()
  finally:
    checkpoints.close()


def _name(protocol: Mapping[str, Any]) -> str:
  """Return the number of samples and what differs from the usual."""
  words = [str(protocol["samples"])]
  if protocol["images"] != protocol["samples"]:
    words[0] += f" beside {protocol['images']}"
  if protocol["split"] != "test":
    words.append(protocol["split"])
  if prior := protocol.get("prior"):
    words.append(str(prior))
  for manner in MANNERS:
    if manner in protocol:
      words.append(f"{manner} {protocol[manner]:g}")
  if not protocol["weights"].startswith(inception_files.SHA256):
    words.append(f"weights {protocol['weights'][:8]}")
  return ", ".join(words)
