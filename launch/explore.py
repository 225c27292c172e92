"""Explore trained runs in the browser: conditions, latents, photos, scores.

    python -m launch.explore --workdir=runs/digits
    python -m launch.explore --workdir=pretrained/digits --workdir=runs/other

The page is served on this machine only, and asks nothing of others. It needs
the extra `web`: pip install "cvae_jax[web]".
"""

from absl import flags

from . import command

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


def main(_: list[str]) -> None:
  """Open the runs and serve the page."""
  _check_extra()
  from cvae_jax.apps.explore import opened, serve
  from cvae_jax.host import paths

  found = []
  for folder in _WORKDIR.value:
    taken = tuple(run.name for run in found)
    path = paths.local(folder, "--workdir")
    found.append(opened.open_run(path, taken))
  server = serve.serve(found, _PORT.value, _HOST.value, wait=False)
  address = f"http://{_HOST.value}:{_PORT.value}/"
  print(f"open {address} (Ctrl-C ends it)", flush=True)
  if _OPEN.value:
    _open(address)
  server.block_thread()


def _open(address: str) -> None:
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
  os.environ["HF_HUB_OFFLINE"] = "1"
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
