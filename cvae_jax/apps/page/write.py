"""Write a run as one HTML file that opens without a server."""

import base64
import contextlib
import dataclasses
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax import __version__
from cvae_jax.apps.export import functions
from cvae_jax.apps.page import controls, latents
from cvae_jax.host import channels, hub
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import write_atomically
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.runs import Run

LARGE = 25 << 20  # bytes, above which a page is slow to open and to send
# How much shorter weights may change a pixel. 16-bit weights hardly change any.
# 8-bit weights are for large pages: with the browser's own rounding such a page
# differs from the API by at most 2 grey levels, as every page may.
_CLOSE = {16: 0.5 / 255, 8: 1.5 / 255}
_PARTS = ("controls.js", "picture.js", "links.js", "page.js")


class _Shown(NamedTuple):
  """Pictures of a page, by which shorter weights are judged."""

  z: NDArray[np.float32]  # [N, Z]
  condition: NDArray[np.float32]  # [N, A]
  images: NDArray  # [N, H, W, C], by the whole weights


def write(run: Run, path: str | Path) -> list[str]:
  """Write the page of a run: its decoder, and its conditions as controls.

  Args:
    run: of a system that decodes latents into images.
    path: of the HTML file, which is replaced.

  Returns:
    What was written, lines for people.

  Raises:
    RunError: the run has no decoder of images, a part of it cannot be computed
      by the page, or the package onnx is missing.
  """
  path = _check_path(Path(path))
  decode = functions.from_run(run).get("decode")
  if decode is None:
    raise RunError(
      f"{run.folder}: a page shows a decoder of images, and this run has none; "
      + purpose(run)
    )
  about = _about(run)
  graph = _graph(run, decode)
  shown = _draw(run, about)
  bits = 16 if _fits(run, shown, 16) else 32
  content = _page(_program(run, graph, bits), about)
  if len(content) > LARGE and _fits(run, shown, 8):
    bits = 8
    content = _page(_program(run, graph, bits), about)
  write_atomically(path, content)
  size = len(content.encode()) / 1e6
  lines = [
    f"wrote {path}: {size:.1f} MB, weights as {bits}-bit numbers; open it in "
    "any browser"
  ]
  if len(content) > LARGE:
    lines += [
      f"note: {size:.0f} MB is much for a page: it opens and answers slowly, "
      "and mail may refuse it; launch.explore serves the run instead"
    ]
  return lines


def _check_path(path: Path) -> Path:
  if path.suffix.lower() not in (".html", ".htm"):
    raise RunError(f"a page is an HTML file, as in page.html; found {path}")
  if path.is_dir():
    raise RunError(f"{path} is a folder; give the name of a file")
  return path


def _graph(run: Run, decode: functions.Function) -> bytes:
  """Return the decoder as an ONNX file.

  Raises:
    RunError: it cannot be written so, or the package onnx is missing.
  """
  try:
    from cvae_jax.apps.export import convert  # needs the extra
  except ModuleNotFoundError as error:
    raise RunError(
      f"a page needs the package {error.name}: pip install 'cvae_jax[export]'"
    ) from None
  with _explain_errors(run):
    return convert.to_onnx(*decode)


def _program(run: Run, graph: bytes, bits: int):
  """Return the decoder as the page computes it.

  Raises:
    RunError: the page cannot compute a part of it.
  """
  from cvae_jax.apps.page import program

  with _explain_errors(run):
    return program.from_onnx(graph, bits, jax.tree.leaves(run.state.params))


@contextlib.contextmanager
def _explain_errors(run: Run) -> Iterator[None]:
  """Say in one line why a decoder cannot be written as a page.

  Raises:
    RunError: it cannot.
  """
  try:
    yield
  except (NotImplementedError, TypeError, ValueError) as error:
    gist = " ".join(str(error).split())[:200]
    raise RunError(
      f"{run.folder} cannot be written as a page: {gist}"
    ) from None


def _about(run: Run) -> dict[str, Any]:
  """Return the facts that the page needs beside the network, as JSON types."""
  found = controls.from_run(run)
  z, regions = latents.draws(run)
  first = np.zeros(run.condition_size, np.float32)
  for control in found:
    _enter(first, control, control["first"])
  name = run.config.name or run.config.system
  shape = run.system.columns["image"]
  return {
    "name": str(name),
    "text": f"A {run.config.system} model, trained for "
    f"{int(run.state.step):,} steps. cvae_jax {__version__}",
    "folder": _folder(run),
    "shape": [*shape],
    "colours": channels.colours(shape[-1]).tolist(),
    "width": run.condition_size,
    "controls": found,
    "guidance": bool(run.takes_guidance and found),
    "draws": {"count": len(z), "latents": z.shape[1]},
    "regions": regions,
    "latents": latents.strongest(run, z, first),
    "z": base64.b64encode(z.astype("<f4").tobytes()).decode(),
  }


def _folder(run: Run) -> str:
  """Return what to give `runs.load`, without a path of this machine."""
  if name := hub.origin(run.folder):
    return name
  own = run.folder.parent.name == "pretrained"
  return f"pretrained/{run.folder.name}" if own else run.folder.name


def _enter(vector, control, value) -> None:
  """Enter a control's setting into a condition vector [A], as the page does."""
  if value is None:
    return
  for word in value if isinstance(value, list) else [value]:
    place = control["values"].index(word)
    vector[control["columns"]] += control["entries"][place]
  if control["bit"] is not None:
    vector[control["bit"]] = 1.0


def _draw(run: Run, about: dict[str, Any]) -> _Shown:
  """Return all draws of the page, under the panel's conditions in turn."""
  panel = np.zeros((1, about["width"]), np.float32)
  if about["controls"]:
    panel = np.asarray(run.conditions.panel(), np.float32)
  z, _ = latents.draws(run)
  condition = panel[np.arange(len(z)) % len(panel)]
  return _Shown(z, condition, run.guided(z, condition))


def _fits(run: Run, shown: _Shown, bits: int) -> bool:
  """Tell whether weights of 16 or 8 bits leave the pictures as they are."""
  with np.errstate(over="ignore"):
    params = jax.tree.map(
      lambda leaf: _round_weights(np.asarray(leaf), bits), run.state.params
    )
  state = run.state.replace(params=params)
  short = dataclasses.replace(run, state=state)
  moved = np.abs(short.guided(shown.z, shown.condition) - shown.images)
  return bool(moved.max() <= _CLOSE[bits])  # not of NaN


def _round_weights(leaf: NDArray, bits: int) -> NDArray[np.float32]:
  """Return an array rounded to `bits` bits a weight, as a page reads it."""
  from cvae_jax.apps.page import program

  if not program.is_short(leaf):
    return leaf
  if bits == 16:
    return leaf.astype(np.float16).astype(np.float32)
  codes, scales = program.quantise_blocks(leaf)
  wide = scales.repeat(program.BLOCK)[: len(codes)]
  return (codes * wide).reshape(leaf.shape)


def _page(made, about: dict[str, Any]) -> str:
  """Put the parts into the page's frame."""
  from cvae_jax.apps.page import program

  scripts = [program.script(name) for name in (*program.SCRIPTS, *_PARTS)]
  parts = {
    "title": html.escape(about["name"]),
    "style": program.script("page.css"),
    "about": _json(about),
    "graph": _json(made.graph),
    "weights": made.weights,
    "script": "\n".join(scripts),
  }
  text = program.script("page.html")
  for name, part in parts.items():
    text = text.replace(f"<!-- {name} -->", part, 1)
  return text


def _json(value: Any) -> str:
  """Return JSON that cannot end the script element that it stands in."""
  text = json.dumps(value, ensure_ascii=False, allow_nan=False)
  return text.replace("<", "\\u003c")
