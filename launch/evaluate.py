"""Score a run on its test split; writes measures.json and prints a table."""

import os

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to score.")
_JUDGES = flags.DEFINE_list(
  "judge", [], "Runs that read attributes. Without one control has no score."
)
_SAMPLES = flags.DEFINE_integer(
  "samples", 50, "k of the IW bound; 0: none.", lower_bound=0
)
_PER_CLASS = flags.DEFINE_integer(
  "per_class", 200, "Samples of each class or level.", lower_bound=1
)
_DATA = flags.DEFINE_string(
  "data", None, "Where the run's data are, if they have moved since training."
)
_CAS = flags.DEFINE_bool(
  "cas",
  False,
  "Train the judge's network on samples too and test it on real images.",
)
_IDENTITY = flags.DEFINE_string(
  "identity",
  None,
  "A judge that reads who is shown. With it edits of held-out images are "
  "scored too: does the attribute change, and does the person stay the same?",
)
_LABELS = flags.DEFINE_bool(
  "representation",
  False,
  "Score the latents by the data's labels too: MIG, SAP, DCI, FactorVAE's "
  "score, a linear probe.",
)
_LEDGER = flags.DEFINE_string(
  "ledger",
  None,
  "Also write the curve and the figures of a finished run as a small file "
  "into this folder.",
)
_INCEPTION = flags.DEFINE_string(
  "inception",
  None,
  "Measure FID and KID too, by the weights in this file: "
  "pt_inception-2015-12-05-6726825d.pth or a .safetensors of its names.",
)
_FID_IMAGES = flags.DEFINE_integer(
  "fid_images", 2048, "Samples for FID and KID.", lower_bound=2
)
_FID_SPLIT = flags.DEFINE_enum(
  "fid_split",
  "test",
  ["test", "train"],
  "The split whose images FID and KID compare with the samples.",
)
_PRIOR = run_flags.prior()
_GUIDANCE = run_flags.guidance()
_TEMPERATURE = run_flags.temperature()
_SEED = command.define_seed("Seed of every random draw.")


def main(_: list[str]) -> None:
  """Score the run."""
  from cvae_jax import runs
  from cvae_jax.host import hub
  from cvae_jax.loop.folder.folders import Folder
  from cvae_jax.measures import cas, edits, fid, kept, ledger

  run, judges, identity = _load_runs()
  if _LEDGER.value is not None:
    ledger.check(Folder(run.folder))  # now, and not after minutes of scoring
  run = run.with_prior(_PRIOR.value).with_guidance(_GUIDANCE.value)
  run = run.with_temperature(_TEMPERATURE.value)
  if identity is not None:
    edits.check(run, judges, identity)
  if _CAS.value and not judges:
    raise runs.RunError("--cas trains the network of a judge: give --judge=RUN")
  if _CAS.value:
    cas.check(run, judges[0])
  features = None
  if _INCEPTION.value is not None:
    fid.check(run)
    features = fid.load(command.path(_INCEPTION))
  elif _FID_IMAGES.present or _FID_SPLIT.present:
    raise runs.RunError(
      "FID and KID need Inception's weights: --inception=FILE"
    )
  # A GAN encodes nothing, so that its samples are all there is to measure.
  asked = judges or _CAS.value or _LABELS.value
  if features is None or asked or run.system.encode is not None:
    _score(run, judges, identity)
  if features is not None:
    given = (_FID_IMAGES.value, _FID_SPLIT.value, _SEED.value)
    print("\n".join(fid.lines(fid.measure(run, features, *given))))
  if hub.origin(run.folder):
    print(f"the scores are not kept: {hub.READ_ONLY}")
    return
  print(f"wrote {run.folder / kept.FILE}")
  if _LEDGER.value is not None:
    print(f"wrote {ledger.write(Folder(run.folder), command.path(_LEDGER))}")


def _load_runs():
  """Load the run, its judges, and the judge of who is shown or None."""
  from cvae_jax import runs

  run = run_flags.load(_WORKDIR)
  judges = [runs.load(folder) for folder in _JUDGES.value]
  identity = None
  if _IDENTITY.value is not None:
    identity = runs.load(_IDENTITY.value)
  if _DATA.value is not None:
    _move_data(run, [*judges, identity] if identity else judges)
  return run, judges, identity


def _move_data(run, judges) -> None:
  """Look for a run's data where --data says, and for the same of judges.

  Judges that were trained on data of another place keep theirs. All are checked
  against their own data.json when they are loaded.
  """
  now = str(command.path(_DATA))
  before = run.config.data.get("path")
  run.config.data.path = now
  for judge in judges:
    path = judge.config.data.get("path")
    # Without a path they are in the folder of all data.
    if path == before or (path and before and _is_one_path(path, before)):
      judge.config.data.path = now


def _is_one_path(a: str, b: str) -> bool:
  a, b = (os.path.abspath(os.path.expanduser(path)) for path in (a, b))
  return a == b


def _score(run, judges, identity) -> None:
  """Score a run that encodes, and print and keep its scores."""
  from cvae_jax import train
  from cvae_jax.measures import (
    abilities,
    cas,
    edits,
    representation,
    score,
    score_text,
  )

  scores = score.score(
    run,
    judges,
    samples=_SAMPLES.value,
    per_class=_PER_CLASS.value,
    seed=_SEED.value,
  )
  lines = [score_text.table(scores)]
  if identity is not None:
    scores["edits"] = edits.score(run, judges, identity, _SEED.value)
    lines += edits.lines(scores["edits"])
  print("\n".join(lines), flush=True)
  later = {"representation": _LABELS.value, "cas": _CAS.value}
  for line in _save(run, scores, [name for name in later if later[name]]):
    print(line, flush=True)
  # What follows may fail, and comes when the rest is kept.
  if _LABELS.value:
    scores["representation"] = representation.score(run, _SEED.value)
    print("\n".join(representation.lines(scores["representation"])), flush=True)
    _save(run, scores)
  if _CAS.value:  # last, since it is a training, which may be stopped
    found = cas.score(run, judges[0], train.train_and_evaluate, _SEED.value)
    print("\n".join(cas.lines(found)), flush=True)
    _save(run, scores | {"cas": found})
  if not judges and abilities.askable(run):
    print(
      f"control was not scored by a judge: train one ({_judge(run)}) and give "
      "--judge=RUN,…"
    )


def _save(run, scores, later=()) -> list[str]:
  """Keep scores, if the run is no model of the Hub.

  Returns:
    Lines that say what stays of earlier scores, but for the parts in `later`,
    which are measured next.
  """
  from cvae_jax.host import hub
  from cvae_jax.measures import earlier, score

  if hub.origin(run.folder):
    return []
  return earlier.lines(score.save(run, scores), later)


def _judge(run) -> str:
  """Return the command that trains a judge of a run's data.

  The page of judges has the keys of prepared sets alone, so a judge of another
  source is trained in Python.
  """
  from cvae_jax.host import commands

  train = commands.format_command("train")
  if run.config.data.name == "digits":
    return f"{train} --config=classifier --workdir=runs/judge"
  if run.config.data.name == "faces":
    return f"{commands.format_command('sweep')} --config=attributes"
  if run.config.data.name != "images":
    return (
      "in Python: train.train_and_evaluate(config.load('judge'), "
      "'runs/judge', dataset=data.load(run.config.data))"
    )
  path = commands.quote(run.config.data.get("path", ""))
  return (
    f"{train} --config=judge --config.data.path={path} --workdir=runs/judge"
  )


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
