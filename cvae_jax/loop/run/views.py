"""Pictures of a run, for notebooks and as arrays."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.host import arguments, hub
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import DamagedFile
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.run import effects, pictures, requests, walks
from cvae_jax.loop.run.pictures import LATENTS, STEPS, Picture
from cvae_jax.loop.run.restored import Request, Restored, caution

ROWS = 3  # latents in the picture of a run
COLUMNS = 10
SPAN = 2.5  # standard deviations to either side that a latent is moved


class Views(Restored):
  """Pictures of a run. Each is a Picture: `images` is [R, P, H, W, C]."""

  @arguments.refuse_ambiguous
  def grid(
    self,
    *names: str,
    count: int | None = None,
    seed: int = 0,
    guidance: float | None = None,
    **named: Any,
  ) -> Picture:
    """Draw each level of one attribute, or each pair of levels of two.

    Args:
      names: one or two attributes; without one, samples of what is asked for.
      count: how often the grid is drawn, each time with another latent; of
        samples their number.
      seed: of the latents, and of attributes that are left out.
      guidance: see `sample`.
      named: the other attributes and their values.

    Raises:
      RunError: the run cannot be asked so.
      DataError: an attribute or a value is unknown.
    """
    asked = {"count": count, "seed": seed, "guidance": guidance}
    return pictures.draw(self, named, grid=names, **asked)

  @arguments.refuse_ambiguous
  def traverse(
    self,
    what: str | int | Sequence[int] | None = None,
    *,
    steps: int = STEPS,
    span: float = SPAN,
    count: int = LATENTS,
    seed: int = 0,
    **named: Any,
  ) -> Picture:
    """Move an attribute, or the latents one by one, and keep the rest.

    Args:
      what: an attribute, which moves from its low to its high end, with
        another draw of the latents in each row; or numbers of latents, which
        move from -span to span, one latent in each row, with the others at the
        mean of the prior. Without it the `count` latents are moved that change
        images most (`loop/run/effects.py`).
      steps: number of columns if latents are moved. An attribute has its own.
      span: how far latents are moved to each side, in standard deviations of
        the prior.
      count: number of rows, unless numbers of latents are given.
      seed: of the latents that stay the same, and of attributes left out.
      named: attributes and their values.

    Raises:
      RunError: the run has no such latent.
      DataError: an attribute or a value is unknown.
    """
    if isinstance(what, str):
      return pictures.draw(self, named, sweep=what, count=count, seed=seed)
    self._function("decode")
    asked = self.request(None, 1, seed, **named)
    moved = np.linspace(-span, span, steps, dtype=np.float32)
    if what is None:
      vectors = np.repeat(asked.vectors, effects.DRAWS, axis=0)
      draws = self.prior(effects.DRAWS, condition=vectors)
      found = effects.measure(self.guided, draws, vectors[0])
      chosen = effects.order(found)[:count]
    else:
      chosen = [int(number) for number in np.atleast_1d(what)]
    size = self.system.latents
    if wrong := [n for n in chosen if not 0 <= n < size]:
      raise RunError(
        f"{self.folder} has latents 0 to {size - 1}; found {wrong[0]}"
      )
    middle, spread = self.spread(asked.vectors)
    z = np.tile(np.float32(middle), (len(chosen), steps, 1))
    for row, number in enumerate(chosen):
      z[row, :, number] += moved * np.float32(spread[number])
    drawn = self.guided(z.reshape(-1, size), asked.vectors)
    return Picture(
      drawn.reshape(len(chosen), steps, *drawn.shape[1:]),
      [f"latent {number}" for number in chosen],
      [f"{value:+.1f}" for value in moved],
      asked.note,
    )

  @arguments.refuse_ambiguous
  def interpolate(
    self,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    *,
    steps: int = STEPS,
    condition: Request = None,
    to: Request = None,
    seed: int = 0,
    **named: Any,
  ) -> Picture:
    """Walk from one image or latent to another: [1, steps, H, W, C].

    Args:
      a: an image [H, W, C], or a latent [Z]; without it one is drawn.
      b: where to, of the same kind.
      steps: number of images, both ends included.
      condition: of `a`: a vector [A] or words; see `request`.
      to: of `b`, where it is another one; words say only what changes.
      seed: of what is drawn.
      named: attributes and their values, instead of `condition`.

    Raises:
      RunError: a and b are no two images or latents of this run.
      DataError: an attribute or a value is unknown.
    """
    self._function("decode")
    if any(np.ndim(given) == 3 for given in (a, b) if given is not None):
      # The condition of an image is not drawn at random.
      begin = requests.Asked(self.encode_condition(condition, **named))
    else:
      begin = self.request(condition, 1, seed, **named)
    end = begin.vectors
    if to is not None:
      words = isinstance(to, str | Mapping)
      end = (
        self.conditions.fill(end, self.parse(to))
        if words
        else self.request(to, 1).vectors
      )
    if len(begin.vectors) + len(end) != 2:
      raise RunError(
        f"a walk goes from one condition to one; found {len(begin.vectors)} "
        f"and {len(end)}"
      )
    drawn = self.prior(2, seed, np.concatenate([begin.vectors, end]))
    ends = [
      self._latent(given, vector, spare)
      for given, vector, spare in zip(
        (a, b), (begin.vectors, end), drawn, strict=True
      )
    ]
    # Posterior means lie inside the sphere on which draws of N(0, I) lie; draws
    # of another prior, as a uniform one, may have no sphere but bounds.
    drawn_both = a is None and b is None and self.system.prior is None
    way = walks.arc if drawn_both else walks.line
    shares = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    vectors = (1 - shares) * begin.vectors + shares * end
    images = self.guided(way(*ends, steps), vectors)
    return Picture(images[None], note=begin.note)

  def _latent(
    self, given: ArrayLike | None, condition: NDArray, spare: NDArray
  ) -> NDArray:
    """Return the latent [Z] of an image or a latent, `spare` for none."""
    if given is None:
      return spare
    given = np.asarray(given)
    if given.ndim == 1:
      return self._check_vectors(given, "a latent", "Z", self.system.latents)[0]
    if given.ndim != 3:
      raise RunError(
        "a walk goes between images [H, W, C] or latents [Z]; found shape "
        f"{given.shape}"
      )
    return self.encode(given[None], condition).mean[0]

  def _repr_html_(self) -> str:
    """Show samples, what can be asked for, and the state's evaluation."""
    config = self.config
    step = int(self.state.step)
    name = hub.display_name(self.folder)
    parts = [
      f"<b>{html.escape(name)}</b>: {html.escape(config.name)}, "
      f"system {html.escape(config.system)}, {step:,} steps"
    ]
    if line := caution(self):
      parts.append(html.escape(line))
    if picture := self._picture():
      content = base64.b64encode(picture.png()).decode()
      parts.append(f'<img alt="samples" src="data:image/png;base64,{content}">')
    attributes = getattr(self.conditions, "attributes", ())
    if attributes:
      lines = [[a.name, a.kind, a.choices()] for a in attributes]
      parts.append(_table(["attribute", "kind", "values"], lines))
    if scores := self._scores():
      parts.append(_table(list(scores), [list(scores.values())]))
    return "".join(f"<div>{part}</div>" for part in parts)

  def _picture(self) -> Picture | None:
    """Draw a few latents under the panel's settings, if there are images."""
    drawable = self.system.decode and "image" in self.system.columns
    if not drawable or not hasattr(self.conditions, "panel"):
      return None
    panel = np.asarray(self.conditions.panel())[:COLUMNS]
    shared = len(panel)  # of a latent by the columns of a row
    if shared == 1:
      panel = np.repeat(panel, COLUMNS, axis=0)
    condition = np.tile(panel, (ROWS, 1))
    z = self.prior(len(condition), condition=condition, shared=shared)
    drawn = self.guided(z, condition)
    return Picture(drawn.reshape(ROWS, len(panel), *drawn.shape[1:]))

  def _scores(self) -> dict[str, str]:
    """Return the metrics of this state's evaluation, or the last, as text."""
    try:
      rows = read_metrics(self.folder)
    except (DamagedFile, OSError):
      return {}
    found = [row for row in rows if row["split"] in ("valid", "test")]
    own = [row for row in found if row["step"] == int(self.state.step)]
    return {
      k: f"{v:.5g}" if isinstance(v, float) else str(v)
      for k, v in (own or found or [{}])[-1].items()
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Return an HTML table."""

  def line(cells: Sequence[str], tag: str) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"

  body = "".join(line(row, "td") for row in rows)
  return f"<table>{line(head, 'th')}{body}</table>"
