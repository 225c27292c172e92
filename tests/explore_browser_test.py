"""The explorer in a real browser: what a person does, and what comes of it."""

import base64
import importlib.util
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from cvae_jax.apps.explore import opened as opening, pictures, request
from cvae_jax.host import images
from tests import explore_test

# Not imported: the server's process does, for two seconds.
if not importlib.util.find_spec("gradio"):
  pytest.skip("the extra web is not installed", allow_module_level=True)
playwright = pytest.importorskip(
  "playwright.sync_api", reason="playwright is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
  CHROMIUM is None, reason="no chromium in the path"
)
LARGE = ".ex-picture .ex-large >> visible=true"


# In a process of its own: Gradio leaves sockets open behind it.
SLOW = 0.77  # the ink of a request that is overtaken by the next one
SERVER = """
import sys, time
from cvae_jax.apps.explore import opened, pictures, serve
from tests.explore_test import all_kinds
draw = pictures.draw
def draw_late(opened, request):
  if request.values.get("ink") == SLOW and request.pick == 0:
    time.sleep(1)
  return draw(opened, request)
pictures.draw = draw_late
runs = [opened.open_run(f"pretrained/{name}") for name in ("digits", "scvae")]
serve.serve([*runs, opened.from_run(all_kinds(), "kinds")], int(sys.argv[1]))
""".replace("SLOW", str(SLOW))


@pytest.fixture(scope="module")
def runs():
  kinds = opening.from_run(explore_test.all_kinds(), "kinds")
  names = ("digits", "scvae")
  return *(opening.open_run(f"pretrained/{name}") for name in names), kinds


@pytest.fixture(scope="module")
def address():
  """Serve the three runs for all tests of this file."""
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  found = f"http://127.0.0.1:{port}/"
  words = [sys.executable, "-c", SERVER, str(port)]
  with subprocess.Popen(words, cwd=ROOT) as server:
    until = time.monotonic() + 120
    while not answers(found):
      assert server.poll() is None
      assert time.monotonic() < until
      time.sleep(0.2)
    yield found
    server.terminate()


def answers(address):
  try:
    with urllib.request.urlopen(address, timeout=5):
      return True
  except OSError:
    return False


@pytest.fixture(scope="module")
def browser():
  with playwright.sync_playwright() as driver:
    found = driver.chromium.launch(
      executable_path=CHROMIUM, args=["--no-sandbox"]
    )
    yield found
    found.close()


@pytest.fixture
def page(browser, address):
  """Open the page; at the end nothing may have failed or left the machine."""
  found = browser.new_page(viewport={"width": 1280, "height": 900})
  wrong = []
  found.set_default_timeout(20_000)
  found.on(
    "console", lambda m: wrong.append(m.text) if m.type == "error" else 0
  )
  found.on("pageerror", lambda error: wrong.append(str(error)))
  found.on("request", lambda r: wrong.append(r.url) if outside(r.url) else 0)
  found.goto(address)
  found.wait_for_selector(LARGE)
  yield found
  found.close()
  assert wrong == []


def outside(url):
  return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def wait_for_picture(page, wanted, selector=LARGE):
  """Waits until the page shows a picture, which can come after its link."""
  ends = time.monotonic() + 20
  while not np.array_equal(pixels(page, selector), wanted):
    assert time.monotonic() < ends, "the picture did not come"
    page.wait_for_timeout(50)


def wait_for_map(page, opened, **draw):
  """Waits until the map is of a draw, with the first class and no ink."""
  asked = request.Request({"class": 3, "ink": 0}, **draw)
  steps = pictures.plane_steps(opened)
  sheet = pictures.plane(opened, asked, *opened.latents[:2], steps)
  wanted = images.grid(sheet.images, gap=0)[..., 0]
  wait_for_picture(page, wanted, ".ex-plane img >> visible=true")


def pixels(page, selector=LARGE):
  """Return the pixels [H, W] of a picture that the page shows."""
  source = page.locator(selector).first.get_attribute("src")
  content = base64.b64decode(source.partition(",")[2])
  return np.asarray(Image.open(io.BytesIO(content)))


def wait_for_query(page, part):
  page.wait_for_function("part => location.search.includes(part)", arg=part)


def drawn(runs, pick=0, seed=0, **asked):
  """Return what the Python API draws, uint8 [28, 28]."""
  found = runs[0].run.sample(asked, seed=seed, count=9)
  return images.to_bytes(found[pick])[..., 0]


def tab(page, name):
  page.get_by_role("tab", name=name).locator("visible=true").first.click()


def test_a_condition_moves_the_picture_as_the_python_api_says(page, runs):
  start = {"class": 3, "ink": 0}
  wait_for_picture(page, drawn(runs, **start))
  page.get_by_label("8", exact=True).first.check()
  wait_for_query(page, "set=class=8")
  wait_for_picture(page, drawn(runs, **start | {"class": 8}))
  page.get_by_role("button", name="New draw").first.click()
  wait_for_query(page, "seed=1")
  wanted = drawn(runs, seed=1, **start | {"class": 8})
  wait_for_picture(page, wanted)


def test_without_holding_each_move_takes_another_draw(page, runs):
  page.get_by_label("Hold the draw").first.uncheck()
  page.get_by_label("4", exact=True).first.check()
  wait_for_query(page, "seed=1")
  wanted = drawn(runs, seed=1, **{"class": 4, "ink": 0})
  wait_for_picture(page, wanted)
  latent = runs[0].latents[0]
  box = page.get_by_label(f"number input for latent {latent}").first
  z = runs[0].run.prior(9, 1)[0, latent]
  assert float(box.input_value()) == pytest.approx(z, abs=0.006)


def test_another_draw_becomes_the_picture_by_keyboard_alone(page, runs):
  first = page.get_by_label("3", exact=True).first
  first.focus()
  page.keyboard.press("Tab")
  page.keyboard.press("Space")
  wait_for_query(page, "set=class=4")
  slider = page.get_by_role("slider").first
  slider.focus()
  for _ in range(3):
    page.keyboard.press("ArrowRight")
  wait_for_query(page, "set=ink=0.06")
  wait_for_picture(page, drawn(runs, **{"class": 4, "ink": 0.06}))
  for _ in range(12):
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.dataset.pick") == "2":
      break
  page.keyboard.press("Enter")
  wait_for_query(page, "pick=2")
  wanted = drawn(runs, pick=2, **{"class": 4, "ink": 0.06})
  wait_for_picture(page, wanted)
  assert page.evaluate("document.activeElement.dataset.pick") == "2"


def test_an_answer_that_comes_late_does_not_undo_a_newer_one(page, runs):
  box = page.locator("input[type=number]").first
  box.fill(str(SLOW))
  box.press("Enter")
  page.wait_for_timeout(200)  # the explorer draws the picture, slowly
  page.locator("[data-pick='2']").locator("visible=true").first.click()
  wanted = drawn(runs, pick=2, **{"class": 3, "ink": SLOW})
  wait_for_picture(page, wanted)
  page.wait_for_timeout(1200)
  np.testing.assert_array_equal(pixels(page), wanted)


def test_a_late_answer_leaves_the_focus_on_the_draw_that_has_it(page):
  draws = page.locator("[data-pick]")
  draws.nth(2).focus()
  page.evaluate(
    """() => {
      const strip = document.activeElement.parentElement;
      strip.outerHTML = strip.outerHTML;
    }"""
  )
  page.wait_for_function("() => document.activeElement.dataset.pick === '2'")
  assert page.get_by_role("slider").first.is_visible()
  page.get_by_role("slider").first.focus()
  page.evaluate("document.activeElement.blur()")
  draws.nth(1).evaluate("b => { b.parentElement.append(b); }")
  page.wait_for_timeout(100)
  assert page.evaluate("document.activeElement === document.body")


def test_a_number_outside_its_range_becomes_the_nearest_one(page, runs):
  box = page.locator("input[type=number]").first
  box.fill("5")
  box.press("Enter")
  wait_for_query(page, "set=ink=1.0")
  wanted = drawn(runs, **{"class": 3, "ink": 1})
  wait_for_picture(page, wanted)


def test_a_link_restores_the_state_and_a_click_on_the_map_is_in_it(
  page, runs, address
):
  tab(page, "Map of two")
  page.wait_for_selector(".ex-plane")
  page.locator(".ex-plane").first.click(position={"x": 40, "y": 40})
  wait_for_query(page, "z=")
  link = page.evaluate("location.href")
  before = pixels(page)
  assert (before != drawn(runs, **{"class": 3, "ink": 0})).any()
  page.goto(link)
  page.wait_for_selector(LARGE)
  wait_for_picture(page, before)


def test_the_map_is_of_the_draw_beside_it(page, runs):
  tab(page, "Map of two")
  page.wait_for_selector(".ex-plane")
  for seed in (1, 2, 3):
    page.get_by_role("button", name="New draw").first.click()
    wait_for_query(page, f"seed={seed}")
    wait_for_map(page, runs[0], seed=seed)
  page.locator("[data-pick='2']").locator("visible=true").first.click()
  wait_for_query(page, "pick=2")
  wait_for_map(page, runs[0], seed=3, pick=2)


@pytest.mark.parametrize(
  ("link", "words"),
  [
    ("run=digits&set=class=77", "class has no level '77'"),
    ("set=colour=red", "no condition 'colour'"),
    ("run=faces", "run 'faces', which is not open here"),
  ],
)
def test_a_wrong_link_is_said_and_the_page_still_works(
  page, address, link, words
):
  page.goto(f"{address}?{link}")
  page.wait_for_selector(f"text={words} >> visible=true")
  page.wait_for_selector(LARGE)


def test_the_saved_request_makes_the_saved_picture(page, runs):
  saved = page.locator("a[download$='.json']").first.get_attribute("href")
  asked = json.loads(unquote(saved.partition(",")[2]))
  picture = page.locator("a[download$='.png']").first.get_attribute("href")
  content = base64.b64decode(picture.partition(",")[2])
  kept = Image.open(io.BytesIO(content))
  assert json.loads(kept.info["request"]) == asked
  found = runs[0].run.sample(
    asked["values"], seed=asked["seed"], count=asked["count"]
  )
  shown = images.to_bytes(found[asked["pick"]])[..., 0]
  scale = kept.height // 28
  np.testing.assert_array_equal(np.asarray(kept)[::scale, ::scale], shown)


def test_an_uploaded_photo_is_reconstructed_and_a_text_is_refused(
  page, runs, tmp_path
):
  digit = drawn(runs, **{"class": 5, "ink": 0.5})
  path = tmp_path / "five.png"
  Image.fromarray(255 - digit.repeat(6, 0).repeat(6, 1)).save(path)
  tab(page, "Your picture")
  place = page.get_by_label("Your picture", exact=True).first
  place.set_input_files(path)
  page.wait_for_selector(".ex-few .ex-cell")
  assert page.locator(".ex-few .ex-cell").locator("visible=true").count() == 3
  other = page.get_by_label("The other picture", exact=True).first
  other.set_input_files(path)
  page.wait_for_selector("text=the other >> visible=true")
  text = tmp_path / "notes.png"
  text.write_text("no picture")
  place.set_input_files(text)
  page.wait_for_selector("text=no picture that can be read")
  assert str(tmp_path) not in page.content()


def test_a_drawn_digit_is_read_and_ten_are_written(page):
  tab(page, "Handwriting")
  box = page.locator("canvas").first.bounding_box()
  page.mouse.move(box["x"] + 90, box["y"] + 60)
  page.mouse.down()
  page.mouse.move(box["x"] + 190, box["y"] + 60, steps=4)
  page.mouse.move(box["x"] + 120, box["y"] + 240, steps=6)
  page.mouse.up()
  page.wait_for_selector("text=Read as 7")
  cells = page.locator(".ex-cell").locator("visible=true")
  assert cells.count() == 11


def test_an_unknown_number_is_asked_for_as_unknown(page, runs, address):
  page.goto(address + "?run=kinds&set=shape=star&set=light=&seed=2")
  page.wait_for_selector("text=light unknown · dose")
  asked = explore_test.request.first(runs[2]).values
  asked = asked | {"shape": "star", "light": None}
  wanted = runs[2].run.sample(asked, seed=2, count=9)[0]
  wait_for_picture(page, images.to_bytes(wanted))
  slider = page.locator("[aria-label*='slider for light']")
  slider = slider.locator("visible=true").first
  playwright.expect(slider).to_be_disabled()
  page.get_by_label("light unknown").locator("visible=true").first.uncheck()
  wait_for_query(page, "set=light=4")
  playwright.expect(slider).to_be_enabled()


def test_runs_stand_side_by_side_with_one_seed(page, runs):
  tab(page, "Side by side")
  page.get_by_role("button", name="New draw").locator("visible=true").click()
  wanted = [
    opened.run.sample(explore_test.request.first(opened).values, 1, count=9)
    for opened in runs
  ]
  for row, samples in enumerate(wanted):
    shown = images.to_bytes(samples[0]).squeeze()  # a grey one has no channel
    wait_for_picture(page, shown, f".ex-run >> nth={row} >> img")


def test_a_telephone_shows_all_without_scrolling_sideways(page):
  names = ("Samples", "Grid", "Your picture", "Handwriting", "About the run")
  for name in names:
    page.set_viewport_size({"width": 1280, "height": 900})
    tab(page, name)
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(500)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, name
