"""Measure a colouring run on its held-out photos, beside the baselines.

Every contender gives 14 × 14 colours, which are painted over the photo's own
luma. The true colours are painted in the same way: no contender can do better.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.apps.colourise import check, decode_variants, paint
from cvae_jax.host import images
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.method import baselines, cells
from cvae_jax.metrics import colour as metrics
from cvae_jax.runs import Run, RunError

MEAN_OF = 16  # latents whose mean colour is the run's best single guess
SHOWN = 8  # held-out photos in a sheet
FIGURES = ("delta_e", "chroma_ratio", "psnr", "error")


def score(
  run: Run, variants: int = 5, seed: int = 0
) -> tuple[dict[str, Any], NDArray]:
  """Return the scores, and held-out photos coloured: [R, P, H, W, 3].

  Args:
    run: of the system colouring.
    variants: how many latents a photo is coloured with, at least 2.
    seed: of every latent.

  Raises:
    RunError: the run colours nothing, or its data hold nothing out.
  """
  check(run)
  dataset = load_data(run.folder, run.config.data)
  if dataset.test is None:
    raise RunError(f"{run.folder}: its data hold no photos out to score on")
  held_out = np.asarray(dataset.test["photo"].entries)
  base = baselines.fit(np.asarray(dataset.train["photo"].entries))
  generator = np.random.default_rng(seed)
  shape = (len(held_out), MEAN_OF + variants + 1, run.system.latents)
  z = generator.standard_normal(shape, np.float32)
  z[:, -1] = 0.0
  found = [_one(run, base, photo, z[i]) for i, photo in enumerate(held_out)]
  kinds = {kind: [] for kind in found[0][0]}
  for kind in kinds:
    rows = [figures[kind] for figures, *_ in found]
    kinds[kind] = dict(
      zip(FIGURES, np.mean(rows, axis=0).tolist(), strict=True)
    )
  scores = {
    "protocol": {
      "run": str(run.folder),
      "step": int(run.state.step),
      "photos": len(held_out),
      "train_photos": len(dataset.train["photo"].entries),
      "variants": variants,
      "mean_of": MEAN_OF,
      "seed": seed,
    },
    "contenders": kinds,
    "variety_delta_e": float(np.mean([variety for _, variety, _ in found])),
  }
  return scores, np.stack([row for *_, row in found[:SHOWN]])


def _one(run: Run, base, photo: NDArray, z: NDArray):
  """Score one photo: {contender: figures}, variety, a row of pictures."""
  grey = np.asarray(cells.grey(photo)).astype(np.uint8)
  maps = decode_variants(run, grey[None], z[None])[0]
  drawn = maps[MEAN_OF:-1]
  true = np.asarray(baselines.true_map(photo))
  guesses = {
    "truth recomposed": true,
    "model, mean of latents": maps[:MEAN_OF].mean(axis=0),
    "model, z = 0": maps[-1],
    "baseline, mean colour": base.mean_colour(photo),
    "baseline, nearest grey": base.nearest_grey(photo),
    "grey": np.zeros_like(true),
  }
  pictures = {kind: paint(colours, grey) for kind, colours in guesses.items()}
  painted = [paint(colours, grey) for colours in drawn]
  target = metrics.lab(photo / 255.0)
  unit = photo / 255.0

  def figures(picture, colours):
    seen = metrics.lab(picture / 255.0)
    return (
      metrics.delta_e(seen, target),
      metrics.chroma_ratio(seen, target),
      metrics.psnr(picture / 255.0, unit),
      float(np.mean((colours - true) ** 2)),
    )

  rows = {kind: figures(pictures[kind], guesses[kind]) for kind in guesses}
  each = [figures(p, c) for p, c in zip(painted, drawn, strict=True)]
  rows["model, one latent"] = np.mean(each, axis=0)
  rows["model, best of its variants"] = min(each)  # chosen by ΔE to the truth
  variety = metrics.variety([metrics.lab(p / 255.0) for p in painted])
  grey = images.to_bytes(np.repeat(grey[..., None], 3, axis=-1) / 255.0)
  shown = [grey, pictures["model, mean of latents"], *painted]
  shown += [pictures["truth recomposed"], photo]
  return rows, variety, np.stack(shown)


def table(scores: dict[str, Any]) -> str:
  """Lay scores out as text, a contender a line, best ΔE first."""
  lines = [f"{'held-out photos':30}   ΔE00  chroma   PSNR  error"]
  order = sorted(scores["contenders"].items(), key=lambda p: p[1]["delta_e"])
  for kind, row in order:
    lines.append(
      f"{kind:30} {row['delta_e']:6.2f}  {row['chroma_ratio']:6.2f} "
      f"{row['psnr']:6.2f} {row['error']:.4f}"
    )
  protocol = scores["protocol"]
  lines.append(
    f"variety: ΔE00 {scores['variety_delta_e']:.2f} between pairs of "
    f"{protocol['variants']} variants; {protocol['photos']} photos"
  )
  return "\n".join(lines)
