"""The cells of the comparison."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from reports import variants

KINDS = {"ae": "AE", "vae": "VAE", "gan": "GAN", "wgan_gp": "WGAN-GP"}
LATENTS = (128, 512)
BETAS = (0.1, 1.0, 4.0)
SUMS = "sum, sum"
MEANS = "mean, mean"


class Cell(NamedTuple):
  """Which network of the experiment a run trained."""

  kind: str  # of KINDS, by the variant that asks for it
  latents: int
  reduction: str = ""  # over pixels, over latents; of AE and VAE
  beta: float | None = None  # of the VAE
  seed: int = 0

  def __str__(self) -> str:
    """Return its name in a sentence."""
    parts = [f"{self.kind} of {self.latents}"]
    parts += [f"({self.reduction})"] if self.reduction else []
    parts += [f"β {self.beta:g}"] if self.beta is not None else []
    parts += [f"seed {self.seed}"] if self.seed else []
    return " ".join(parts)


def vae(latents: int, reduction: str = SUMS, beta: float = 1.0) -> Cell:
  """Name a VAE; without more words the one whose loss is −ELBO."""
  return Cell("VAE", latents, reduction, beta)


def ae(latents: int) -> Cell:
  """Name an autoencoder."""
  return Cell("AE", latents, "sum")


def list_cells() -> Iterator[Cell]:
  """List the comparison's cells."""
  for z in LATENTS:
    yield ae(z)
    for reduction in (SUMS, MEANS):
      yield from (vae(z, reduction, beta) for beta in BETAS)
    yield from (Cell("GAN", z), Cell("WGAN-GP", z))


def cell(config: ConfigDict) -> Cell:
  """Name what a config of configs/compare.py trains."""
  kind = KINDS[variants.find(config).choice(("vae", *KINDS))]
  found = Cell(kind, config.model.latents, seed=config.seed)
  if kind in ("GAN", "WGAN-GP"):
    return found
  pixels, nats = config.loss.reduction
  if kind == "AE":
    return found._replace(reduction=pixels)
  return found._replace(
    reduction=f"{pixels}, {nats}", beta=float(config.loss.beta)
  )


def of_each_seed(
  groups: Iterable[Sequence[Cell]], known: Collection[Cell]
) -> Iterator[tuple[Cell, ...]]:
  """Return each group of cells for every seed that one of them is known of."""
  for cells in groups:
    seeds = {cell.seed for cell in known if cell._replace(seed=0) in cells}
    for seed in sorted(seeds) or [0]:
      yield tuple(cell._replace(seed=seed) for cell in cells)


def choose_drawn(cells: Collection[Cell]) -> dict[str, Cell]:
  """Choose the cell of each kind whose pictures and curves are drawn.

  The one of most latents, of those with β = 1 and summed terms if there are
  some; of several seeds the least.
  """

  def order(cell: Cell) -> tuple:
    summed = cell.reduction in (SUMS, "sum", "")
    return (cell.beta in (None, 1.0), summed, cell.latents, -cell.seed)

  return {
    kind: max((c for c in cells if c.kind == kind), key=order)
    for kind in KINDS.values()
    if any(c.kind == kind for c in cells)
  }
