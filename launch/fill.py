r"""Fill the empty cells of a table with what a judge reads in the images.

    python -m launch.train --config=configs/judge.py \
      --config.data.path=data/mine --workdir=runs/judge
    python -m launch.fill --judge=runs/judge --out=filled.csv
    python data/prepare_images.py --images=PHOTOS --table=filled.csv \
      --split=split --out=data/filled
"""

from absl import flags

from . import command, run_flags

_JUDGE = flags.DEFINE_string("judge", None, "A run of configs/judge.py.")
_OUT = flags.DEFINE_string("out", None, "The table to write, a .csv.")
_SURE = flags.DEFINE_float(
  "sure",
  0.9,
  "A level is filled in if its probability is at least this; otherwise the "
  "cell stays empty. Numbers and angles are always filled in.",
  lower_bound=0.0,
  upper_bound=1.0,
)


def main(_: list[str]) -> None:
  """Write the table."""
  from cvae_jax.apps import fill
  from cvae_jax.host.files import write_atomically

  out = command.path(_OUT)
  if out.suffix.lower() != ".csv":
    raise ValueError(f"--out is a .csv file; found {out}")
  judge = run_flags.load(_JUDGE)
  table, lines = fill.fill(judge, _SURE.value)
  write_atomically(out, table.to_csv(index=False))
  print("\n".join(lines))
  print(f"wrote {out}. Next: {fill.next_command(judge, table, out)}")


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["judge", "out"])
