"""What a run of the comparison, or its entry in a ledger, has on record."""

from typing import Any

from cvae_jax.loop.folder.folders import Folder
from reports import variants
from reports.compare import curves
from reports.compare.cells import Cell

PAGE = "compare"  # configs/compare.py, of which the runs are
SYSTEMS = ("autoencoder", "gan")
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
