"""Priors fitted to a run's posteriors after training: prior.npz in its folder.

A fit belongs to one state, whose digest it holds. A fit of another state is
not used: a new one is made, for which the run's data must be there.
"""

import io
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import UNREADABLE, write_atomically
from cvae_jax.loop import batches
from cvae_jax.loop.distances import conditions
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.integrity import digest
from cvae_jax.loop.folder.restore import abstract_state
from cvae_jax.loop.folder.run_conditions import attribute_columns
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run import posteriors
from cvae_jax.method import gaussian
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.metrics import aggregate
from cvae_jax.metrics.aggregate import Aggregate

FILE = "prior.npz"  # for one Gaussian; for a mixture of K it is prior_K.npz
ROWS = 10_000  # training images whose posteriors are used for a fit, at most
_FIELDS = tuple(Aggregate.__dataclass_fields__)
_NAME = re.compile(r"fitted(:(?P<components>[1-9]\d{0,2}))?")


def file(count: int) -> str:
  """Return the name of the file that keeps mixtures of `count` Gaussians."""
  return FILE if count == 1 else f"prior_{count}.npz"


def list_files(folder: Path) -> list[Path]:
  """List the files of fitted priors in a run's folder."""
  return sorted(Path(folder).glob("prior*.npz"))


def components(name: str) -> int:
  """Return how many Gaussians a prior's name asks for.

  Raises:
    RunError: it is neither fitted nor fitted:K.
  """
  if (match := _NAME.fullmatch(name)) is None:
    raise RunError(
      f"the prior is {name!r}; expected fitted (a Gaussian for each "
      "condition) or fitted:K (a mixture of K, 1 to 999), or leave it out for "
      "the run's own"
    )
  return int(match["components"] or 1)


def load_or_fit(
  run: Any, name: str = "fitted", dataset: Any = None
) -> Aggregate:
  """Return a run's fitted prior: the one that is stored, or a new one.

  A new one is stored beside a run's checkpoints, but not in an export.

  Args:
    run: a runs.Run whose system encodes images.
    name: fitted, or fitted:K for a mixture of K Gaussians.
    dataset: its data, where they were handed in as arrays.

  Raises:
    RunError: a fit has to be made, and the system encodes no images; or the
      name is another one.
    DataError: a fit has to be made, and the data are not there.
  """
  wanted = components(name)
  path = Path(run.folder) / file(wanted)
  state = identify(run)
  found = read(path, state) if path.exists() else None
  if found is not None and found.components == wanted:
    return found
  _check_encodes(run, name)
  if dataset is None and run.config.data.get("name") == "arrays":
    raise DataError(
      f"{run.folder}: a prior is fitted to the training data, which were "
      "handed in as arrays: hand them in again, "
      f"run.with_prior({name!r}, dataset), and ask the run that it returns"
    )
  made = fit(run, dataset, wanted)
  if not exports.is_export(run.folder):
    write(path, made, state)
  return made


def _check_encodes(run: Any, name: str) -> None:
  """Check that a run has posteriors of one level, to fit a prior to.

  Raises:
    RunError: not.
  """
  encodes = run.system.encode is not None
  if not encodes and exports.lacks_encoder(
    run.state, abstract_state(run.system)
  ):
    raise RunError(
      f"{run.folder}: this export has no encoder, and no prior {name!r} came "
      "with it; fit that one to the whole run and export it again, or leave "
      "the prior out"
    )
  if not encodes or "image" not in run.system.columns:
    raise RunError(
      f"{run.folder}: a {run.config.system} encodes no images, so it has no "
      "posteriors to fit a prior to; leave the prior out"
    )
  if run.system.posterior is not None:
    raise RunError(
      f"{run.folder}: its latents have levels, and a fitted prior is of one; "
      "a hierarchy has learned the prior of each level: leave the prior out"
    )


def fit(run: Any, dataset: Any = None, count: int = 1) -> Aggregate:
  """Fit mixtures of `count` Gaussians to posteriors of the training images."""
  dataset = load_data(run.folder, run.config.data, dataset)
  total = len(dataset.train["image"])
  if total < max(2, count):
    raise RunError(
      f"{run.folder}: a prior is fitted to 2 images or more, and to one for "
      f"each Gaussian; found {total} for {count}: give a smaller fitted:K"
    )
  q, given = encode_training(run, dataset, ROWS)
  return aggregate.fit(q.mean, np.exp(q.logvar), given, count)


def encode_training(
  run: Any, dataset: Any, most: int
) -> tuple[Gaussian, NDArray]:
  """Return the posteriors of at most `most` training images, and conditions.

  The rows are spread evenly, since they may be sorted by class. Where few
  digits have labels, an image is encoded with the class that it is given.
  """
  train = dataset.train
  rows = batches.spread(len(train["image"]), most)
  image = train["image"][rows]
  given = conditions(train, rows)
  if "labelled_image" in train and run.system.classify and given.shape[1]:
    # The conditions belong to other images, the labelled ones.
    label = run.classify(image).argmax(axis=-1)
    given = np.eye(given.shape[1], dtype=np.float32)[label]
  return posteriors.encode_observed(run, image, given), given


def describe(run: Any) -> dict[str, str]:
  """Return {"prior": "fitted:K"} of a run with a fitted prior, else {}."""
  if run.fitted is None:
    return {}
  return {"prior": f"fitted:{run.fitted.components}"}


def draw(
  run: Any, count: int, seed: int, condition: NDArray | None, shared: int
) -> NDArray:
  """Draw z [count, Z] of a run's fitted prior, see Aggregate.draw."""
  known = _is_known(run, condition)
  return run.fitted.draw(count, seed, condition, known, shared)


def _is_known(run: Any, condition: NDArray | None) -> NDArray | bool:
  """Tell in which conditions [B, A] all values are known, [B] or True."""
  if condition is None or not getattr(run.conditions, "known_bits", False):
    return True
  bits = [place.bit for place in attribute_columns(run.conditions)]
  return np.asarray(condition)[:, bits].all(axis=1)


def compare_to_prior(
  run: Any, q: Gaussian, condition: NDArray
) -> dict[str, Any]:
  """Compare the fitted prior with the run's own, in nats of a code.

  Args:
    run: with a fitted prior.
    q: posteriors of held-out images, see posteriors.encode_observed.
    condition: theirs, [N, A].

  Returns:
    components; fitted: the mean of log p(z) of the fitted prior over a draw z
    of each posterior; own: of the run's own, None where it has no density.
  """
  spread = np.exp(0.5 * np.asarray(q.logvar))
  noise = np.random.default_rng(0).standard_normal(spread.shape)
  z = np.asarray(q.mean + spread * noise, np.float32)
  own = None
  if run.system.log_prior is not None:
    own = float(np.mean(jax.jit(run.system.log_prior)(run.state, z)))
  elif run.system.prior is None:
    own = float(np.mean(gaussian.log_density(z, gaussian.standard(z))))
  logs = run.fitted.log_density(z, condition, _is_known(run, condition))
  return {
    "components": run.fitted.components,
    "fitted": float(logs.mean()),
    "own": own,
  }


def identify(run: Any) -> str:
  """Return the digest of a run's arrays, by which a fit knows its state."""
  arrays = exports.arrays(run.state, run.config.get("pretrained", {}))
  return digest(dict(sorted(arrays.items())))


def write(path: Path, found: Aggregate, state: str) -> None:
  """Write a fit beside the digest of its state."""
  content = io.BytesIO()
  arrays = {name: getattr(found, name) for name in _FIELDS}
  np.savez_compressed(content, state=np.array(state), **arrays)
  write_atomically(path, content.getvalue())


def read(path: Path, state: str) -> Aggregate | None:
  """Read a fit; None if it is of another state or its file is damaged."""
  try:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
      if str(file["state"]) != state:
        return None
      return Aggregate(**{name: file[name] for name in _FIELDS})
  except UNREADABLE:
    return None
