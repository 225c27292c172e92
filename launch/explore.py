"""Explore trained runs in the browser: conditions, latents, photos, scores.

    python -m launch.explore --workdir=runs/digits
    python -m launch.explore --workdir=pretrained/digits --workdir=runs/other
    python -m launch.explore --workdir=runs/digits --export=page.html

The page is served on this machine only, and asks nothing of others. It needs
the extra `web`: pip install "cvae_jax[web]". With --export nothing is served:
one run becomes a file to send, as by launch.page, which needs `export` only.
"""

from absl import flags

from . import command, run_flags

_WORKDIR = flags.DEFINE_multi_string(
  "workdir", None, "A run, an export or pretrained/digits; may come often."
)
_PORT = flags.DEFINE_integer(
  "port", 7860, "Where the page is served.", lower_bound=1, upper_bound=65535
)
_HOST = flags.DEFINE_string(
  "host", "127.0.0.1", "Address to listen at; 0.0.0.0 lets other machines in."
)
_OPEN = flags.DEFINE_bool(
  "open", False, "Open the page in this machine's browser, if it has a screen."
)
_EXPORT = flags.DEFINE_string(
  "export", None, "Write one run as this HTML file instead of serving it."
)


def main(_: list[str]) -> None:
  """Open the runs and serve the page, or write it."""
  if _EXPORT.value is not None:
    _write(command.path(_EXPORT))
    return
  _check_extra()
  from cvae_jax import runs
  from cvae_jax.apps.explore import opened, serve

  found = []
  for folder in _WORKDIR.value:
    taken = tuple(run.name for run in found)
    given = run_flags.source(folder, _WORKDIR)
    found.append(opened.open_run(given, taken))
    if line := runs.caution(found[-1].run):
      print(line)
  server = serve.serve(found, _PORT.value, _HOST.value, wait=False)
  address = f"http://{_HOST.value}:{_PORT.value}/"
  print(f"open {address} (Ctrl-C ends it)", flush=True)
  if _OPEN.value:
    _open_browser(address)
  server.block_thread()


def _write(out) -> None:
  """Write the run as one HTML file.

  Raises:
    RunError: several runs were given.
  """
  from cvae_jax import runs
  from cvae_jax.apps.page import write

  if len(_WORKDIR.value) > 1:
    raise runs.RunError(
      f"--export writes one run; found {len(_WORKDIR.value)} --workdir"
    )
  run = runs.load(run_flags.source(_WORKDIR.value[0], _WORKDIR))
  if line := runs.caution(run):
    print(line)
  print("\n".join(write.write(run, out)))


def _open_browser(address: str) -> None:
  """Open an address in the browser; without a screen there is none."""
  import os
  import sys
  import webbrowser

  screens = ("DISPLAY", "WAYLAND_DISPLAY")
  if sys.platform in ("darwin", "win32") or any(map(os.environ.get, screens)):
    webbrowser.open(address)


def _check_extra() -> None:
  """Check that Gradio is installed, and keep it from asking others.

  Raises:
    RunError: it is not.
  """
  import os

  os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
  try:
    import gradio  # noqa: F401
  except ModuleNotFoundError:
    from cvae_jax.runs import RunError

    raise RunError(
      'the explorer needs Gradio: pip install "cvae_jax[web]"'
    ) from None


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["workdir"])
