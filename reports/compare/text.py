"""The comparison's page: tables, pictures and verdicts as Markdown."""

from collections.abc import Collection, Mapping
from typing import Any

from reports import claims, markdown
from reports.compare import (
  cells as compare_cells,
  claims as compare_claims,
  curves as compare_curves,
  rules as compare_rules,
)
from reports.compare.cells import Cell
from reports.compare.claims import Runs

PICTURES = {
  "ae": "AE, z from N(0, I)",
  "ae_fitted": "AE, z from a Gaussian fitted to the codes of training images",
  "vae": "VAE, z from N(0, I)",
  "gan": "GAN, z from N(0, I)",
  "wgan_gp": "WGAN-GP, z from N(0, I)",
}

ABLATION = """\
BCE and KL are nats of a held-out image, summed over pixels and latents,
whatever the loss did; MSE is a value's. A latent is *active* where its
posterior mean varies by more than 0.01 over the images. *Reconstructions* is
the mean distance of two of them over that of two images: near 0 all are one
picture (posterior collapse). The distances are of samples of N(0, I) from
held-out images, lower is better. A Fréchet distance grows as N, the number of
samples and of images, falls, so only those of one N can be compared; KID, the
unbiased kernel distance of the same features, does not."""

MODES = """\
*Mean distance* of two samples over that of two images (root mean squared
difference of pixels); *near duplicates*, the share of samples that have another
as near in {neighbours} as only 1 % of images have, beside it the same in pixels
(features of pictures with no face lie close, however these vary); *precision*,
the share of samples within images' neighbourhoods, and *recall*, the reverse
(3 neighbours in {neighbours})."""

TRACKING = """\
Spearman's rank correlation of a signal with the distance ({goal}) over the
evaluations: 1 where the signal falls and rises with it. Both fall as training
begins. So beside it is the same *given the epoch*: of the residuals of the
ranks on the evaluation's number. *Floor* is what the best of a run's signals
reaches by chance: the 95 % quantile with the distance's evaluations in random
blocks. A trend that slows down is not wholly taken away."""

STOPPING = """\
A stop by a distance, replayed on what the runs recorded: running mean of
weight {smoothing:g}, patience {patience}, {relative:.0%} at least (a run's own
rule where it had one). *Kept*, *lowest* and *last* are the distance in the
state that is kept, at its lowest and at the end of the run."""


def page(runs: Runs, drawn: Collection[str], command: str) -> str:
  """Lay the whole report out.

  Args:
    runs: what reports.compare gathered of each.
    drawn: the grids of samples there are, of PICTURES.
    command: that writes it.
  """
  shown = compare_cells.choose_drawn(runs).values()
  curves = compare_curves.caption(runs[cell] for cell in shown)
  parts = [
    "# AE, VAE and GAN compared: all tables\n\n"
    f"Written by `{command}`; run it again to renew it.",
    _setting_lines(runs),
    f"## Ablation\n\n{_ablation(runs)}",
    *_samples(runs, drawn),
    f"## Collapse of the modes\n\n{_modes(runs)}",
    f"## Which signal tracks quality\n\n{_tracking_lines(runs)}",
    f"![Curves](compare_curves.png)\n\n*{curves}*",
    f"### Stopping by a distance\n\n{_stopping_lines(runs)}",
    "## What the source found\n\n" + claims.page(compare_claims.verdicts(runs)),
    compare_rules.HOW,
  ]
  return "\n\n".join(part.strip() for part in parts) + "\n"


def _samples(runs: Runs, drawn: Collection[str]) -> list[str]:
  """Show what is drawn; nothing where a ledger alone has the runs."""
  if not drawn:
    return []
  here = [cell for cell, run in runs.items() if run["folder"]]
  cells = ", ".join(map(str, compare_cells.choose_drawn(here).values()))
  return [
    f"## Samples\n\nAll are decoded from latents drawn at random: {cells}.",
    *(
      f"![{words}](compare_{name}.png)\n\n*{words}.*"
      for name, words in PICTURES.items()
      if name in drawn
    ),
    "![Interpolations](compare_interpolations.png)\n\n*From one draw of the "
    "prior to another, along the sphere.*",
  ]


def _setting_lines(runs: Runs) -> str:
  """Say on what data, how far, where, by which code, and what is missing."""
  first = next(iter(runs.values()))
  measured = [run for run in runs.values() if "data" in run]
  lines = [
    "Without enough held-out images here, only what runs recorded is reported."
  ]
  if measured:
    train, test = measured[0]["counts"]
    name = measured[0]["data"] or "images"  # entries do not say the name
    lines = [f"{train:,} {name} train, {test:,} are held out."]
  lines.append(f"Images have {first['size']} pixels a side.")
  known = {cell._replace(seed=0) for cell in runs}
  absent = [str(c) for c in compare_cells.list_cells() if c not in known]
  partial = [
    f"{cell} ({run['epochs']} epochs so far)"
    for cell, run in runs.items()
    if not run["complete"]
  ]
  kept = [str(cell) for cell, run in runs.items() if not run["folder"]]
  for words, cells in (
    ("Not trained", absent),
    ("Not finished", partial),
    ("Only of the ledger, so without pictures", kept),
  ):
    if cells:
      lines.append(f"{words}: {'; '.join(cells)}.")
  where = markdown.describe_training(
    run["environment"] for run in runs.values()
  )
  return " ".join([*lines, where])


def _cell_name(cell: Cell, runs: Runs) -> dict[str, Any]:
  """Return what names a run in a table, the seed where there are several."""
  found = {
    "system": cell.kind,
    "latents": cell.latents,
    "reduction": cell.reduction or None,
    "β": cell.beta,
  }
  several = len({other.seed for other in runs}) > 1
  return found | ({"seed": cell.seed} if several else {})


def _ablation(runs: Runs) -> str:
  rows = []
  for cell, run in runs.items():
    test = run["test"]
    posterior = run["posterior"] or {}
    prior = run["samples"].get("prior", {})
    active = (
      f"{posterior['active']} of {posterior['of']}" if posterior else None
    )
    rows.append(
      {
        **_cell_name(cell, runs),
        "parameters": run["parameters"],
        "epochs": run["trained"],
        "BCE": test.get("bce"),
        "MSE": test.get("mse"),
        "PSNR, dB": test.get("psnr"),
        "KL": test.get("kl"),
        "active": active or None,
        "reconstructions": posterior.get("ratio"),
        "sliced": prior.get("sliced"),
        "Fréchet-VGG16": prior.get("frechet_vgg16"),
        "KID-VGG16": prior.get("kid_vgg16"),
        "N": run["protocol"]["images"] if prior else None,
      }
    )
  parts = [markdown.table(rows), ABLATION]
  if measured := [run for run in runs.values() if run["samples"]]:
    parts.append(_protocol(measured[0]))
  return "\n\n".join(parts)


def _protocol(run: Mapping[str, Any]) -> str:
  """Say how sets of images were measured, and what real ones come to."""
  how = run["protocol"]
  real = run["real"]
  sides = f"sliced Wasserstein of pixels at {how['sliced_side']}²"
  floor = f"sliced {markdown.cell(real['sliced'])}"
  if how["frechet_side"]:
    sides += f", Fréchet of VGG16's features (no FID) at {how['frechet_side']}²"
    floor += f", Fréchet {markdown.cell(real['frechet_vgg16'])}"
    floor += f", KID {markdown.cell(real['kid_vgg16'])}"
  return (
    f"Of {how['images']:,} samples and as many held-out images: {sides}. The "
    f"floor, as many training images in the samples' place: {floor}. Mean "
    f"distances are of {how['paired']} of them, neighbours of "
    f"{how['neighbours']}."
  )


def _modes(runs: Runs) -> str:
  rows = [
    {
      **_cell_name(cell, runs),
      "z": {"prior": "N(0, I)", "fitted": "fitted"}[name],
      "mean distance": samples["ratio"],
      "near duplicates": samples["near_duplicates"],
      "in pixels": samples["near_duplicates_pixels"],
      "precision": samples["precision"],
      "recall": samples["recall"],
      "sliced": samples["sliced"],
      "Fréchet-VGG16": samples.get("frechet_vgg16"),
      "KID-VGG16": samples.get("kid_vgg16"),
      "N": run["protocol"]["images"],
    }
    for cell, run in runs.items()
    for name, samples in run["samples"].items()
  ]
  if not rows:
    return "Not measured: that needs the held-out images."
  measured = next(run for run in runs.values() if run["samples"])
  words = MODES.format(neighbours=measured["protocol"]["neighbours"])
  return f"{markdown.table(rows)}\n\n{words}"


def _tracking_lines(runs: Runs) -> str:
  rows = [
    {**_cell_name(cell, runs), "signal": signal, **values}
    for cell, run in runs.items()
    for signal, values in run["tracking"].items()
  ]
  if not rows:
    return (
      f"Not measured: no run has {compare_curves.FEWEST} evaluations with a "
      "distance (--config.distance.images=2000)."
    )
  goals = {run["stop"]["of"] for run in runs.values() if run["stop"]}
  goal = " or ".join(sorted(goals))
  return f"{markdown.table(rows)}\n\n{TRACKING.format(goal=goal)}"


def _stopping_lines(runs: Runs) -> str:
  rows = [
    {**_cell_name(cell, runs), **run["stop"]}
    for cell, run in runs.items()
    if run["stop"]
  ]
  if not rows:
    return "Not measured: no run recorded a distance while it trained."
  how = STOPPING.format(**compare_curves.RULE)
  return f"{markdown.table(rows)}\n\n{how}"
