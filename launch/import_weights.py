r"""Write an export of a network here with weights from PyTorch or Keras.

    python -m launch.import_weights --config=configs/zoo.py:scvae \
      --weights=model.safetensors --names=names.json --out=exports/mine

--weights is a .safetensors file of PyTorch, or a .h5 or .keras file of Keras.
--names is a table of layers (docs/handing_on.md). --check is a .safetensors or
.npz file of inputs and outputs of the other program; the network here must give
the same outputs. Every key of the config is a flag, as for launch.train.
"""

from absl import flags

from . import command, run_flags

_WEIGHTS = flags.DEFINE_string(
  "weights", None, "The other program's file: .safetensors, .h5 or .keras."
)
_NAMES = flags.DEFINE_string("names", None, "The table of layers, JSON.")
_CHECK = flags.DEFINE_string(
  "check", None, "Arrays such as decode.z and decode.image: .npz, .safetensors."
)
_OUT = flags.DEFINE_string("out", None, "Folder of the export.")
_STEPS = flags.DEFINE_integer(
  "steps",
  0,
  "How long it was trained, for the model card.",
  lower_bound=0,
  upper_bound=2**31 - 1,
)
_CHOICES = run_flags.export(("safetensors",))


def prepare(argv: list[str]) -> list[str]:
  """Define --config and its keys, as launch.train does."""
  from . import train

  for name in ("workdir", "check_data"):  # train's own
    delattr(flags.FLAGS, name)
  return train.prepare(argv)


def main(_: list[str]) -> None:
  """Import the weights."""
  from cvae_jax.apps import import_weights

  lines = import_weights.write(
    flags.FLAGS.config,
    command.path(_WEIGHTS),
    command.path(_NAMES),
    command.path(_OUT),
    compare=_CHECK.value and command.path(_CHECK),
    steps=_STEPS.value,
    **_CHOICES(),
  )
  print("\n".join(lines))


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["config", "weights", "names", "out"], prepare)
