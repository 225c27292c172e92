"""A model card: what an exported model is, for people and for model hubs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import __version__
from cvae_jax.apps.export.functions import Function
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import facts
from cvae_jax.loop.run.purposes import colours
from cvae_jax.runs import Run

PICTURE = "picture.png"
_ROWS = 3
_COLUMNS = 10  # of the picture


def picture(run: Run) -> NDArray | None:
  """Draw samples [R, P, H, W, C], a condition a column, or None."""
  system = run.system
  if system.decode is None or "image" not in system.columns:
    return None
  panel = np.asarray(run.conditions.panel(), np.float32)
  panel = panel[:_COLUMNS] if len(panel) > 1 else np.repeat(panel, _COLUMNS, 0)
  if len(run.conditions.panel()) > 1:
    z = np.repeat(run.prior(_ROWS, 0), len(panel), axis=0)
  else:  # one condition: a latent a picture
    z = run.prior(_ROWS * len(panel), 0)
  drawn = run.decode(z, np.tile(panel, (_ROWS, 1)))
  return drawn.reshape(_ROWS, len(panel), *drawn.shape[1:])


def write(
  run: Run,
  functions: Mapping[str, Function],
  files: Sequence[str],
  *,
  licence: str = "",
  note: str = "",
  scores: Mapping[str, Any] | None = None,
) -> str:
  """Return the card of a run as Markdown.

  Args:
    run: the run.
    functions: what was exported to be run elsewhere.
    files: the names of the folder's files.
    licence: of the weights, as hubs name it (cc-by-4.0); "" is not stated.
    note: a paragraph of the user's own: credits, purpose, limits.
    scores: the run's scores, if they were measured.
  """
  name = run.config.name or run.config.system
  title = f"{name} ({run.config.system})"
  parts = [
    _head(run, licence),
    f"# {title}",
    f"{_what(run)}, trained with cvae_jax "
    f"{__version__} for {int(run.state.step):,} steps.",
    note,
    f"![Samples, a condition a column]({PICTURE})" if PICTURE in files else "",
    "## Use",
    _use(run, functions, files),
    "## Conditions",
    _conditions(run),
    "## Data",
    _data(run),
    "## Scores",
    _scores(run, scores),
    "## Files",
    "\n".join(f"- `{file}`" for file in sorted(files)),
    "## Licence",
    licence
    or "Not stated. Ask whoever gave you this folder before you use it.",
  ]
  return "\n\n".join(filter(None, parts)) + "\n"


def _what(run: Run) -> str:
  """Say what a model does."""
  if colours(run):
    return "A model that gives grey photos colours"
  if run.system.decode is None:
    return "A judge, which reads attributes of images"
  asked = "conditional " if _names(run) and run.reads_condition else ""
  return f"A {asked}generative model of images"


def _head(run: Run, licence: str) -> str:
  """Return the lines that model hubs read."""
  lines = ["---", "library_name: cvae_jax", "tags:", "- jax", "- cvae"]
  if run.system.decode is not None and not colours(run):
    lines += ["pipeline_tag: unconditional-image-generation"]
  lines += [f"license: {licence}"] if licence else []
  return "\n".join([*lines, "---"])


def _use(
  run: Run, functions: Mapping[str, Function], files: Sequence[str]
) -> str:
  lines = ["```python", "from cvae_jax import runs"]
  lines += ["from cvae_jax.apps import colourise"] if colours(run) else []
  lines += ["", "run = runs.load(FOLDER)"]
  if colours(run):
    lines += ['photo = colourise.read("photo.jpg")']
    lines += ["variants = colourise.colourise(run, photo, count=5).variants"]
  elif run.system.decode and "image" in run.system.columns:
    lines += ["images = run.sample(run.conditions.panel(), seed=0)"]
  text = "\n".join([*lines, "```"])
  if not functions:
    return text
  rows = [
    f"| `{name}` | {_name_inputs(f.inputs)} | {', '.join(f.outputs)} |"
    for name, f in sorted(functions.items())
  ]
  head = "| function | inputs, float32 | outputs |\n|---|---|---|"
  there = any(name.partition(".")[0] in functions for name in files)
  what = "The files beside this one hold" if there else "The model has"
  return (
    f"{text}\n\n{what} these functions. B is any number of rows, and images "
    "are in [0, 1]."
    f"\n\n{head}\n" + "\n".join(rows)
  )


def _name_inputs(inputs: Mapping[str, tuple[int, ...]]) -> str:
  return ", ".join(
    f"{name} [B, {', '.join(map(str, shape))}]"
    for name, shape in inputs.items()
  )


def _conditions(run: Run) -> str:
  names = _names(run)
  if not names or not run.condition_size:
    return "None: the model is asked for nothing."
  lines = [f"A condition has {len(names)} entries, in this order:", ""]
  said = getattr(run.conditions, "meanings", ("",) * len(names))
  for index, (name, meaning) in enumerate(zip(names, said, strict=True)):
    lines.append(f"{index}. {name}" + (f": {meaning}" if meaning else ""))
  return "\n".join(lines)


def _names(run: Run) -> list[str]:
  return [str(name) for name in getattr(run.conditions, "names", ())]


def _data(run: Run) -> str:
  known = facts(run.folder)
  source = run.config.data.get("source", "")
  text = f"Source `{run.config.data.name}`" + (
    f", `{source}`" if source else ""
  )
  if known is not None and known.rows:
    text += f", {known.rows:,} training examples"
  if (run.folder / "data.json").exists():  # older runs have none
    return text + ". `data.json` has the digests of every column."
  return text + "."


def _scores(run: Run, scores: Mapping[str, Any] | None) -> str:
  """Return the last test means, and what launch.evaluate found."""
  tests = [r for r in read_metrics(run.folder) if r.get("split") == "test"]
  tests = [row for row in tests if row["step"] <= int(run.state.step)]
  if not tests and not scores:
    return "None: the run has no test split, or was not evaluated."
  lines = []
  if tests:
    last = tests[-1]
    lines += [f"Means over the test split after step {last['step']:,}:", ""]
    lines += ["| metric | value |", "|---|---|"]
    lines += [
      f"| {name} | {value:.6g} |"
      for name, value in sorted(last.items())
      if isinstance(value, float) and name != "epoch"
    ]
  if scores:
    kept = {k: v for k, v in scores.items() if k != "protocol"}
    lines += ["", "By launch.evaluate:", "", "```json"]
    lines += [json.dumps(kept, indent=1, sort_keys=True), "```"]
  return "\n".join(lines)
