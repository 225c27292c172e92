"""The zoo report's tables: a row for runs that differ in their seed alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cvae_jax.loop.distances import FRECHET, SLICED
from cvae_jax.measures.collapse import KID
from reports import markdown
from reports.zoo import claims as zoo_claims
from reports.zoo.figures import PRIORS
from reports.zoo.runs import EPOCHS, Entry, Zoo

# Test error in % with 100 labels: Kingma et al. 2014, Makhzani et al. 2015.
PUBLISHED = {
  zoo_claims.M2: "11.97 ± 1.71",
  zoo_claims.M1M2: "3.33 ± 0.14",
  zoo_claims.SSAAE: "1.90 ± 0.10",
}
EXPECTED = {  # how many runs of each the sweeps train
  zoo_claims.VAE: 3,
  "VAE, 50 latents": 3,
  zoo_claims.SCVAE: 3,
  "M1, 50 latents": 1,
  zoo_claims.M2: 5,
  zoo_claims.M1M2: 5,
  zoo_claims.SSAAE: 5,
  zoo_claims.M2_SOURCE: 1,
  zoo_claims.M3: 1,
  **{f"{kind}, {prior}": 1 for kind in ("AAE", "ilAAE") for prior in PRIORS},
  zoo_claims.PIXELS: 1,
  zoo_claims.LOW: 1,
  zoo_claims.HIGH: 1,
  "CAAE": 1,
}

Row = dict[str, Any]
Value = Callable[[Entry], float | None]


def likelihood(zoo: Zoo) -> list[Row]:
  """Return ELBO, importance-weighted bound and use of the latents."""
  return [
    _base(title, group)
    | {
      "test ELBO": _spread(group, _test("elbo")),
      "IW bound": _spread(group, _score("test", "iw_bound")),
      "KL": _spread(group, _test("kl")),
      "active latents": _spread(group, _score("latents", "active")),
    }
    for title, group in _choose_groups(
      zoo, "VAE", "SCVAE", "M1", "M2", "M1+M2", "M3"
    )
  ]


def labels(zoo: Zoo) -> list[Row]:
  """Return what few labels, or none, make of the categories."""
  return [
    _base(title, group)
    | {
      "error, %": _spread(group, _error, 100),
      "published": PUBLISHED.get(title),
      "purity": _spread(group, zoo_claims.purity),
      "categories used": _spread(group, _score("categories", "used")),
      "entropy, nats": _spread(group, zoo_claims.mean_entropy),
    }
    for title, group in _choose_groups(zoo, "M2", "M1+M2", "SSAAE", "M3")
  ]


def control(zoo: Zoo) -> list[Row]:
  """Return the share of samples that show the class asked for."""
  sweep = ("control", "class", "sweep")
  return [
    _base(title, group)
    | {
      **{f"epoch {e}, %": _spread(group, _read_hits(e), 100) for e in EPOCHS},
      "control, %": _spread(group, zoo_claims.hits, 100),
      "floor, %": _spread(group, _score(*sweep, "floor"), 100),
      "samples of each run": _score(*sweep, "samples")(group[0]),
    }
    for title, group in _choose_groups(
      zoo, "SCVAE", "M2", "M1+M2", "ilAAE", "SSAAE"
    )
    if not group[0].scores.get("unlabelled")
  ]


def codes(zoo: Zoo) -> list[Row]:
  """Return how well digits come back from the codes of the adversarial ones."""
  return [
    _base(title, group)
    | {
      "½ · mean squared error": _spread(group, _test("weighted_squared_error")),
      "PSNR, dB": _spread(group, _test("psnr")),
    }
    for title, group in _choose_groups(zoo, "AAE", "ilAAE")
  ]


def faces(zoo: Zoo) -> list[Row]:
  """Return reconstruction and samples of faces, and the floor of distances."""
  chosen = dict(_choose_groups(zoo, zoo_claims.PIXELS, "DFC-VAE", "CAAE"))
  rows = [
    _base(title, group)
    | {
      "batch": _list_numbers(entry.config.batch_size for entry in group),
      "PSNR, dB": _spread(group, _test("psnr")),
      "LPIPS": _spread(group, _read_likeness("lpips")),
      "Fréchet (VGG16)": _spread(group, _read_likeness(FRECHET)),
      "KID (VGG16)": _spread(group, _read_likeness(KID)),
      "N": group[0].likeness.get("protocol", {}).get("images"),
      "sliced W₁": _spread(group, _read_likeness(SLICED)),
      "precision": _spread(group, _read_likeness("precision")),
      "recall": _spread(group, _read_likeness("recall")),
      "variety": _spread(group, _read_variety("sampled_ratio")),
    }
    for title, group in chosen.items()
  ]
  real = [e.likeness for group in chosen.values() for e in group if e.likeness]
  if not real:
    return rows
  floor = dict.fromkeys(rows[0]) | {
    "system": "training faces",
    "Fréchet (VGG16)": real[0]["floor"][FRECHET],
    "KID (VGG16)": real[0]["floor"].get(KID),
    "N": real[0].get("protocol", {}).get("images"),
    "sliced W₁": real[0]["floor"][SLICED],
  }
  return [*rows, floor]


def attributes(zoo: Zoo) -> list[Row]:
  """Return how well faces show each attribute that is asked for."""
  return [
    {"system": title, **row}
    for title, group in _choose_groups(zoo, "CAAE")
    for row in markdown.control(group[0].scores)
  ]


def _choose_groups(zoo: Zoo, *names: str) -> Iterator[tuple[str, list[Entry]]]:
  """Return the groups of some names, in the order of the sweeps.

  A title is a name, then what sets it apart behind a comma.
  """
  order = [*EXPECTED, *zoo.groups]
  for title in sorted(zoo.groups, key=order.index):
    if title.partition(",")[0] in names:
      yield title, zoo.groups[title]


def _base(title: str, group: Sequence[Entry]) -> Row:
  return {
    "system": title,
    "runs": len(group),
    "epochs": _list_numbers(entry.epochs for entry in group),
  }


def _list_numbers(numbers: Iterable[int]) -> str:
  return ", ".join(map(str, sorted({*numbers})))


def _spread(group: Sequence[Entry], value: Value, factor: float = 1.0):
  return markdown.spread([value(entry) for entry in group], factor)


def _error(entry: Entry) -> float | None:
  """Return q(y | x)'s error, where labels say which class a category is."""
  known = entry.last.get("error")
  return None if entry.scores.get("unlabelled") else known


def _read_hits(epoch: int) -> Value:
  return lambda entry: entry.hits.get(epoch)


def _test(name: str) -> Value:
  return lambda entry: entry.last.get(name)


def _read_likeness(name: str) -> Value:
  return lambda entry: entry.likeness.get(name)


def _read_variety(name: str) -> Value:
  return lambda entry: entry.variety.get("distances", {}).get(name)


def _score(*path: str) -> Value:
  """Return a reader of one score; None where a run has none."""

  def read(entry: Entry):
    found = entry.scores
    for name in path:
      found = (found or {}).get(name)
    return found

  return read
