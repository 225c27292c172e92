"""The zoo's figures: of digits, or of faces that nobody has."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cvae_jax import figures, runs
from cvae_jax.figures import caae, dfc_vae, digits
from cvae_jax.host import images
from reports.zoo import claims as zoo_claims
from reports.zoo.runs import EPOCHS, Zoo, state

EDGE = 6  # pixels of white around a sheet
PRIORS = ("normal", "swiss roll", "mixture")
Sheets = Mapping[tuple[int, int], NDArray]  # by row and column

CAPTIONS = {
  "epochs": "After epochs 1, 5 and 10. VAE: both axes of the latent plane, at "
  "quantiles of the prior. SCVAE: a class in each row, one path through the "
  "latents in all.",
  "convergence": "ELBO of the test digits after each epoch: mean and range "
  "over the seeds.",
  "categories": "A category in each row, one path through the latents in all.",
  "codes": "Codes of at most 2,000 test digits, coloured by their class, over "
  "draws of the prior (grey); those beyond it lie on the edge.",
  "regions": "Draws from the place that each class has in the prior, a class "
  "in each row.",
  "faces": "Random draws of the prior.",
  "caae": "A draw of the prior in each row, under combinations of "
  "attributes, the source's where it has these; what is not named is off.",
}


def draw(zoo: Zoo, folder: Path) -> dict[str, Path]:
  """Write the figures that there are runs for; gives {name: file}."""
  makers: dict[str, Callable[[Zoo, Path], bool]] = {
    "epochs": epochs,
    "convergence": convergence,
    "categories": categories,
    "codes": codes,
    "regions": regions,
    "faces": faces,
    "caae": combinations,
  }
  paths = {name: folder / f"zoo_{name}.png" for name in makers}
  return {n: paths[n] for n, make in makers.items() if make(zoo, paths[n])}


def epochs(zoo: Zoo, path: Path) -> bool:
  """Draw VAE over SCVAE at the source's epochs, where states were kept."""
  sheets = {}
  kinds = {"VAE": digits.latents, "SCVAE": digits.paths}
  for row, (name, figure) in enumerate(kinds.items()):
    for entry in zoo.here(f"{name}, 2 latents")[:1]:
      for column, epoch in enumerate(EPOCHS):
        if run := state(entry, epoch):
          sheets[row, column] = images.grid(figure(run))
  return _save(path, sheets, [*kinds], [f"epoch {e}" for e in EPOCHS])


def convergence(zoo: Zoo, path: Path) -> bool:
  """Plot the test ELBO of VAE and SCVAE by epoch."""
  curves = {
    title: [zoo_claims.curve(entry) for entry in zoo.of(title)]
    for title in (zoo_claims.VAE, zoo_claims.SCVAE)
  }
  if not all(curves.values()):
    return False
  figure = Figure(figsize=(6, 4), layout="constrained")
  axes = figure.subplots()
  for title, group in curves.items():
    shared = sorted(set.intersection(*({*curve} for curve in group)))
    elbo = np.array([[curve[epoch] for epoch in shared] for curve in group])
    shifts = {"": 0.0}
    if title == zoo_claims.SCVAE:
      shifts[" less log 10"] = zoo_claims.FREE
    for words, shift in shifts.items():
      low, mean, high = (
        f(elbo - shift, axis=0) for f in (np.min, np.mean, np.max)
      )
      (line,) = axes.plot(shared, mean, "o-", markersize=3, label=title + words)
      axes.fill_between(shared, low, high, alpha=0.2, color=line.get_color())
  axes.set(xlabel="epoch", ylabel="test ELBO, nats")
  axes.legend()
  images.save_figure(path, figure)
  return True


def categories(zoo: Zoo, path: Path) -> bool:
  """Draw the category rows of M2, M1+M2 and M3."""
  titles = (zoo_claims.M2_SOURCE, zoo_claims.M2, zoo_claims.M1M2, zoo_claims.M3)
  return _side_by_side(zoo, path, titles, digits.paths)


def codes(zoo: Zoo, path: Path) -> bool:
  """Draw where the adversarial autoencoders put the test digits."""
  kinds = ("AAE", "ilAAE")
  sheets = {
    (row, column): digits.scatter(run)[0, 0]
    for row, kind in enumerate(kinds)
    for column, prior in enumerate(PRIORS)
    if (run := _first(zoo, f"{kind}, {prior}"))
  }
  return _save(path, sheets, kinds, PRIORS)


def regions(zoo: Zoo, path: Path) -> bool:
  """Draw each class from its place in the priors of the label-aware AAE."""
  titles = [f"ilAAE, {prior}" for prior in PRIORS]
  return _side_by_side(zoo, path, titles, digits.regions)


def faces(zoo: Zoo, path: Path) -> bool:
  """Draw random faces of the plain VAE and of the DFC-VAEs."""
  titles = (zoo_claims.PIXELS, zoo_claims.LOW, zoo_claims.HIGH)
  return _side_by_side(zoo, path, titles, dfc_vae.prior)


def combinations(zoo: Zoo, path: Path) -> bool:
  """Draw the CAAE's figure from its prior: no face was encoded for it."""
  run = _first(zoo, "CAAE")
  if run is None:
    return False
  drawn = caae.combinations(run, run.prior(caae.FACES))
  _, columns = figures.captions(run)["prior"]
  images.save_grid(path, drawn, columns=columns)
  return True


def _first(zoo: Zoo, title: str) -> runs.Run | None:
  """Load the run of the least seed; None if there is none."""
  return next((runs.load(entry.folder) for entry in zoo.here(title)), None)


def _side_by_side(zoo: Zoo, path: Path, titles, figure: Callable) -> bool:
  """Set one figure of several systems beside each other."""
  found = {title: run for title in titles if (run := _first(zoo, title))}
  sheets = {
    (0, column): images.grid(figure(run))
    for column, run in enumerate(found.values())
  }
  return _save(path, sheets, (), [*found])


def _save(path: Path, sheets: Sheets, rows, columns) -> bool:
  """Lay sheets of one shape out, white where one is missing."""
  if not sheets:
    return False
  edge = ((EDGE, EDGE), (EDGE, EDGE), (0, 0))
  sheets = {
    place: np.pad(sheet, edge, constant_values=255)
    for place, sheet in sheets.items()
  }
  shape = next(iter(sheets.values())).shape
  page = np.full((max(len(rows), 1), len(columns), *shape), 255, np.uint8)
  for place, sheet in sheets.items():
    page[place] = sheet
  images.save_grid(path, page, scale=1, rows=rows, columns=columns)
  return True
