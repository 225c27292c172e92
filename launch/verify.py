"""Compare a run's epoch losses with a curve: `verify <workdir>`.

The curve is the published one, or with --beside=NAME that of another run: its
folder, or an entry of the ledger (docs/results). Exits with 0 if every epoch
matches, 1 if one misses.
"""

import math

from absl import flags

from . import command

_TOLERANCE = flags.DEFINE_float(
  "tolerance", 0.02, "Allowed relative error.", lower_bound=0
)
_BESIDE = flags.DEFINE_string(
  "beside", None, "Another run's folder, or an entry of the ledger."
)


def main(words: list[str]) -> int:
  """Print the table and write verify.png."""
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
  if _BESIDE.value is None:
    epochs = verify.compare(workdir)
    title = verify.reference(workdir)
    other = "published"
  else:
    from cvae_jax.measures import ledger  # it takes jax two seconds

    epochs = verify.compare(workdir, ledger.open_run(_BESIDE.value).rows)
    title = f"{workdir.name} beside {_BESIDE.value}"
    other = "beside"
  print(verify.table(epochs, _TOLERANCE.value, other))
  verify.plot(workdir / "verify.png", epochs, title, other)
  ok = verify.matches(epochs, _TOLERANCE.value)
  print(f"{'match' if ok else 'miss'} at {_TOLERANCE.value:.1%}; ", end="")
  print(f"wrote {workdir / 'verify.png'}")
  return 0 if ok else 1


if __name__ == "__main__":
  command.run(main, [], words=True)
