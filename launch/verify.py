"""Compare a run's epoch losses with the published curve: `verify <workdir>`.

Exits with 0 if every epoch matches, 1 if one misses.
"""

import math

from absl import flags

from . import command

_TOLERANCE = flags.DEFINE_float(
  "tolerance", 0.02, "Allowed relative error.", lower_bound=0
)


def main(words: list[str]) -> int:
  """Print the table and writes verify.png."""
  from cvae_jax.host import commands
  from cvae_jax.host.paths import local
  from cvae_jax.measures import verify

  if len(words) != 1:
    raise ValueError(
      f"one run's folder expected: {commands.format_command('verify')} DIR"
    )
  if not math.isfinite(_TOLERANCE.value):
    raise ValueError(
      f"--tolerance is {_TOLERANCE.value}; expected a finite number, as 0.02"
    )
  workdir = local(words[0], "the run's folder")
  epochs = verify.compare(workdir)
  print(verify.table(epochs, _TOLERANCE.value))
  title = verify.reference(workdir)
  verify.plot(workdir / "verify.png", epochs, title)
  ok = verify.matches(epochs, _TOLERANCE.value)
  print(f"{'match' if ok else 'miss'} at {_TOLERANCE.value:.1%}; ", end="")
  print(f"wrote {workdir / 'verify.png'}")
  return 0 if ok else 1


if __name__ == "__main__":
  command.run(main, [])
