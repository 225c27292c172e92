"""Say what a run is, and which command serves it."""

from typing import Any

from cvae_jax.host import commands, hub


def colours(run: Any) -> bool:
  """Tell whether a run colours photos, as that of one system does."""
  return run.config.system == "colouring"


def purpose(run: Any) -> str:
  """Return what a run is and the command that serves it, for errors.

  It reads "this is a judge, which …; use python -m launch.evaluate …".

  Args:
    run: a restored run.
  """
  name = commands.quote(hub.display_name(run.folder))
  if colours(run):
    command = commands.format_command("colourise")
    command += f" --workdir={name} --image=PHOTO"
    return f"this is a colouring model, which colours photos; use {command}"
  if run.system.decode is not None:
    also = "" if run.system.encode is None else "reads and "
    command = f"{commands.format_command('sample')} --workdir={name}"
    what = f"a model ({run.config.system}) that {also}draws images"
    return f"this is {what}; use {command}"
  if run.system.predict is None:
    return f"this is a run of {run.config.system!r}, which draws no images"
  command = commands.format_command("evaluate")
  command += f" --workdir=RUN --judge={name}"
  return f"this is a judge, which reads attributes of images; use {command}"
