"""A page in a real browser: what the tests of pages share."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_jax import config as configs, runs
from cvae_jax.apps.page import write
from cvae_jax.data.conditions import Conditions
from cvae_jax.host.images import to_bytes
from cvae_jax.types import Facts
from tests import conditions_test as kinds, small, small_zoo

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("onnx")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
if not CHROMIUM:
  pytest.skip("no Chromium here", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
  with playwright.sync_playwright() as started:
    # Without --no-sandbox it does not start as root, as in containers.
    found = started.chromium.launch(
      executable_path=CHROMIUM, args=["--no-sandbox"]
    )
    yield found
    found.close()


@pytest.fixture(scope="module")
def digits():
  return runs.load("pretrained/digits")


@pytest.fixture(scope="module")
def file(digits, tmp_path_factory):
  path = tmp_path_factory.mktemp("page") / "digits.html"
  write.write(digits, path)
  return path


@pytest.fixture(scope="module")
def page(browser, file):
  return opened(browser, file)


@pytest.fixture(scope="module")
def every():
  """A run with an attribute of each kind, whose values may be unknown."""
  return made(Conditions.fit(kinds.ENTRIES, kinds.TABLE, known_bits=True))


@pytest.fixture(scope="module")
def every_file(every, tmp_path_factory):
  path = tmp_path_factory.mktemp("page") / "every.html"
  write.write(every, path)
  return path


@pytest.fixture(scope="module")
def every_page(browser, every_file):
  return opened(browser, every_file)


def made(conditions, folder="everything", channels=3):
  """Return a run of small networks with any conditions, its weights drawn."""
  config = configs.load("zoo:scvae", small_zoo.widths("scvae"))
  with config.unlocked():  # else an attribute without gaps is never unknown
    config.data.condition_dropout = 0.1 * conditions.known_bits
  facts = Facts({"image": (12, 10, channels), "condition": (conditions.size,)})
  system = configs.resolve(config, facts)
  state = small.drawn(system)
  return runs.Run(Path(folder), config, conditions, system, state)


def opened(browser, path, width=1000, height=800, link=""):
  """Open a file; `said` has its console and each request to elsewhere."""
  page = browser.new_page(viewport={"width": width, "height": height})
  page.said = []
  page.on("console", lambda message: page.said.append(message.text))
  page.on("pageerror", lambda error: page.said.append(str(error)))
  page.on("request", lambda request: page.said.append(request.url))
  page.goto(path.as_uri() + link)
  page.wait_for_function("() => window.cvae")
  page.said = [x for x in page.said if not x.startswith(("file:", "data:"))]
  return page


def pixels(page):
  """Return the canvas once all is drawn, [H, W, 3]."""
  page.wait_for_function(
    "() => document.getElementById('picture').ariaBusy === 'false'"
  )
  url = page.evaluate("document.getElementById('picture').toDataURL()")
  content = base64.b64decode(url.partition(",")[2])
  return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def drawn(run, draw, request, guidance=1.0):
  """Return the API's picture of a draw, [H, W, 3]."""
  z = run.prior(200)[[draw]]
  condition = run.conditions.encode(request)
  picture = to_bytes(run.guided(z, condition, guidance))[0].astype(int)
  return np.broadcast_to(picture, (*picture.shape[:2], 3))


def assert_close(found, expected):
  assert found.shape == expected.shape
  assert np.abs(found - expected).max() <= 2
  assert np.ptp(expected) > 5  # it is no empty picture
