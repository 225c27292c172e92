"""After a step that is not finite, find a checkpoint to go on from.

The state before such a step is finite, but often it has already diverged: then
every step from it fails, at any learning rate. A checkpoint is called sound if
the loss when it was saved was not above the loss at the run's beginning.
"""

from cvae_jax.host import commands
from cvae_jax.loop.folder.checkpoint import Checkpoints


def is_sound(losses: dict[str, float]) -> bool:
  """Tell by the losses {first, least, latest} whether a state is sound.

  It is if the latest loss has not risen back to the first one. A run whose
  loss never fell is not sound.
  """
  if not losses or losses["least"] >= losses["first"]:
    return False
  fallen = losses["first"] - losses["least"]
  return losses["latest"] <= losses["least"] + 0.5 * fallen


def find_last_sound(checkpoints: Checkpoints) -> int | None:
  """Return the newest step saved so far that is sound; None if none is."""
  for step in sorted(checkpoints.steps(), reverse=True):
    losses = checkpoints.counters(step).get("sums", {}).get("sound", {})
    if is_sound(losses):
      return step
  return None


def advice(
  checkpoints: Checkpoints, failed: int, kept: int | None, first: int
) -> list[str]:
  """Say what to do after step `failed` + 1 was not finite.

  Args:
    checkpoints: the run's.
    failed: the last finite step, which is saved.
    kept: a sound checkpoint's step, or None.
    first: the step that this launch began with.
  """
  run = checkpoints.folder.parent
  lines = [f"Saved in {checkpoints.folder / str(failed)}."]
  if kept is None:
    lines.append(
      "No checkpoint from before the loss rose is kept: start anew in another "
      "--workdir with a lower learning rate."
    )
  else:
    source = commands.quote(f"{run}@{kept}")
    lines.append(
      f"The last checkpoint with a sound loss is {kept}: go on from it in "
      f"another --workdir with --config.init_from={source} and a lower "
      "learning rate."
    )
  if int(first) == failed:
    lines.append(
      "The same command fails at the same step: repeating it does not help."
    )
  return lines
