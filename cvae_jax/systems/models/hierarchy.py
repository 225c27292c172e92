"""The hierarchy of latents of a cvae or a vae, if config.model has one."""

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import kl_control
from cvae_jax.method.names import check
from cvae_jax.nets import (
  condition_embedding,
  dense_hierarchy,
  hierarchy,
  images,
)
from cvae_jax.nets.hierarchy import Hierarchy
from cvae_jax.nets.layers import ACTIVATIONS
from cvae_jax.types import Facts, Metrics

KEY = "levels"  # of config.model
DENSE = "widths"  # of config.model, where the layers are dense


def build(config, facts: Facts, width: int) -> Hierarchy | None:
  """Build the hierarchy that config.model.levels describes, None without.

  With model.widths its layers are dense, else convolutions.

  Args:
    config: of a run.
    facts: of its data.
    width: of the likelihood: numbers for each value.

  Raises:
    ValueError: the config asks for what a hierarchy has not.
  """
  model = config.model
  if KEY not in model:
    return None
  _refuse(config)
  shape = facts.image_shape
  levels = tuple(model.levels)
  channels = shape[-1] * width
  angles = condition_embedding.angles(
    facts.attributes, model.get("harmonics", 1)
  )
  if DENSE in model:
    widths = tuple(model.widths)
    check(ACTIVATIONS, model.activation, "model.activation")
    return Hierarchy(
      dense_hierarchy.Encoder(shape, widths, model.activation),
      dense_hierarchy.Decoder(
        shape, levels, channels, angles, widths, model.activation
      ),
    )
  how = {"width": model.width, "blocks": model.blocks}
  check(images.WIDTHS, model.width, "model.width")
  hierarchy.level_shapes(shape, levels)  # raises an error if they do not fit
  return Hierarchy(
    hierarchy.Encoder(shape, levels, **how),
    hierarchy.Decoder(shape, levels, channels, angles, **how, mean=facts.mean),
  )


def _refuse(config) -> None:
  """Raise a ValueError if a config asks for what a hierarchy cannot do."""
  model = config.model
  if DENSE in model and len(model.widths) != len(model.levels):
    raise ValueError(
      f"model.widths={tuple(model.widths)} has the units of each level; "
      f"expected {len(model.levels)}, as many as model.levels="
      f"{tuple(model.levels)}"
    )
  if DENSE not in model and not images.builds_itself(model):
    raise ValueError(
      "model.levels is of networks that build themselves; give model.width and "
      "model.blocks, as configs/images.py:latents=hierarchy does, or "
      "model.widths and model.activation for dense layers"
    )
  if "latents" in model:
    raise ValueError(
      "give model.levels or model.latents, not both: levels are the latents of "
      "each level, or of a pixel of its map"
    )
  objective = config.loss.get("objective", "elbo")
  if objective not in ("elbo", "iwae"):
    raise ValueError(
      f"loss.objective={objective} is of one level of latents; a hierarchy has "
      "elbo and iwae: leave it out, or leave out latents=hierarchy"
    )
  prior = config.get("prior", {}).get("name", "standard")
  if prior != "standard":
    raise ValueError(
      f"prior.name={prior} is of one level of latents; a hierarchy learns the "
      "prior of each level, p(z_l | levels above, c): leave it out"
    )
  if config.loss.get("kl_of_second_pass", False):
    raise ValueError(
      "loss.kl_of_second_pass is of dropout's masks; a hierarchy has none"
    )


def examples(found: Hierarchy, condition: Array) -> dict[str, tuple]:
  """Return example inputs of one row, to draw the networks' parameters."""
  image = jnp.zeros((1, *found.encoder.shape))
  run = found.encoder.init_with_output
  shapes, _ = jax.eval_shape(run, jax.random.key(0), image)
  maps = [jnp.zeros(each.shape) for each in shapes]
  e = jnp.zeros((1, sum(found.sizes)))
  return {"encoder": (image,), "decoder": (e, condition, maps)}


def terms(found: Hierarchy | None, kl: Array) -> Metrics:
  """Return {"kl_1": [B], …}: the KL of each level, top first."""
  if found is None:
    return {}
  levels = kl_control.sum_levels(kl, found.sizes)
  return {f"kl_{i + 1}": levels[:, i] for i in range(levels.shape[-1])}


def note(found: Hierarchy | None) -> tuple[str, ...]:
  """Say what the levels are."""
  if found is None:
    return ()
  levels = found.decoder.latents()
  said = ", ".join(_say(level) for level in levels)
  total = sum(found.sizes)
  return (f"latents: {total} in {len(levels)} levels, {said}, top first",)


def _say(level: tuple[int, ...]) -> str:
  """Return "100", or of a map "4×4 × 8"."""
  *sides, count = map(str, level)
  return f"{'×'.join(sides)} × {count}" if sides else count
