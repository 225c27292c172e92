"""Write a report on a sweep: `python -m launch.report faces`.

It measures what is not measured yet, so it can be run again and again while
the sweep goes on.
"""

from absl import flags

from . import command

_RUNS = flags.DEFINE_string("runs", None, "Folder; default runs/<report>.")
_OUT = flags.DEFINE_string("out", "docs", "Folder of the report.")


def main(words: list[str]) -> None:
  """Write the report."""
  import reports
  from cvae_jax.host import commands

  if len(words) != 1:
    raise ValueError(
      f"one report expected: {commands.format_command('report')} "
      f"{' or '.join(reports.names())}"
    )
  runs = command.path(_RUNS, f"runs/{words[0]}")
  for path in reports.write(words[0], runs, command.path(_OUT)):
    print(f"wrote {path}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, [], words=True)
