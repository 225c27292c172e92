"""Train many runs side by side on one GPU, in order of worth, till a deadline.

    python benchmarks/gpu_train.py --workdir=runs --until=600 --jobs=8

After `--until` seconds it stops what still trains (a run saves its state then),
measures what there is of the comparison, and ends.
"""

import argparse
import sys
import time
from pathlib import Path

from gpu_crew import Crew, Job

LADDER = (1, 9, 15, 8, 7, 4, 13, 12, 11, 14, 10, 6, 5, 3, 2)
JUDGES = ("gender", "hair", "mouth", "eyes")


def _train(page: str, name: str, needs: str, *flags: str, after=()) -> Job:
  words = ("launch.train", f"--config=configs/{page}", f"--workdir=@/{name}")
  return Job(name, (*words, *flags), after, needs)


def _loop(stride: int, log: int, save: int, evaluate: int = 1) -> list[str]:
  return [
    f"--config.steps_per_dispatch={stride}",
    f"--config.log_every={log}",
    f"--config.checkpoint_every={save}",
    f"--config.evaluate_every_epochs={evaluate}",
  ]


def _compare() -> list[Job]:
  page = "compare.py:{},size=64,latent={},distance=500"
  data = "faces_64/prepared.json"
  epoch = 140  # steps
  long = {
    "wgan_gp": (900, _loop(20, epoch, 20 * epoch, 20)),
    "gan": (180, _loop(20, epoch, 20 * epoch, 5)),
  }
  found = []
  for kind, latents in (("gan", 128), ("wgan_gp", 128)):
    epochs, flags = long[kind]
    name = f"compare/{kind},latent={latents}"
    flags = [*flags, f"--config.epochs={epochs}"]
    found.append(_train(page.format(kind, latents), name, data, *flags))
  for latents in (128, 512):
    for kind in ("ae", "vae"):
      name = f"compare/{kind},latent={latents}"
      flags = _loop(20, epoch, 2 * epoch)
      found.append(_train(page.format(kind, latents), name, data, *flags))
  return found


def _faces() -> list[Job]:
  found = []
  judges = []
  data = "faces_120/prepared.json"
  for name in JUDGES:
    judges.append(f"judges/{name}")
    flags = [*_loop(31, 93, 93), "--config.data.train_rows=2976"]
    flags.append("--config.epochs=20")
    found.append(_train(f"attributes.py:{name}", judges[-1], data, *flags))
  for rung in LADDER:
    name = f"faces/model={rung}"
    flags = _loop(31, 31, 1488)
    found.append(_train(f"faces.py:model={rung}", name, data, *flags))
  named = ",".join(f"@/{judge}" for judge in judges)
  for rung in LADDER:
    name = f"faces/model={rung}"
    words = ("benchmarks.gpu_measure", f"@/{name}", f"--judges={named}")
    found.append(Job(f"measure/{rung}", words, (name, *judges)))
  return found


def _digits() -> list[Job]:
  found = []
  data = "mnist"
  for page in ("aae,prior=normal", "ilaae,prior=normal", "ilaae,prior=mixture"):
    flags = _loop(36, 468, 4680, 2)
    found.append(_train(f"zoo.py:{page},full", f"aae/{page}", data, *flags))
  m1 = "zoo/m1"
  loop = _loop(50, 300, 3000)
  found.append(_train("zoo.py:m1,full", m1, data, *loop))
  choices = {
    "m2": {
      "base": (),
      "latents20": ("--config.model.latents=20",),
      "alpha1": ("--config.loss.alpha=1.0",),
      "nowarmup": ("--config.loss.warm_up=0",),
    },
    "m1m2": {"base": (), "alpha1": ("--config.loss.alpha=1.0",)},
  }
  for draw in (5, 6, 7):
    for kind in choices:
      page = f"zoo.py:{kind},labels=100,draw={draw},full"
      after = (m1,) if kind == "m1m2" else ()
      name = f"zoo_fresh/{kind}_{draw}"
      found.append(_train(page, name, data, *_init(kind), *loop, after=after))
  for kind, ways in choices.items():
    for way, flags in ways.items():
      page = f"zoo.py:{kind},labels=100,draw=1,full,holdout"
      after = (m1,) if kind == "m1m2" else ()
      flags = [*_init(kind), *loop, *flags]
      name = f"zoo_select/{kind}_{way}_1"
      found.append(_train(page, name, data, *flags, after=after))
  return found


def _init(kind: str) -> list[str]:
  return ["--config.init_from=@/zoo/m1:encoder,decoder"] * (kind == "m1m2")


def _measures() -> list[Job]:
  """Measure what of the comparison there is, at the latest at the end."""
  return [
    Job(
      f"measure/{job.name}",
      ("benchmarks.gpu_measure", f"@/{job.name}"),
      (job.name,),
      late=True,
    )
    for job in _compare()
  ]


def plan() -> list[Job]:
  """List the jobs, those of most worth first."""
  first = _compare()[:2]
  return first + _faces() + _compare()[2:] + _measures() + _digits()


def seconds_left(arguments, begun: float) -> float:
  """Return how long trainings may go on; a file may have moved the end."""
  moved = Path(arguments.workdir) / "deadline"  # seconds since 1970
  if moved.exists():
    return float(moved.read_text()) - time.time()
  return begun + arguments.until - time.time()


def main(argv=None) -> int:
  """Run the plan."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--workdir", default="runs")
  parser.add_argument("--until", type=float, default=600, help="seconds")
  parser.add_argument("--measures", type=float, default=60, help="seconds more")
  parser.add_argument("--jobs", type=int, default=8, help="at a time")
  parser.add_argument("--only", default="", help="names that begin so")
  parser.add_argument("words", nargs="*", help="behind --, for each run")
  arguments = parser.parse_args(argv)
  only = tuple(arguments.only.split(","))
  jobs = [job for job in plan() if job.name.startswith(only)]
  crew = Crew(arguments)
  begun = time.time()
  late = False
  while True:
    left = seconds_left(arguments, begun)
    if left <= 0 and not late:
      late = True
      print(f"the end: stopping {', '.join(crew.running)}", flush=True)
      keep = {n: p for n, p in crew.running.items() if n.startswith("measure")}
      crew.running = {n: p for n, p in crew.running.items() if n not in keep}
      crew.stop()
      crew.running = keep
    if left <= -arguments.measures:
      crew.stop(2.0)
      return 1
    crew.collect()
    for job in jobs:
      if len(crew.running) < arguments.jobs and crew.may_start(job, late):
        crew.start(job)
    waiting = [j for j in jobs if j.name not in {*crew.ended, *crew.running}]
    if not crew.running and (late or not waiting):
      return 0
    time.sleep(0.5)


if __name__ == "__main__":
  sys.exit(main())
