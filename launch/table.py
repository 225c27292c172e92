"""Set runs side by side: `python -m launch.table DIR …`.

Each DIR is a run or a folder of runs, at any depth and of any page, a ledger,
or the name of an entry of the project's ledger (docs/results). Printed are
the config keys that differ and the last epoch's figures, mean ± deviation of
runs that differ in their seed alone. Into --out (of one folder of runs:
into that folder) come table.csv and table.json with a row a run, means.csv,
table.md and table.tex with a row a group of seeds, and curves.png and
curves.pdf with the curves over each other.
"""

from absl import flags

from . import command

_OUT = flags.DEFINE_string("out", None, "Folder of the tables and curves.")
_COLUMNS = flags.DEFINE_multi_string(
  "columns",
  [],
  "Figures to show: loss, 'test *', …; repeatable. All are in the CSV files.",
)


def main(words: list[str]) -> None:
  """Tabulate the runs in and below some folders."""
  from cvae_jax.host import commands
  from cvae_jax.host.paths import local
  from cvae_jax.measures import groups, table

  if not words:
    raise ValueError(
      f"folders of runs expected: {commands.format_command('table')} DIR"
    )
  places = [local(word, "a folder of runs") for word in words]
  out = None
  if _OUT.value is not None:
    out = command.path(_OUT)
  elif len(places) == 1 and table.has_own_folder(places[0]):
    out = places[0]
  print(table.write(places, out, _COLUMNS.value or groups.SHOWN))
  if out is None:
    print("nothing is written; --out=DIR writes tables and curves")
  else:
    print(f"wrote {out / 'table.md'}, .tex, .csv, .json, means.csv, curves")


if __name__ == "__main__":
  command.run(main, [], words=True)
