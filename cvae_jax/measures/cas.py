"""Classification accuracy score: do samples teach what real images teach?

A judge's network is trained on samples only and tested on real images (Ravuri
and Vinyals 2019). Samples may show what was asked for, and yet be all alike or
unlike real images. Then they teach little, which this score shows and control
does not.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import runs
from cvae_jax.data import Dataset
from cvae_jax.data.conditions import Conditions
from cvae_jax.host import hub
from cvae_jax.host.files import hash_json
from cvae_jax.loop.folder.integrity import digest
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.measures import kept
from cvae_jax.measures.control import figures
from cvae_jax.measures.samples import draw
from cvae_jax.metrics import merits
from cvae_jax.runs import Run, RunError

FOLDER = "cas"  # in a run's folder: the judges trained on its samples
ROWS = 1000  # samples that are held as floats at once


def score(
  run: Run, judge: Run, train: Callable[..., Any], seed: int = 0
) -> dict[str, Any]:
  """Train a judge's network on samples, and test it on real images.

  There are as many samples as training rows, under the same conditions. Where
  the judge stops early or keeps its best state, samples under the conditions
  of the held-out rows decide: no real image does. The network is kept in the
  run's folder and trained once for each judge and each set of samples.

  Args:
    run: a run that samples.
    judge: a run of configs/judge.py, whose config the training follows.
    train: train.train_and_evaluate, of a room that this one does not know.
    seed: of the latents.

  Returns:
    {attribute: {"samples": the figures of the judge that samples taught,
    "real": those of `judge`}}, both on the run's held-out images.

  Raises:
    RunError: see `check`; or the run's data have no test split.
  """
  check(run, judge)
  dataset = load_data(run.folder, run.config.data)
  if dataset.test is None:
    raise RunError(f"{run.folder}: its data have no test split to score on")
  asked = _shared_attributes(run, judge)
  samples = _draw_dataset(run, dataset, asked, seed)
  folder = run.folder / FOLDER / _name(run, judge, samples, seed)
  train(judge.config, folder, dataset=samples)
  test = dataset.test
  readings = {
    "samples": (asked, runs.load(folder).predict(test["image"])),
    "real": (judge.conditions, judge.predict(test["image"])),
  }
  return {
    name: {
      taught: figures(
        run.conditions,
        name,
        test["condition"],
        read[:, conditions.columns(name)],
        seed,
      )
      for taught, (conditions, read) in readings.items()
    }
    for name in asked.asked
    if run.conditions.known(test["condition"], name).any()
  }


def check(run: Run, judge: Run) -> None:
  """Check that a judge's network can be trained on a run's samples.

  Raises:
    RunError: the judge is of another system or reads none of the run's
      attributes, or the run is on the Hub.
  """
  if judge.config.system != "judge":
    raise RunError(
      f"{judge.folder} is a run of {judge.config.system!r}; the classification "
      f"accuracy score needs one of configs/judge.py; {purpose(judge)}"
    )
  hub.check_writable(run.folder)
  _shared_attributes(run, judge)


def _name(run: Run, judge: Run, samples: Dataset, seed: int) -> str:
  """Name the folder of a judge taught by samples.

  The name contains everything that the judge's training depends on. So if the
  folder exists, it has the same training, finished or to be continued.
  """
  taught = hash_json(samples.identity())[:8]
  name = f"{judge.folder.name}_{digest(judge.state)[:8]}_{taught}_seed={seed}"
  return kept.section(run, name)


def lines(scores: Mapping[str, Any]) -> list[str]:
  """Lay the scores out as text: two lines an attribute."""
  found = ["classification accuracy score, on real held-out images:"]
  for name, entry in scores.items():
    found.append(
      f"{f'  {name}, judge of samples':32} {merits.text(entry['samples'])}"
    )
    found.append(
      f"{'    judge of real images':32} {merits.text(entry['real'])}"
    )
  return found


def _shared_attributes(run: Run, judge: Run) -> Conditions:
  """Return the attributes that both have.

  Raises:
    RunError: there is none.
  """
  own = run.conditions.attributes
  shared = tuple(a for a in own if a in judge.conditions.attributes)
  if not shared:
    raise RunError(
      f"{judge.folder} reads nothing that {run.folder} is conditioned on: "
      f"{', '.join(run.conditions.asked) or 'nothing'}"
    )
  return Conditions(shared, run.conditions.known_bits)


def _draw_dataset(
  run: Run, dataset: Dataset, asked: Conditions, seed: int
) -> Dataset:
  """Return samples under the conditions of a run's data, as a dataset.

  Its test split is the real one; `valid` has samples under its conditions.
  """
  splits = dataset.train["condition"], dataset.test["condition"]
  rows = np.concatenate(splits)
  conditions = _convert_conditions(run.conditions, asked, rows)
  drawn = {
    "image": np.concatenate([*draw(run, rows, seed, ROWS)]),
    "condition": conditions,
  }
  cut = len(splits[0])
  train = {name: column[:cut] for name, column in drawn.items()}
  valid = {name: column[cut:] for name, column in drawn.items()}
  test = {"image": dataset.test["image"], "condition": conditions[cut:]}
  return Dataset(train, test, asked, "samples", valid)


def _convert_conditions(
  source: Any, target: Conditions, rows: NDArray
) -> NDArray:
  """Return conditions [N, A] with the attributes of `target` alone."""
  found = target.blank(len(rows))
  for name in target.asked:
    found[:, target.columns(name)] = rows[:, source.columns(name)]
    if target.known_bits:
      found[:, target.bit(name)] = rows[:, source.bit(name)]
  return found
