"""Measure a trained run and leave all that a report needs in its folder.

    python -m benchmarks.gpu_measure RUN --judges=RUN,RUN

A run's checkpoint may be too large to carry off a lent machine. What a report
asks of it is not: scores, distances, and pictures of random draws.
"""

import argparse
from pathlib import Path

import numpy as np

from cvae_jax import runs
from cvae_jax.figures import gan
from cvae_jax.host import images
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.measures import score, variety
from reports.compare import report as compare
from reports.faces import report as faces


def measure_face(run: runs.Run, judges: list[runs.Run]) -> None:
  """Measure a rung of the ladder: control, variety, the panel's pictures."""
  folder = run.folder
  np.savez_compressed(folder / "panel.npz", panel=_bytes(faces._panel(run)))
  variety.measure(run, load_data(folder, run.config.data).test)
  if run.config.reference == f"faces/{faces.SHOWN}":
    faces._draw(run, folder)
  score.save(run, score.score(run, judges, samples=0, per_class=50))


def measure_compared(run: runs.Run) -> None:
  """Measure a run of the comparison: collapse, distances, samples."""
  kind = compare.compare_cells.cell(run.config).kind
  for name, grid in compare._samples(run, kind, None).items():
    images.save_grid(run.folder / f"compare_{name}.png", grid)
  ways = gan.interpolation(run, rows=compare.WAYS)
  images.save_grid(run.folder / "interpolation.png", ways)
  compare._measure(run, compare._holder()(run))


def _bytes(pictures) -> np.ndarray:
  return images.to_bytes(np.asarray(pictures))


def main(argv=None) -> None:
  """Measure one run."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("run", type=Path)
  parser.add_argument("--judges", default="", help="runs, joined by commas")
  arguments = parser.parse_args(argv)
  run = runs.load(arguments.run)
  if run.config.system == "cvae":
    named = [Path(name) for name in arguments.judges.split(",") if name]
    measure_face(run, [runs.load(folder) for folder in named])
  else:
    measure_compared(run)


if __name__ == "__main__":
  main()
