"""Measure how quickly the explorer answers a move: p95 of 100 moves.

    python -m benchmarks.explore
    python -m benchmarks.explore --workdir=runs/faces --moves=100

A move is one of a slider: through the functions that make the answer, and
through the page's server, as the browser asks it.
"""

import argparse
import json
import socket
import time
import urllib.request

import numpy as np

from cvae_jax.apps.explore import opened as opening, serve
from cvae_jax.apps.explore.panels import shared
from cvae_jax.apps.explore.request import Request, first


def main() -> None:
  """Print the median and p95 of both, in milliseconds."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", default="pretrained/digits")
  parser.add_argument("--moves", type=int, default=100)
  given = parser.parse_args()
  opened = opening.open_run(given.workdir)
  with socket.socket() as probe:
    probe.bind((serve.HOST, 0))
    port = probe.getsockname()[1]
  server = serve.serve([opened], port, wait=False)
  print(f"start: {time.process_time():.1f} s of processor time")
  moves = [_move_slider(opened, i, given.moves) for i in range(given.moves)]
  _print("functions", [_time(shared.answer, opened, move) for move in moves])
  address = f"http://{serve.HOST}:{port}"
  event, panel = _event(server)
  asks = [_body(server, event, panel, move) for move in moves]
  _print("server", [_time(_ask, address, body) for body in asks])
  server.close(verbose=False)


def _move_slider(opened, index: int, moves: int) -> Request:
  """Return the request of one of several places of a slider."""
  asked = first(opened)
  latent = opened.latents[0]
  low, high = opened.spans[latent]
  value = low + (high - low) * (index + 0.5) / moves
  return Request(asked.values, moved={latent: round(float(value), 3)})


def _event(server):
  """Return the number of the event of the first latent's slider, its inputs."""
  for number, event in server.fns.items():
    label = getattr(event.inputs[0], "label", "") if event.inputs else ""
    if str(label).startswith("latent"):
      return number, event.inputs
  raise SystemExit("the page has no slider of a latent")


def _body(server, event: int, inputs, move: Request) -> bytes:
  """Return what the browser sends when that slider is at a value."""
  values = [getattr(part, "value", None) for part in inputs]
  values[0] = next(iter(move.moved.values()))
  values[1] = None  # the server keeps the held draw
  return json.dumps(
    {"fn_index": event, "data": values, "session_hash": "benchmark"}
  ).encode()


def _ask(address: str, body: bytes) -> None:
  request = urllib.request.Request(
    f"{address}/gradio_api/run/predict",
    body,
    {"Content-Type": "application/json"},
  )
  with urllib.request.urlopen(request, timeout=30) as response:
    found = json.load(response)
  if "data:image/png" not in found["data"][0]:
    raise SystemExit("the server's answer has no picture")


def _time(function, *arguments) -> float:
  begun = time.perf_counter()
  function(*arguments)
  return 1e3 * (time.perf_counter() - begun)


def _print(name: str, times: list[float]) -> None:
  middle, late = np.percentile(times, [50, 95])
  print(f"{name:10} median {middle:6.1f} ms   p95 {late:6.1f} ms")


if __name__ == "__main__":
  main()
