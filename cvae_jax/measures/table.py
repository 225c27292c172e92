"""Sets the runs of a sweep side by side."""

import io
import json
import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cvae_jax import config as configs
from cvae_jax.host import lock
from cvae_jax.host.files import write_atomically
from cvae_jax.loop import launches
from cvae_jax.loop.checkpoint import Checkpoints
from cvae_jax.loop.rows import read_metrics
from cvae_jax.measures import verify


class TableError(ValueError):
  """Says why there is nothing to tabulate."""


def collect(folder: Path) -> pd.DataFrame:
  """Return a row for each run below folder: its last epoch and its length.

  Columns: run, parameters, epochs, loss, published, each other training term,
  test terms as "test <term>", examples/s, seconds (of training, evaluating
  and compiling, up to the latest checkpoint; what a kill took back does not
  count) and launches (more than 1: the run was interrupted). Runs in natural
  order.

  Raises:
    TableError: there is no run with a finished epoch.
  """
  rows = []
  for path in sorted(Path(folder).glob("*/config.json"), key=_natural):
    run = path.parent
    last = {row["split"]: row for row in read_metrics(run)}
    if "epoch" in last:
      rows.append(_row(run, last))
  if not rows:
    if not Path(folder).is_dir():
      raise TableError(f"{folder} is no folder; give the --workdir of a sweep")
    begun = "".join(f"\n  {line}" for line in unfinished(folder))
    raise TableError(f"no run with a finished epoch in {folder}{begun}")
  return pd.DataFrame(rows)


def _row(run: Path, last: dict) -> dict:
  epoch, test = last["epoch"], last.get("test", {})
  player = _first_player(epoch)
  terms = {
    k.removeprefix(f"{player}/"): v
    for k, v in epoch.items()
    if k.startswith(f"{player}/") and k != f"{player}/gradient_norm"
  }
  published = _published(run).get(round(epoch["epoch"]))
  names = ("loss", "elbo", "psnr")
  return {
    "run": run.name,
    "parameters": _parameters(run),
    "epochs": round(epoch["epoch"]),
    "loss": terms.pop("loss"),
    "published": published,
    **terms,
    **{f"test {k}": test[k] for k in names if k in test},
    "examples/s": last.get("train", {}).get("time/examples_per_second"),
    "seconds": _seconds(run),
    "launches": len(launches.read(run)),
  }


def _first_player(row: dict) -> str:
  """Return whose loss stands for a run: the first by name, where not alone."""
  return min(k.partition("/")[0] for k in row if k.endswith("/loss"))


def _seconds(run: Path) -> float | None:
  """Return the time that the latest checkpoint took to reach, all launches."""
  if not (run / "checkpoints").is_dir():
    return None
  checkpoints = Checkpoints(run, read_only=True)
  try:
    step = checkpoints.latest()
    return step and checkpoints.counters(step).get("elapsed")
  finally:
    checkpoints.close()


def _published(run: Path) -> dict[int, float]:
  name = configs.of_run(run).reference
  return verify.published(name) if name else {}


def _parameters(run: Path) -> int:
  total = (run / "parameters.txt").read_text().split("\n")[-2]
  return int(total.split()[-1].replace(",", ""))


def _natural(path: Path) -> list[str | int]:
  """Sort model=2 before model=10: text and numbers, by turns."""
  words = re.split(r"(\d+)", path.parent.name)
  return [int(word) if i % 2 else word for i, word in enumerate(words)]


def plot(path: Path, folder: Path) -> None:
  """Draw every run's epoch losses over its published curve as PNG."""
  runs = sorted(Path(folder).glob("*/config.json"), key=_natural)
  columns = min(5, len(runs))
  lines = -(-len(runs) // columns)
  figure = Figure(figsize=(3 * columns, 2.4 * lines), layout="constrained")
  grid = list(figure.subplots(lines, columns, squeeze=False).flat)
  for axes, config in zip(grid, runs, strict=False):
    run = config.parent
    ours = [r for r in read_metrics(run) if r["split"] == "epoch"]
    curve = _published(run)
    axes.plot(list(curve), list(curve.values()), "-", label="published")
    axes.plot(
      [r["epoch"] for r in ours],
      [r[f"{_first_player(r)}/loss"] for r in ours],
      "--",
      label="ours",
    )
    axes.set(title=run.name, yscale="log")
  for empty in grid[len(runs) :]:
    empty.set_axis_off()
  grid[0].legend()
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=100)
  write_atomically(path, buffer.getvalue())


def unfinished(folder: Path) -> list[str]:
  """Say of each run below folder that has not ended how far it came.

  A folder in which a launch failed before there was a run is one, too.
  """
  lines = []
  found = [path for path in Path(folder).iterdir() if path.is_dir()]
  for run in sorted(found, key=lambda path: _natural(path / "config.json")):
    is_run = (run / "config.json").exists()
    begun = is_run or (run / lock.FILE).exists()
    if not begun or (run / "DONE").exists():
      continue
    rows = read_metrics(run)
    if not rows:
      lines.append(f"{run.name}: failed or stopped before its first metrics")
      continue
    last = rows[-1]
    epochs = configs.of_run(run).epochs if is_run else "?"
    lines.append(
      f"{run.name}: not finished, at step {last['step']}, epoch "
      f"{last.get('epoch', 0):g} of {epochs}"
    )
  return lines


def write(folder: Path) -> str:
  """Write table.csv, table.json and curves.png; return the table as text.

  Runs that have not ended are listed below it.

  Raises:
    TableError: there is no run with a finished epoch.
  """
  table = collect(folder)
  write_atomically(folder / "table.csv", table.to_csv(index=False))
  rows = json.loads(table.to_json(orient="records"))
  write_atomically(folder / "table.json", json.dumps(rows, indent=2) + "\n")
  plot(folder / "curves.png", folder)
  text = table.to_string(index=False, float_format=lambda v: f"{v:.4f}")
  return "\n".join([text, *unfinished(folder)])
