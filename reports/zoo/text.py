"""The zoo report's page: tables, verdicts and pictures as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from reports import claims, markdown
from reports.zoo import (
  claims as zoo_claims,
  figures as zoo_figures,
  tables as zoo_tables,
)
from reports.zoo.runs import Zoo

DIGITS = (
  "python -m launch.sweep --config=configs/zoo.py:full --workdir=runs/zoo"
)
FACES = (
  "python -m launch.sweep --config=configs/zoo_faces.py "
  "--workdir=runs/zoo/faces"
)
JUDGE = (
  "python -m launch.train --config=configs/classifier.py:full "
  "--workdir=runs/zoo/judge"
)
JUDGES = (
  "python -m launch.train --config=configs/attributes.py:column=Male,size=64 "
  "--workdir=runs/zoo/faces/judge_Male"
)
LIKELIHOOD = """\
In nats, of the held-out digits; ± is the standard deviation over seeds.
*IW bound* is the importance-weighted one ({samples} samples), between the ELBO
and log p(x). SCVAE bounds log p(x | y), to which the label gives up to log 10
= 2.30 nats, and so do the IW bounds of M2 with labels; without labels there
is none. M1, M2 with labels and M1+M2 draw
pixels 0 or 1 from their grey values, the others take those as they are; so
figures of the one kind are not comparable with those of the other. A
latent is active where its posterior mean's variance over the digits is above
0.01."""
LABELS = """\
*Error* is that of q(y | x) on the held-out digits; ± is over draws of the
labelled ones; published: Kingma et al. 2014 and, for SSAAE, Makhzani et al.
2015, all of MNIST. *Purity* is the share of digits whose class is the commonest
in their category. M3 and the faithful M2 see no label, so their categories have
no order and no error.
*Entropy* says how mixed the samples of one category are for the judge: 0 for
one class alone, 2.30 for all ten alike. The settings of M2 and M1+M2 were
chosen by the test errors of draws 0 and 1, on the same test digits; draws 2 to
4 chose nothing, but their test digits did. So the errors of draws 0 to 4 are
probably lower than with digits and draws that chose nothing; by how much
is not measured."""
CONTROL = """\
The judge is a classifier trained on real digits. *Control* is the share of
samples that it reads as the class asked for, *floor* the same with the
requests permuted. ilAAE is asked by drawing from the place that a class has in
its prior, the others by their condition. The epochs are those after which the
source shows SCVAE."""
CODES = """\
Of the held-out digits, from two numbers each, without noise."""
QUALITY = """\
PSNR and LPIPS compare held-out faces with their reconstructions (PSNR from a
draw of the posterior where there is one, LPIPS from its mean). The next
columns set {images} samples beside as many held-out faces: the Fréchet
distance of VGG16's features (no FID, which is of Inception's), which grows as
N falls, the kernel distance (KID) of the same, which does not, the sliced W₁ of
pixels, precision and recall of the same features. *Training faces* are
their floor: real ones beside real ones. DFC-VAEs are trained on features of
the same VGG16, which favours them by LPIPS and by the Fréchet distance.
*Variety* is the mean distance of two samples over that of two real faces."""
ATTRIBUTES = """\
Independent networks, trained on real faces, read the samples: correlation of
what was *asked for*, one attribute at a time or *as real faces* have them
together, and what was read; *ceiling*: the same reading of real held-out
faces; *floor*: of permuted requests; *slope* of what was read over what was
asked for. Images that a judge was trained on are left out of the ceiling by
their bytes: of a judge trained on the same photos, resized otherwise, they are
not known, and its ceiling is too high."""
UNSEEN = "What samples are like is not measured: it takes the data and VGG16."


def page(zoo: Zoo, drawn: Mapping[str, Path], command: str) -> str:
  """Lay the whole report out.

  Args:
    zoo: what was measured.
    drawn: the figures that there are, {name: file}.
    command: that writes it.
  """
  tables = zoo_tables
  parts = [
    "# The autoencoder zoo: all tables\n\n"
    f"Written by `{command}`; run it again to renew it.",
    _setting(zoo),
    _section("Likelihood", DIGITS, tables.likelihood(zoo), _likelihood(zoo)),
    _section("Few labels", DIGITS, tables.labels(zoo), LABELS),
    _section("Control of the class", DIGITS, tables.control(zoo), CONTROL),
    _section("Adversarial codes", DIGITS, tables.codes(zoo), CODES),
    _section("Faces", FACES, tables.faces(zoo), _quality(zoo)),
    _section(
      "Control of attributes", JUDGES, tables.attributes(zoo), ATTRIBUTES
    ),
    f"## Claims and targets\n\n{claims.page(zoo_claims.verdicts(zoo))}",
    "## Pictures\n\nAll faces are generated from draws of the prior; none "
    "was encoded for them. A white field is a run, or a state of one, that is "
    "not there.",
    *(
      f"![{name}]({path.name})\n\n*{zoo_figures.CAPTIONS[name]}*"
      for name, path in drawn.items()
    ),
    _name_undrawn(drawn),
  ]
  return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _section(heading: str, command: str, rows: Sequence, words: str) -> str:
  if not rows:
    return f"## {heading}\n\nNot trained: `{command}`."
  return f"## {heading}\n\n`{command}`\n\n{markdown.table(rows)}\n\n{words}"


def _setting(zoo: Zoo) -> str:
  """Say on what data, what is missing, where and by which code."""
  entries = [entry for group in zoo.groups.values() for entry in group]
  counts = {
    _source(e.config.data): e.scores["protocol"]["test_examples"]
    for e in entries
    if e.scores
  }
  lines = [f"Held-out {k}: {count:,}." for k, count in sorted(counts.items())]
  missing = [
    f"{title} ({len(zoo.of(title))} of {count})"
    for title, count in zoo_tables.EXPECTED.items()
    if len(zoo.of(title)) < count
  ]
  if missing:
    lines.append(f"Runs that are missing: {'; '.join(missing)}.")
  if zoo.unfinished:
    lines.append(f"Not finished: {'; '.join(zoo.unfinished)}.")
  kept = [title for title in zoo.groups if not zoo.here(title)]
  if kept:
    lines.append(f"Only of the ledger, so without pictures: {'; '.join(kept)}.")
  if not zoo.judges and len(kept) < len(zoo.groups):
    lines.append(f"No judge says what samples show: `{JUDGE}`.")
  where = markdown.describe_training(entry.environment for entry in entries)
  return " ".join([*lines, where])


def _source(config: ConfigDict) -> str:
  own = config.name == "digits" and config.path
  return f"{config.name} ({config.source}{', own files' if own else ''})"


def _likelihood(zoo: Zoo) -> str:
  counts = {
    entry.scores["iw_samples"]
    for group in zoo.groups.values()
    for entry in group
    if entry.scores.get("iw_samples")
  }
  samples = " or ".join(map(str, sorted(counts))) or "not measured, 0"
  return LIKELIHOOD.format(samples=samples)


def _quality(zoo: Zoo) -> str:
  counts = {
    entry.likeness["protocol"]["images"]
    for group in zoo.groups.values()
    for entry in group
    if entry.likeness
  }
  if not counts:
    return UNSEEN
  return QUALITY.format(images=" or ".join(map(str, sorted(counts))))


def _name_undrawn(drawn: Mapping[str, Path]) -> str:
  """Name the figures that no run is there for."""
  lacking = [name for name in zoo_figures.CAPTIONS if name not in drawn]
  if not lacking:
    return ""
  return f"Not drawn, since no run has what they show: {', '.join(lacking)}."
