"""Set the runs of a sweep side by side: `python -m launch.table <folder>`.

Prints the table and writes table.csv, table.json and curves.png beside them.
"""

from . import command


def main(words: list[str]) -> None:
  """Tabulate the runs below one folder."""
  from cvae_jax.host import commands
  from cvae_jax.host.paths import local
  from cvae_jax.measures import table

  if len(words) != 1:
    raise ValueError(
      f"one folder of runs expected: {commands.named('table')} DIR"
    )
  folder = local(words[0], "the folder of runs")
  print(table.write(folder))
  print(f"wrote {folder / 'table.csv'}, {folder / 'curves.png'}")


if __name__ == "__main__":
  command.run(main, [])
