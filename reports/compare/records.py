"""What a run of the comparison, or its entry in a ledger, has on record."""

from typing import Any

from cvae_jax.loop.folder.folders import Folder
from reports import is_of_same_images, variants
from reports.compare import curves
from reports.compare.cells import Cell

PAGE = "compare"  # configs/compare.py, of which the runs are
SYSTEMS = ("autoencoder", "gan")
OWN = ("step", "state")  # entries of a protocol that differ between runs
Record = dict[str, Any]


def is_ours(run: Folder) -> bool:
  """Tell whether a run is one of the comparison's and has an epoch."""
  ours = variants.find(run.config).page == PAGE
  return ours and run.config.system in SYSTEMS and bool(run.split("epoch"))


def make_record(run: Folder, cell: Cell) -> Record:
  """Return what a run recorded, before anything is measured."""
  parted = curves.split_rows(run.config, run.rows)
  return {
    "cell": cell,
    "run": run,
    "folder": run.path,
    "config": run.config,
    "size": run.config.data.image_shape[0],
    "parameters": run.parameters,
    "complete": run.done,
    "epochs": round(parted["epoch"][-1]["epoch"]),
    "environment": run.environment,
    "rows": parted,
    "tests": run.split("test"),
    "tracking": curves.correlate_losses(parted["epoch"], parted["test"]),
    "stop": curves.stop(run.config, parted["test"]),
    "samples": {},
    "posterior": None,
  }


def describe_unlike(one: Record, other: Record) -> str:
  """Say in what two runs were measured unlike; "" where they are alike."""
  first, second = ({**r, **r["protocol"]} for r in (one, other))
  names = {"size", "counts", *one["protocol"], *other["protocol"]} - {*OWN}
  if one["data"] and other["data"]:  # a ledger does not have the name
    names.add("data")
  parts = [
    f"{name} {first.get(name)} and {second.get(name)}"
    for name in sorted(names)
    if first.get(name) != second.get(name)
  ]
  if not is_of_same_images(one["run"], other["run"]):
    parts.append("other held-out images")
  return ", ".join(parts)


def describe_state(record: Record, step: int) -> Record:
  """Return the epochs, the updates and the test metrics of a run's state."""
  config = record["config"]
  last = record["rows"]["epoch"][-1]  # may be later than the state
  ended = round(last["epoch"])
  age = round(last["epoch"] * step / last["step"])
  word = "best" if config.early_stop.restore else "saved"
  return {
    "trained": f"{ended}" if age == ended else f"{ended} ({word} {age})",
    "updates": step // config.optim.get("critic_steps", 1),
    "test": next((row for row in record["tests"] if row["step"] == step), {}),
  }
