"""The digits' figures, by what a run is conditioned on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.figures import Captions, codes
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run.walks import arc
from cvae_jax.runs import Run

SHOWN = 2000  # dots of a picture of codes
DRAWS = 2000  # of the prior: each region of ten gets more than are shown


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C]."""
  kind = run.conditions.kind
  flat = run.system.latents == 2
  if kind == "class+ink":
    return {
      "classes": classes(run, seed),
      "styles": styles(run, seed),
      "prior": prior(run, seed),
      "interpolation": interpolation(run, seed),
    }
  figures = {"prior": prior(run, seed)}
  if kind == "class":
    figures |= {"classes": classes(run, seed), "paths": paths(run, seed)}
  elif flat:
    figures["latents"] = latents(run, seed)
  if flat:
    figures["codes"] = scatter(run, seed)
  if run.system.regions:
    figures["regions"] = regions(run, seed)
  return figures


def captions(run: Run) -> dict[str, Captions]:
  """Return what stands left of the rows and above the columns."""
  labels = [f"{label}" for label in range(run.conditions.classes)]
  inks = [f"ink {ink:g}" for ink in ink_conditions(run)]
  return {
    "classes": ((), labels),
    "styles": (inks * 4, labels),
    "paths": (labels, ()),
    "regions": (labels, ()),
  }


def classes(run: Run, seed: int = 0) -> NDArray:
  """Draw each class with a z of its own, at half ink if any: [1, 10, …]."""
  ink = 0.5 if run.conditions.kind == "class+ink" else None
  condition = run.conditions.encode(np.arange(run.conditions.classes), ink)
  return run.sample(condition, seed)[None]


def paths(run: Run, seed: int = 0, steps: int = 10) -> NDArray:
  """Walk one path between two latents with every class: [10, steps, …]."""
  ends = run.prior(2, seed)
  z = arc(*ends, steps)
  rows = [
    run.decode(z, run.conditions.encode(np.full(steps, label)))
    for label in range(run.conditions.classes)
  ]
  return np.stack(rows)


def latents(run: Run, seed: int = 0, steps: int = 10) -> NDArray:
  """Sweep both axes of a plane of latents: [steps, steps, …].

  Along the quantiles of the prior's draws, the first axis to the right, the
  second up.
  """
  share = np.linspace(0.05, 0.95, steps)
  across, up = np.quantile(run.prior(10_000, seed), share, axis=0).T
  z = np.stack(np.meshgrid(across, up[::-1]), axis=-1).reshape(-1, 2)
  images = run.decode(z, run.conditions.blank(len(z)))
  return images.reshape(steps, steps, *images.shape[1:])


def scatter(run: Run, seed: int = 0) -> NDArray:
  """Show where digits are encoded, over the prior: [1, 1, side, side, 3]."""
  dataset = load_data(run.folder, run.config.data)
  split = dataset.test or dataset.train
  rows = np.random.default_rng(seed).permutation(len(split["label"]))[:SHOWN]
  images = split["labelled_image"][rows]
  condition = split["condition"][rows]
  z = np.asarray(run.encode(images, condition).mean)
  picture = codes.scatter(z, split["label"][rows], run.prior(SHOWN, seed))
  return picture[None, None]


def regions(run: Run, seed: int = 0, steps: int = 10) -> NDArray:
  """Draw each class from its place in the prior: [10, steps, …]."""
  z, label = run.regions(DRAWS, seed)
  chosen = [z[label == k][:steps] for k in range(run.conditions.classes)]
  z = np.concatenate(chosen)
  images = run.decode(z, run.conditions.blank(len(z)))
  return images.reshape(len(chosen), steps, *images.shape[1:])


def styles(run: Run, seed: int = 0, latents: int = 4) -> NDArray:
  """Draw class × latent × ink: [3 · latents, 10, …].

  A row is one style: all its classes share z. Three rows in turn share it
  too and differ in ink, from average to bold (thin to bold by the source's
  own values for model 1).
  """
  inks = ink_conditions(run)
  labels = np.arange(run.conditions.classes)
  rows = [run.conditions.encode(labels, ink) for ink in inks]
  condition = np.tile(np.concatenate(rows), (latents, 1))
  each = len(inks) * len(labels)
  z = run.prior(len(condition), seed, condition, shared=each)
  images = run.guided(z, condition)
  return images.reshape(latents * len(inks), len(labels), *images.shape[1:])


def ink_conditions(run: Run) -> tuple[float, ...]:
  """Return the three ink conditions that the source's pictures show."""
  return (0.1, 0.5, 0.9) if run.conditions.ink == "global" else (0.0, 0.5, 1.0)


def prior(run: Run, seed: int = 0, rows: int = 10) -> NDArray:
  """Draw class, ink and z at random: [rows, 10, …]."""
  conditions = run.conditions
  generator = np.random.default_rng(seed)
  count = rows * conditions.classes
  if conditions.kind == "none":
    condition = conditions.blank(count)
  else:
    labels = generator.integers(conditions.classes, size=count)
    inked = conditions.kind == "class+ink"
    ink = generator.uniform(*conditions.limits, size=count) if inked else None
    condition = conditions.encode(labels, ink)
  images = run.sample(condition, seed + 1)
  return images.reshape(rows, conditions.classes, *images.shape[1:])


def interpolation(run: Run, seed: int = 0, steps: int = 10) -> NDArray:
  """Walk between two latents, one class a row: [10, steps, …].

  Along the sphere, so that each point is as likely under the prior.
  """
  labels = np.arange(run.conditions.classes)
  condition = run.conditions.encode(labels.repeat(2), ink=0.5)
  ends = run.prior(len(condition), seed, condition)
  ends = ends.reshape(-1, 2, run.system.latents)
  rows = [
    run.guided(
      arc(a, b, steps), run.conditions.encode(np.full(steps, label), ink=0.5)
    )
    for label, (a, b) in enumerate(ends)
  ]
  return np.stack(rows)
