"""Compare runs in a table: `python -m launch.table DIR …`.

Each DIR is a run, a folder of runs at any depth and of any page, a ledger, or
the name of an entry of the project's ledger (docs/results). The command prints
the config keys that differ and the last epoch's figures. Runs that differ only
in their seed become one row with mean ± deviation.

It also writes files into --out; if DIR is one folder of runs, the default is
this folder. table.csv and table.json have a row for each run. means.csv,
table.md and table.tex have a row for each group of seeds. curves.png and
curves.pdf show the curves of all runs in one plot.
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
