"""The faces' figures: the source's two tests, sweeps, walks."""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.figures import Captions
from cvae_jax.loop.run.walks import arc
from cvae_jax.runs import Run

# The source's test settings; its training range of hair and eyes begins at ½.
HAIR = (0.5, 0.8, 1.0)
MOUTH = (0.0, 0.5, 1.0)
EYES = (0.5, 0.8, 1.0)
# Its "info change" test: one latent, these settings (male, hair, mouth, eyes).
CHANGES = (
  (0.0, 0.05, 1.0, 1.0),
  (0.0, 0.5, 1.0, 1.0),
  (0.0, 0.75, 1.0, 1.0),
  (0.0, 1.0, 1.0, 1.0),
  (0.0, 1.0, 0.0, 1.0),
  (0.0, 1.0, 0.0, 0.5),
  (1.0, 1.0, 0.0, 1.0),
)
_ASKED = ("male", "hair_color", "mouth", "eyes")  # female follows male


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C].

  The source's own settings are drawn for runs that have its conditions.
  """
  drawn = {
    "sweeps": sweeps(run, seed),
    "prior": prior(run, seed),
    "interpolation": interpolation(run, seed),
  }
  if _matches_source_conditions(run):
    drawn["settings"] = settings(run, seed)
    drawn["info_change"] = info_change(run, seed)
  return drawn


def captions(run: Run) -> dict[str, Captions]:
  """Return what stands left of the rows and above the columns."""
  conditions = run.conditions
  asked = [
    _describe_request(condition, conditions) for condition in conditions.panel()
  ]
  ranges = zip(conditions.names, conditions.ranges, strict=True)
  rows = [f"{n}\n{r[0]:g} to {r[1]:g}" for n, r in ranges if n != "female"]
  return {
    "sweeps": (rows, ()),
    "prior": ((), asked),
    "interpolation": (asked, ()),
    "settings": (
      [f"{_gender_word(m)}\nhair {h:g}" for m in (1, 0) for h in HAIR],
      [f"mouth {m:g}\neyes {e:g}" for m in MOUTH for e in EYES],
    ),
    "info_change": (
      [
        f"{_gender_word(m)}, hair {h:g}\nmouth {o:g}, eyes {e:g}"
        for m, h, o, e in CHANGES
      ],
      (),
    ),
  }


def settings(run: Run, seed: int = 0) -> NDArray:
  """Draw gender × hair [6 rows] by mouth × eyes [9], all of one latent."""
  condition = _encode(run, itertools.product((1.0, 0.0), HAIR, MOUTH, EYES))
  count = len(condition)
  z = run.prior(count, seed, condition, shared=count)
  images = run.guided(z, condition)
  return images.reshape(6, 9, *images.shape[1:])


def info_change(run: Run, seed: int = 0, latents: int = 15) -> NDArray:
  """Draw fixed latents under seven settings: [7, latents, …].

  The source's test: a column is one latent. No image is encoded.
  """
  condition = _encode(run, CHANGES)
  settings = np.tile(condition, (latents, 1))
  z = run.prior(len(settings), seed, settings, shared=len(condition))
  images = run.guided(z, settings)
  images = images.reshape(latents, len(condition), *images.shape[1:])
  return images.swapaxes(0, 1)


def sweeps(run: Run, seed: int = 0, steps: int = 9) -> NDArray:
  """Move one condition a row over its range, latent and others held."""
  conditions = run.conditions
  middle = dict(
    zip(conditions.names, (q[1] for q in conditions.quantiles), strict=True)
  )
  rows = []
  for name, (low, high) in zip(
    conditions.names, conditions.ranges, strict=True
  ):
    if name == "female":  # it moves with male
      continue
    chosen = middle | {name: np.linspace(low, high, steps)}
    if "male" in chosen:
      chosen.pop("female", None)
    condition = conditions.encode(chosen)
    z = run.prior(steps, seed, condition, shared=steps)
    rows.append(run.guided(z, condition))
  return np.stack(rows)


def prior(run: Run, seed: int = 0, rows: int = 6) -> NDArray:
  """Draw latents at random under the training-time panel: [rows, P, …]."""
  panel = run.conditions.panel()
  images = run.sample(np.tile(panel, (rows, 1)), seed)
  return images.reshape(rows, len(panel), *images.shape[1:])


def interpolation(run: Run, seed: int = 0, steps: int = 9) -> NDArray:
  """Walk between two latents of the prior, one setting of the panel a row."""
  panel = run.conditions.panel()
  ends = run.prior(2 * len(panel), seed, panel.repeat(2, axis=0))
  ends = ends.reshape(len(panel), 2, -1)
  rows = [
    run.guided(arc(a, b, steps), np.tile(condition, (steps, 1)))
    for (a, b), condition in zip(ends, panel, strict=True)
  ]
  return np.stack(rows)


def _matches_source_conditions(run: Run) -> bool:
  conditions = run.conditions
  unit = all(tuple(pair) == (0.0, 1.0) for pair in conditions.ranges)
  return unit and set(conditions.names) == {*_ASKED, "female"}


def _encode(run: Run, rows) -> NDArray:
  values = np.array(list(rows)).T
  return run.conditions.encode(dict(zip(_ASKED, values, strict=True)))


def _describe_request(condition: NDArray, conditions) -> str:
  """Say in two words a line what a setting of the panel asks for."""
  named = dict(zip(conditions.names, condition.tolist(), strict=True))
  words = [_gender_word(named.pop("male"))] if "male" in named else []
  named.pop("female", None)
  words += [f"{name.partition('_')[0]} {x:.2g}" for name, x in named.items()]
  return "\n".join(words)


def _gender_word(male: float) -> str:
  return "male" if male > 0.5 else "female"
