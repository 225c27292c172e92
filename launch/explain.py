r"""Say what the loss of a config, or of another library, is in nats.

    python -m launch.explain --config=configs/faces.py:model=15
    python -m launch.explain --reconstruction=mse --reduce=mean --weight=1 \
      --kl_weight=0.00025 --values=12288 --latents=128
"""

from pathlib import Path

from absl import flags

from . import command

_CONFIG = flags.DEFINE_string("config", None, "A page[:variants] or a run.")
_WORKDIR = flags.DEFINE_string("workdir", None, "A run's folder instead.")
_KIND = flags.DEFINE_string("reconstruction", "mse", "mse or bce.")
_REDUCE = flags.DEFINE_string(
  "reduce", "mean", "How values are reduced: mean or sum."
)
_WEIGHT = flags.DEFINE_float("weight", 1.0, "Weight of the reconstruction.")
_KL_REDUCE = flags.DEFINE_string(
  "kl_reduce", "sum", "How the KL is reduced over latents: sum or mean."
)
_KL_WEIGHT = flags.DEFINE_float("kl_weight", 1.0, "Weight of the KL.")
_VALUES = flags.DEFINE_integer("values", None, "Values of an image, H × W × C.")
_LATENTS = flags.DEFINE_integer("latents", None, "Number of latents, Z.")


def main(_: list[str]) -> int:
  """Print what the loss is."""
  from cvae_jax import config
  from cvae_jax.apps import explain
  from cvae_jax.loop.folder import run_data
  from cvae_jax.method import conventions

  page = _CONFIG.value
  if _WORKDIR.value is not None:
    page = str(command.path(_WORKDIR) / "config.json")
  if page is not None:
    folder = Path(page).parent  # of a run's config.json
    facts = run_data.facts(folder) if page.endswith(".json") else None
    for line in explain.lines(config.load(page), facts):
      print(line)
    return 0
  if _VALUES.value is None or _LATENTS.value is None:
    raise ValueError(
      "give --config=PAGE, or a loss with its sizes: --values=H×W×C --latents=Z"
    )
  loss = conventions.Convention(
    _KIND.value,
    _REDUCE.value,
    _WEIGHT.value,
    _KL_REDUCE.value,
    _KL_WEIGHT.value,
  )
  for line in conventions.lines(loss, _VALUES.value, _LATENTS.value):
    print(line)
  return 0


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, [])
