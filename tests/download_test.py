"""Downloads: only a verified file enters the folder, failures explain all."""

import gzip
import hashlib
import http.server
import importlib.util
import pathlib
import re
import threading

import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import download

NAME = "letters-idx1-ubyte.gz"
BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
GOOD = gzip.compress(BODY, 1)


class Server(http.server.ThreadingHTTPServer):
  """Serves `files[path] = (body, announced length)`; remembers requests."""

  def __init__(self):
    super().__init__(("127.0.0.1", 0), Handler)
    self.files = {}
    self.requests = []
    self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.server.requests.append(self.path)
    if self.path not in self.server.files:
      self.send_error(404)
      return
    body, length = self.server.files[self.path]
    self.send_response(200)
    self.send_header("Content-Length", str(length))
    self.end_headers()
    self.wfile.write(body)

  def log_message(self, *args):
    pass


@pytest.fixture
def server(monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  monkeypatch.setenv("no_proxy", "127.0.0.1")
  with Server() as running:
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()


def put(server, mirror, body, length=None):
  server.files[f"/{mirror}/{NAME}"] = (body, length or len(body))
  return f"{server.url}/{mirror}/"


def down():
  """Return the address of a port that was free a moment ago."""
  with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
    return f"http://127.0.0.1:{closed.server_port}/"


def test_good_file_lands_verified_and_quietly(server, tmp_path, capfd):
  mirror = put(server, "a", GOOD)
  path = download.fetch(NAME, tmp_path / "new", [mirror], SHA)
  assert path == tmp_path / "new" / NAME
  assert download.content(path) == BODY
  assert list(path.parent.iterdir()) == [path]
  assert capfd.readouterr() == ("", "")


def test_mirrors_may_compress_differently(server, tmp_path):
  bodies = [GOOD, gzip.compress(BODY, 9), BODY]
  for i, body in enumerate(bodies):
    mirror = put(server, str(i), body)
    path = download.fetch(NAME, tmp_path / str(i), [mirror], SHA)
    assert download.content(path) == BODY
  assert bodies[0] != bodies[1]


def test_next_mirror_serves_when_the_first_cannot(server, tmp_path):
  wrong = put(server, "wrong", gzip.compress(BODY[:-1]))
  missing = f"{server.url}/missing/"
  good = put(server, "good", GOOD)
  path = download.fetch(NAME, tmp_path, [down(), wrong, missing, good], SHA)
  assert download.content(path) == BODY
  assert server.requests == [
    f"/{m}/{NAME}" for m in ("wrong", "missing", "good")
  ]


@pytest.mark.parametrize(
  ("body", "length", "reason"),
  [
    (gzip.compress(b"other"), None, f"SHA-256 expected {SHA}, found"),
    (GOOD[:-20], None, "cut or damaged gzip"),
    (GOOD[:-20], len(GOOD), "IncompleteRead"),
  ],
  ids=["wrong hash", "cut gzip", "short body"],
)
def test_bad_download_leaves_nothing(server, tmp_path, body, length, reason):
  mirror = put(server, "a", body, length)
  with pytest.raises(DataError, match=re.escape(reason)):
    download.fetch(NAME, tmp_path, [mirror], SHA)
  assert list(tmp_path.iterdir()) == []


def test_all_mirrors_failing_are_all_listed(server, tmp_path):
  mirrors = [down(), f"{server.url}/none/"]
  with pytest.raises(DataError) as caught:
    download.fetch(NAME, tmp_path, mirrors, SHA)
  message = str(caught.value)
  for part in (
    *mirrors,
    "refused",
    "404",
    f"save it as {tmp_path / NAME}",
    SHA,
  ):
    assert part in message


@pytest.mark.parametrize("plain", [False, True])
def test_present_copy_needs_no_request(server, tmp_path, plain):
  path = tmp_path / (NAME.removesuffix(".gz") if plain else NAME)
  path.write_bytes(BODY if plain else GOOD)
  assert download.fetch(NAME, tmp_path, [server.url + "/"], SHA) == path
  assert server.requests == []


@pytest.mark.parametrize("plain", [False, True])
def test_present_wrong_copy_is_reported_and_kept(server, tmp_path, plain):
  path = tmp_path / (NAME.removesuffix(".gz") if plain else NAME)
  path.write_bytes(b"mine")
  found = hashlib.sha256(b"mine").hexdigest()
  with pytest.raises(DataError) as caught:
    download.fetch(NAME, tmp_path, [put(server, "a", GOOD)], SHA)
  for part in (str(path), SHA, found, "Move it away"):
    assert part in str(caught.value)
  assert path.read_bytes() == b"mine"
  assert server.requests == []


def test_prepare_digits_is_rerunnable_and_fails_loudly(
  server, tmp_path, monkeypatch, capsys
):
  script = pathlib.Path(__file__).parents[1] / "data" / "prepare_digits.py"
  spec = importlib.util.spec_from_file_location("prepare_digits", script)
  prepare = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(prepare)
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))
  monkeypatch.setattr(download, "MNIST", {NAME: SHA})
  monkeypatch.setattr(download, "MNIST_MIRRORS", [put(server, "a", GOOD)])
  assert [prepare.main([]), prepare.main([])] == [0, 0]
  assert len(server.requests) == 1
  assert f"{NAME}: verified" in capsys.readouterr().out
  (tmp_path / "mnist" / NAME).write_bytes(b"mine")
  assert prepare.main([]) == 1
  assert "wrong content" in capsys.readouterr().err
