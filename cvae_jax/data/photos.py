"""Colour photographs, taught a cell at a time.

`prepared` reads a user's photos that `data/prepare_photos.py` prepared, and
`packaged_photos` those of installed packages. This module makes the columns of
a training. A row is one of the 196 cells of a photo, which is stored once.
"""

import dataclasses
import hashlib
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError, Dataset, Repeated, root
from cvae_jax.data.files import order, packaged_photos, prepared
from cvae_jax.host import commands
from cvae_jax.host.paths import local

SIDE = 112
CELLS = 196
WORDS = "--images=FOLDER_OR_ZIP"


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Names the photos that trained; a photo's grey is all the condition.

  It is stored with the run, so that a run is not continued on other photos.
  """

  photos: int
  sha256: str  # digest of the training photos' pixels

  @classmethod
  def fit(cls, photos: npt.NDArray[np.uint8]) -> Self:
    """Take the digest of training photos [N, S, S, 3]."""
    digest = hashlib.sha256()
    for photo in photos:  # one at a time: they may be memory-mapped
      digest.update(photo.tobytes())
    return cls(len(photos), digest.hexdigest())

  @property
  def size(self) -> int:
    """Return the length of a condition vector, 0."""
    return 0

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [1, 0]: there is nothing to ask for."""
    return np.zeros((1, 0), np.float32)

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned."""
    return cls(**saved)


def load(config: Any) -> Dataset:
  """Load cells: photo uint8 [196 N, 112, 112, 3] (Repeated), cell int32.

  Args:
    config: `source`, "packages" (no download) or "prepared" (the folder
      `path`, "" for `photos_112` in the data folder); `train_images`, how
      many of the first photos train, 0 for all but the last fifth;
      `test_images`, how many of the last are held out, 0 for all others;
      `mirrored`, whether the training photos' mirror images train too.

  Returns:
    Row 196 n + c is cell c of photo n. Prepared photos stay on disk,
    memory-mapped. test is None where all photos train.

  Raises:
    DataError: if photos are missing, damaged or of another size, or fewer
      than train_images and test_images ask for.
  """
  train, test = _split(config)
  if config.mirrored:
    train = np.concatenate([train, train[:, :, ::-1]])
  return Dataset(
    _columns(train),
    _columns(test) if len(test) else None,
    Conditions.fit(train),
    "packaged photos" if config.source == "packages" else "photos",
  )


def _split(config: Any) -> tuple[np.ndarray, np.ndarray]:
  if config.source == "packages":
    train, test = packaged_photos.read(SIDE)
    wanted = config.train_images or len(train)
    held_out = config.test_images or len(test)
    if not (0 < wanted <= len(train) and 0 < held_out <= len(test)):
      raise DataError(
        f"installed packages have {len(train)} photos to train on and "
        f"{len(test)} to hold out; train_images={config.train_images} and "
        f"test_images={config.test_images} are not among them"
      )
    return train[:wanted], test[:held_out]
  if config.source != "prepared":
    raise DataError(
      f"source is one of packages, prepared; found {config.source!r}"
    )
  folder = local(config.path or root() / "photos_112", "config.data.path")
  how = f"{commands.format_prepare('photos')} {WORDS}"
  photos, table, _ = prepared.read(folder, SIDE, how)
  count = len(photos)
  wanted = config.train_images or count - max(1, count // 5)
  held_out = config.test_images or max(count - wanted, 0)
  if not 0 < wanted <= count - held_out or held_out < 0:
    raise DataError(
      f"{folder} has {count} photos; train_images={config.train_images} and"
      f" test_images={config.test_images} are more"
    )
  rows = np.arange(count)
  order.warn(table, rows[:wanted], rows[count - held_out :], folder)
  return photos[:wanted], photos[count - held_out :]


def _columns(photos: np.ndarray) -> dict[str, Any]:
  cells = np.tile(np.arange(CELLS, dtype=np.int32), len(photos))
  return {"photo": Repeated(photos, CELLS), "cell": cells}
