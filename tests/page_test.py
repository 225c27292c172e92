"""A page in a real browser, from a file: it shows what the run says."""

import numpy as np
import pytest
from PIL import Image

from cvae_jax.host.images import to_bytes
from tests.page_browser import (  # fixtures, too
  assert_close as assert_close,
  browser as browser,
  digits as digits,
  drawn as drawn,
  every as every,
  every_file as every_file,
  file as file,
  opened as opened,
  page as page,
  pixels as pixels,
)


@pytest.mark.parametrize("label", [0, 3, 8])
def test_a_moved_control_shows_what_the_run_says(page, digits, label):
  before = pixels(page)
  page.get_by_role("radio", name=str(label + 1)).check(force=True)
  page.get_by_role("slider", name="ink").focus()
  page.keyboard.press("End")
  page.keyboard.press("ArrowLeft")
  state = page.evaluate("({...cvae.state})")
  assert state["conditions"] == {"class": str(label + 1), "ink": 0.98}
  expected = drawn(digits, state["draw"], state["conditions"])
  assert_close(pixels(page), expected)
  assert np.abs(pixels(page) - before).max() > 20


def test_the_picture_of_any_latents_is_the_runs(page, digits):
  z = np.random.default_rng(5).standard_normal((1, 40)).astype(np.float32)
  page.evaluate(
    "(z) => cvae.set({z, conditions: {class: '4', ink: -0.5}})", z[0].tolist()
  )
  condition = digits.conditions.encode({"class": "4", "ink": -0.5})
  expected = to_bytes(digits.guided(z, condition))[0].astype(int)
  assert_close(pixels(page)[..., :1], expected)
  page.evaluate("cvae.set({latents: {}})")


def test_a_new_draw_is_the_next_one_and_a_held_one_stays(page, digits):
  page.evaluate("cvae.set({draw: 7, conditions: {class: '2', ink: 0}})")
  page.get_by_role("button", name="New draw").click()
  assert_close(pixels(page), drawn(digits, 8, {"class": "2", "ink": 0}))
  page.get_by_label("Hold the draw").uncheck()
  page.get_by_role("radio", name="6").check(force=True)
  page.get_by_label("Hold the draw").check()
  assert_close(pixels(page), drawn(digits, 9, {"class": "6", "ink": 0}))


def test_a_grid_has_a_setting_a_column_and_a_draw_a_row(page, digits):
  page.evaluate("cvae.set({draw: 2, conditions: {ink: 0.5}})")
  page.get_by_label("Show").select_option("class")
  page.wait_for_selector("#picture[data-rows='5']")
  found = pixels(page)
  scale = 3
  gap = 4
  head = 30
  for row, column in ((0, 0), (2, 3), (4, 9)):
    y = head + row * (28 * scale + gap)
    x = column * (28 * scale + gap)
    cell = found[y : y + 28 * scale : scale, x : x + 28 * scale : scale]
    request = {"class": str(column), "ink": 0.5}
    assert_close(cell, drawn(digits, 2 + row, request))
  # A click on a cell shows it alone.
  box = page.locator("#picture").bounding_box()
  page.mouse.click(box["x"] + 0.35 * box["width"], box["y"] + box["height"] / 2)
  request = {"class": "3", "ink": 0.5}
  assert_close(pixels(page), drawn(digits, 4, request))


def test_a_saved_picture_has_the_pixels_that_are_shown(page, tmp_path):
  page.evaluate("cvae.set({draw: 1, conditions: {class: '5', ink: 0}})")
  shown = pixels(page)
  with page.expect_download() as caught:
    page.get_by_role("button", name="Save PNG").click()
  assert caught.value.suggested_filename == (
    "pretrained-digits_class-5_ink-0_draw-1.png"
  )
  caught.value.save_as(tmp_path / "saved.png")
  saved = np.asarray(Image.open(tmp_path / "saved.png").convert("RGB"))
  assert saved.shape == (280, 280, 3)
  np.testing.assert_array_equal(saved[::10, ::10], shown)


def test_a_link_restores_the_picture_and_a_wrong_one_is_said(
  page, browser, file
):
  request = "{draw: 3, latents: {4: 1.5}, conditions: {class: '9', ink: 0.5}}"
  page.evaluate(f"cvae.set({request})")
  again = opened(browser, file, link=page.evaluate("location.hash"))
  np.testing.assert_array_equal(pixels(again), pixels(page))
  assert again.evaluate("cvae.state") == page.evaluate("cvae.state")
  for wrong in (
    *('c.class="12"', 'c.colour="red"', "draw=900", "c.ink=x"),
    "guidance=3",  # the model was trained with every value known
  ):
    again.goto(f"{file.as_uri()}#{wrong}")
    again.wait_for_selector("#status.wrong")
    assert "does not have" in again.inner_text("#status")
  again.close()


def test_a_link_shows_the_same_whatever_the_page_showed_before(
  browser, every_file
):
  moved = """{draw: 5, grid: 'shape', guidance: 2.5, latents: {1: 2},
    conditions: {shape: 'square', smiling: 'yes', tags: ['beach']}}"""
  page = opened(browser, every_file)
  begun = page.evaluate("structuredClone(cvae.state)")
  plain = page.evaluate("location.hash")
  page.evaluate(f"cvae.set({moved})")
  full = page.evaluate("location.hash")
  for link in (plain, "#draw=3", "#c.angle=90", "", full, plain):
    new = opened(browser, every_file, link=link)
    page.evaluate(
      """(link) => new Promise((done) => {
        addEventListener("hashchange", done, {once: true});
        location.hash = link;
      })""",
      link,
    )
    for each in (new, page):
      each.wait_for_function(
        "() => !cvae.state.grid || picture.dataset.rows === '5'"
      )
    state = page.evaluate("cvae.state")
    assert state == new.evaluate("cvae.state")
    np.testing.assert_array_equal(pixels(page), pixels(new))
    if link in (plain, ""):
      assert state == begun
    new.close()
  page.close()
