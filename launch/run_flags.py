"""Flags of commands on a finished run: which run, its prior, its export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from . import command


def load(workdir: flags.FlagHolder, step: int | None = None):
  """Load the run that a flag names; warn if it was trained for few steps.

  Args:
    workdir: its value is a folder, pretrained/digits and the like, or
      hf://user/name.
    step: a checkpoint's.

  Raises:
    RunError: it is no run.
  """
  from cvae_jax import runs

  run = runs.load(source(workdir.value, workdir), step)
  if line := runs.caution(run):
    print(line)
  return run


def source(given: str, workdir: flags.FlagHolder) -> str | Path:
  """Return what `runs.load` takes: a name of the Hub, or a checked path.

  Args:
    given: one value of the flag.
    workdir: the flag, for the error.

  Raises:
    PathError: it is neither.
  """
  from cvae_jax.host import hub, paths

  if hub.is_name(given):
    return given
  return paths.local(given, f"--{workdir.name}")


def outputs(workdir: flags.FlagHolder) -> Path:
  """Return the folder in which a command's own outputs go by default.

  It is what the flag says: the run's folder. For a model of the package or of
  the Hub, pretrained/digits or hf://user/name, it is the folder of that name
  here.
  """
  from cvae_jax.host import hub

  if hub.is_name(workdir.value):
    return Path(hub.repository(workdir.value)[0])
  return command.path(workdir)


def picture(out: flags.FlagHolder, default: Path) -> Path:
  """Return the path of the picture to write; without an ending it is a PNG."""
  path = command.path(out, default)
  if path.suffix or path.is_dir():
    return path
  return path.with_name(f"{path.name}.png")


def parse(run, name: str, text: str) -> dict[str, Any]:
  """Return what a flag asks a run for, {attribute: value}.

  Args:
    run: the run that is asked.
    name: the flag's, for the error.
    text: the flag's value, name=value by commas; "" asks for nothing.

  Raises:
    DataError: an attribute or a value is unknown.
    RunError: the run can be asked for nothing.
  """
  from cvae_jax.data import DataError
  from cvae_jax.runs import RunError

  try:
    return run.parse(text)
  except (DataError, RunError) as error:
    raise type(error)(f"--{name}={text}: {error}") from None


def prior() -> flags.FlagHolder:
  """Define --prior, of commands that draw latents."""
  return flags.DEFINE_string(
    "prior",
    "",
    "What latents are drawn from: the run's own prior, or fitted (a Gaussian "
    "for each condition, fitted to the training images' posteriors), or "
    "fitted:K (a mixture of K).",
  )


def guidance() -> flags.FlagHolder:
  """Define --guidance, of commands that draw samples under conditions."""
  return flags.DEFINE_float(
    "guidance",
    1.0,
    "A number above 1 exaggerates the condition; for models that were trained "
    "with unknown values.",
  )


def temperature() -> flags.FlagHolder:
  """Define --temperature, of commands that draw latents."""
  return flags.DEFINE_float(
    "temperature",
    1.0,
    "Standard deviation t of the latents, N(0, t² I). Below 1 samples are "
    "smoother and differ less.",
  )


def step() -> flags.FlagHolder:
  """Define --step, of commands that hand a run on."""
  return flags.DEFINE_integer(
    "step", None, "Step of a checkpoint; default: the best or the latest."
  )


def export(formats: tuple[str, ...]) -> Callable[[], dict[str, Any]]:
  """Define the flags that say how an export is written.

  Args:
    formats: the default of --formats.

  Returns:
    A function that returns the flags' values, arguments of `write.export`.
  """
  held = {
    "formats": flags.DEFINE_list(
      "formats",
      [*formats],
      "Formats, separated by commas: safetensors (always written), onnx and "
      "stablehlo.",
    ),
    "half": flags.DEFINE_bool(
      "half", False, "Store the weights as 16-bit numbers, half the size."
    ),
    "encoder": flags.DEFINE_bool(
      "encoder",
      True,
      "Write the encoder too; with --noencoder the export draws, but encodes "
      "and scores nothing.",
    ),
    "licence": flags.DEFINE_string(
      "licence", "", "Of the weights, for the model card, as in cc-by-4.0."
    ),
    "note": flags.DEFINE_string(
      "note", "", "A paragraph for the model card: purpose, credits, limits."
    ),
  }
  return lambda: {name: flag.value for name, flag in held.items()}
