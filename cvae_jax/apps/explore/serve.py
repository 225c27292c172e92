"""Serve the page on this machine."""

import logging
import socket
import threading
from collections.abc import Sequence

import gradio as gr

from cvae_jax.apps.explore import photo, pictures
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import page, style
from cvae_jax.runs import RunError

HOST = "127.0.0.1"
UPLOAD = "20mb"


def serve(
  runs: Sequence[Opened], port: int, host: str = HOST, wait: bool = True
) -> gr.Blocks:
  """Serve the explorer of runs; nothing is asked of other machines.

  Args:
    runs: see `opened.open_run`.
    port: where; it must be free.
    host: the address to listen at; 0.0.0.0 lets other machines in.
    wait: go on until Ctrl-C, else return the server at once.

  Raises:
    RunError: the port is in use, or is none.
  """
  _check_port(host, port)
  logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio's own checks
  built = page.build(runs)
  built.launch(
    server_name=host,
    server_port=port,
    share=False,
    quiet=True,
    inbrowser=False,
    prevent_thread_lock=True,
    show_error=True,
    ssr_mode=False,
    pwa=False,
    mcp_server=False,
    run_history=False,
    footer_links=[],
    max_file_size=UPLOAD,
    theme=style.theme(),
    css=style.CSS,
  )
  # The first picture does not wait for all that is compiled. The thread is no
  # daemon: a process that ends while XLA compiles is aborted.
  threading.Thread(target=_warm_up, args=(runs, built)).start()
  if wait:
    built.block_thread()
  return built


def _warm_up(runs: Sequence[Opened], server: gr.Blocks) -> None:
  """Compile what the page will ask for, while the server is there."""
  for work in (pictures.warm_up, photo.warm_up):
    for opened in runs:
      if not server.is_running:
        return
      work(opened)


def _check_port(host: str, port: int) -> None:
  """Check that a port can be listened at.

  Raises:
    RunError: not.
  """
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  with socket.socket(family, socket.SOCK_STREAM) as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind((host, port))
    except (OSError, OverflowError) as error:
      raise RunError(
        f"cannot listen at {host}:{port} ({error}); give another --port, or "
        "end the program that has this one"
      ) from None
