"""FID and KID: distances of a run's samples from real images.

Both are of the features of one Inception-v3, whose weights the user brings.
Samples are drawn under the conditions of the real images.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError, Dataset
from cvae_jax.data.files import inception_files
from cvae_jax.host import hub
from cvae_jax.loop import distances
from cvae_jax.loop.distances import Embed
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.measures import kept
from cvae_jax.measures.samples import draw, manner_lines
from cvae_jax.metrics import frechet, kid, perceptual
from cvae_jax.nets import inception
from cvae_jax.runs import Run, RunError

NAME = "fid"  # of the section in a run's measures.json
IMAGES = 2048  # samples; the covariance of fewer has no full rank


class Features(NamedTuple):
  """Inception with weights of a file."""

  embed: Embed  # uint8 [N, H, W, 3] -> [N, 2048]
  sha256: str  # of the file


def load(path: Path) -> Features:
  """Load Inception's weights from a .pth or .safetensors file.

  Raises:
    DataError: the file is missing, damaged or of another network.
  """
  weights = inception_files.load(path)
  expected = inception.kernel_shapes()
  found = {k: layer["kernel"].shape for k, layer in weights.layers.items()}
  if found != expected:
    wrong = min(k for k in {*found, *expected} if _differ(found, expected, k))
    raise DataError(
      f"{path} is not the Inception of FID: layer {wrong} has the kernel "
      f"{found.get(wrong)}, expected {expected.get(wrong)} (height, width, in, "
      f"out); bring {inception_files.PUBLISHED}"
    )
  layers = jax.device_put(weights.layers)
  return Features(perceptual.make_inception(layers), weights.sha256)


def _differ(found: dict, expected: dict, layer: str) -> bool:
  return found.get(layer) != expected.get(layer)


def check(run: Run) -> None:
  """Check that a run draws images that Inception can read.

  Raises:
    RunError: it does not.
  """
  shape = run.system.columns.get("image")
  if run.system.decode is None or shape is None or shape[-1] not in (1, 3):
    found = f" (here {shape})" if shape else ""
    raise RunError(
      f"{run.folder}: FID is of grey or RGB images{found} that a run draws; "
      f"{purpose(run)}"
    )


def measure(
  run: Run,
  features: Features,
  count: int = IMAGES,
  split: str = "test",
  seed: int = 0,
  dataset: Dataset | None = None,
) -> dict[str, Any]:
  """Measure the distances of samples from a split's images.

  If the run's measures.json has them by the same protocol, they are read.

  Args:
    run: a run that draws images.
    features: of `load`.
    count: samples. As many images are used, or all that the split has.
    split: test or train, whose images and conditions are used.
    seed: of the latents.
    dataset: the data, of a run whose data were handed in as arrays.

  Returns:
    protocol; fid; kid, the unbiased estimate over all pairs; floor: the fid
    and kid of training images instead of samples, as many as the images (None
    if the split is train).

  Raises:
    RunError: the run draws no images, or its data have no such split.
  """
  check(run)
  dataset = load_data(run.folder, run.config.data, dataset)
  rows = getattr(dataset, split)
  if rows is None or min(count, len(rows["image"])) < 2:
    raise RunError(
      f"{run.folder}: FID compares two {split} images or more with as many "
      f"samples; found {0 if rows is None else len(rows['image'])} images and "
      f"{count} samples"
    )
  protocol = {
    "weights": features.sha256,
    "samples": count,
    "images": min(count, len(rows["image"])),
    "split": split,
    "seed": seed,
  }

  def figures() -> dict[str, Any]:
    return _measure(run, features.embed, dataset, protocol)

  if hub.origin(run.folder):  # which is only read
    return {"protocol": protocol, **figures()}
  name = NAME if split == "test" else f"{NAME}_{split}"
  return kept.measure_once(run, name, protocol, figures)


def _measure(
  run: Run, embed: Embed, dataset: Dataset, protocol: dict[str, Any]
) -> dict[str, Any]:
  rows = getattr(dataset, protocol["split"])
  count = protocol["images"]
  chosen = distances.choose_rows(len(rows["image"]), count)
  real = _read(embed, distances.split(rows["image"][chosen]))
  # Each image's condition as often as any other's, where samples are more.
  asked = distances.conditions(rows, np.resize(chosen, protocol["samples"]))
  drawn = _read(embed, draw(run, asked, protocol["seed"], distances.ROWS))
  floor = None
  if protocol["split"] == "test":
    image = dataset.train["image"]
    others = distances.choose_rows(len(image), min(count, len(image)))
    floor = _compare(_read(embed, distances.split(image[others])), real)
  return {**_compare(drawn, real), "floor": floor}


def _compare(found: NDArray, real: NDArray) -> dict[str, float]:
  return {
    "fid": frechet.distance(frechet.moments([found]), frechet.moments([real])),
    "kid": kid.distance(found, real),
  }


def _read(embed: Embed, parts: Iterator[NDArray]) -> NDArray:
  """Return the features [N, 2048] of uint8 images; grey becomes RGB."""
  return np.concatenate(
    [embed(np.broadcast_to(x, (*x.shape[:-1], 3))) for x in parts]
  )


def lines(found: dict[str, Any]) -> list[str]:
  """Lay the figures out as text, with what they are of and notes."""
  protocol = found["protocol"]
  split = protocol["split"]
  images = protocol["images"]
  samples = protocol["samples"]
  of = f"({samples:,} samples beside {images:,} {split} images)"
  text = [
    f"{'FID':32} {found['fid']:10.4f}  {of}",
    f"{'KID':32} {found['kid']:10.5f}",
  ]
  text += manner_lines(protocol)
  if floor := found["floor"]:
    text.append(f"{'FID of training images':32} {floor['fid']:10.4f}")
    text.append(f"{'KID of training images':32} {floor['kid']:10.5f}")
  if min(samples, images) < IMAGES:
    text.append(
      f"note: the FID of fewer than {IMAGES:,} images is far too high, since "
      "their covariance is singular; compare it with FIDs of as many images"
    )
  if not protocol["weights"].startswith(inception_files.SHA256):
    text.append(
      f"note: the weights are another file than {inception_files.PUBLISHED} "
      f"(SHA-256 {protocol['weights'][:8]}…); FIDs of papers are of that one"
    )
  return text
