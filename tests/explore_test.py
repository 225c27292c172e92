"""What the explorer answers, without a browser."""

import dataclasses
import io
import socket
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image

from cvae_jax import config as configs, runs
from cvae_jax.apps import handwriting
from cvae_jax.apps.explore import (
  comparison,
  history,
  opened as opening,
  photo,
  pictures,
  request,
)
from cvae_jax.data import DataError
from cvae_jax.data.conditions import Conditions
from cvae_jax.data.conditions.classes import Class
from cvae_jax.data.conditions.number import Number
from cvae_jax.loop.folder.run_conditions import attribute_columns
from cvae_jax.runs import RunError
from cvae_jax.systems import cvae
from cvae_jax.types import Facts
from tests import small
from tests.old_exports_test import FOLDER, NAMES

DIGITS = "pretrained/digits"


@pytest.fixture(scope="module")
def digits():
  return opening.open_run(DIGITS)


def test_a_picture_is_what_the_python_api_draws(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=7)
  drawn = pictures.draw(digits, asked)
  run = digits.run
  wanted = run.sample({"class": 3, "ink": 0.5}, seed=7, count=request.COUNT)
  np.testing.assert_array_equal(drawn.images, wanted)


def test_a_latent_set_by_hand_is_decoded_at_that_value(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, moved={4: 1.5})
  z = digits.run.prior(request.COUNT, 0)
  z[:, 4] = 1.5
  wanted = digits.run.guided(z, digits.run.conditions.encode([3], 0.5))
  np.testing.assert_array_equal(pictures.draw(digits, asked).images, wanted)


def test_the_first_latents_are_those_that_move_the_picture_most(digits):
  run = digits.run
  z = run.prior(16, 1)
  condition = run.conditions.encode([5], 0.5)

  def change(latent):
    other = z.copy()
    other[:, latent] += 1
    return np.abs(
      run.decode(other, condition) - run.decode(z, condition)
    ).mean()

  least = np.argsort(digits.effects)[: opening.SLIDERS]
  assert min(map(change, digits.latents)) > 2 * max(map(change, least))


def test_a_link_restores_a_request(digits):
  asked = request.Request({"class": "8", "ink": 0.25}, 12, 4, {3: -1.5}, 1.0)
  link = parse_qsl(asked.to_query("digits"), keep_blank_values=True)
  assert request.from_query(digits, link) == asked


@pytest.mark.parametrize(
  ("query", "error", "words"),
  [
    ("set=colour=red", RunError, "no condition 'colour'; there is class, ink"),
    ("set=class=12", DataError, "class has no level '12'"),
    ("set=ink=7", DataError, "ink is from -1 to 1; found 7"),
    ("set=ink=", RunError, "needs a value"),
    ("seed=-1", RunError, "seed is from 0"),
    ("seed=x", RunError, "seed is from 0"),
    ("pick=9", RunError, "pick is from 0 to 8"),
    ("z=40:1", RunError, "latents are from 0 to 39"),
    ("z=1:nan", RunError, "finite"),
    ("z=a", RunError, "latent:value"),
    ("guidance=2", RunError, "guidance is 2, and .* takes none"),
  ],
)
def test_a_wrong_link_is_an_error_that_says_what_there_is(
  digits, query, error, words
):
  with pytest.raises(error, match=words):
    request.from_query(digits, parse_qsl(query, keep_blank_values=True))


def test_a_plane_has_the_values_of_its_axes(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=2, pick=5)
  across, up = digits.latents[:2]
  sheet = pictures.plane(digits, asked, across, up, 5)
  moved = {across: sheet.columns[4], up: sheet.rows[0]}
  assert sheet.rows[0] > sheet.rows[-1]  # upwards
  one = request.Request({"class": "3", "ink": 0.5}, 2, 5, moved)
  np.testing.assert_allclose(
    sheet.images[0, 4], pictures.draw(digits, one).images[5], atol=1e-6
  )


def test_a_grid_has_every_pair_of_two_conditions(digits):
  asked = request.Request({"class": "3", "ink": 0.5}, seed=2, pick=1)
  sheet = pictures.grid(digits, asked, "ink", "class")
  assert sheet.images.shape == (5, 10, 28, 28, 1)
  assert sheet.columns[7] == "class 7"
  one = request.Request({"class": "7", "ink": 1.0}, 2, 1)
  np.testing.assert_allclose(
    sheet.images[4, 7], pictures.draw(digits, one).images[1], atol=1e-6
  )


def test_a_run_that_draws_nothing_is_refused():
  class System:
    decode = None
    predict = abs

  class Run:
    folder = "runs/judge"
    system = System

    class config:
      system = "attribute"

  with pytest.raises(RunError, match="draws no images"):
    opening.from_run(Run, "judge")


KINDS = {
  "shape": ("class", ["circle", "square", "star"]),
  "glossy": ("binary", ["no", "yes"]),
  "size": ("ordinal", ["small", "medium", "large"]),
  "light": ("number", [0.5, 2.0, 7.5]),
  "dose": ("log", [0.1, 20.0, 500.0]),
  "turn": ("angle", [0, 90, 200]),
  "tags": ("multilabel", ["beach", "night;beach", ""]),
}


def all_kinds(known_bits=True):
  """Make an untrained run that is conditioned on an attribute of each kind."""
  entries = [{"name": n, "kind": kind} for n, (kind, _) in KINDS.items()]
  entries[2]["levels"] = KINDS["size"][1]
  table = {n: [*values, *values] for n, (_, values) in KINDS.items()}
  table["glossy"] = ["no", "yes", "no", "no", "yes", "no"]
  conditions = Conditions.fit(entries, table, known_bits)
  config = configs.load("configs/images.py:smoke", {"model.latents": 3})
  with config.unlocked():  # else an attribute without gaps is never unknown
    config.data.condition_dropout = 0.1 * known_bits
  shapes = {"image": (16, 16, 3), "condition": (conditions.size,)}
  system = cvae.make(config, Facts(shapes, 60, attribute_columns(conditions)))
  state = small.drawn(system)
  return runs.Run(Path("runs/kinds"), config, conditions, system, state)


@pytest.mark.parametrize("known_bits", [False, True])
def test_each_kind_of_condition_comes_back_from_its_link(known_bits):
  opened = opening.from_run(all_kinds(known_bits), "kinds")
  values = {
    **{"shape": "star", "glossy": "yes", "size": "large"},
    **{"light": 0.75, "dose": 20.0, "turn": 45.0, "tags": "beach;night"},
  }
  asked = request.Request(values, seed=4)
  link = parse_qsl(asked.to_query("kinds"), keep_blank_values=True)
  assert request.from_query(opened, link) == asked
  bare = request.Request(values | {"tags": ""})
  link = parse_qsl(bare.to_query("kinds"), keep_blank_values=True)
  found = request.from_query(opened, link).values
  encode = opened.run.conditions.encode
  np.testing.assert_array_equal(encode(found), encode(bare.values))
  wanted = opened.run.sample(values, seed=4, count=request.COUNT)
  np.testing.assert_array_equal(pictures.draw(opened, asked).images, wanted)


def test_an_unknown_condition_is_one_only_where_the_model_knows_of_such():
  opened = opening.from_run(all_kinds(), "kinds")
  first = request.first(opened)
  asked = request.Request(first.values | {"light": None})
  link = parse_qsl(asked.to_query("kinds"), keep_blank_values=True)
  assert request.from_query(opened, link) == asked
  known = opening.from_run(all_kinds(False), "kinds")
  with pytest.raises(RunError, match="needs a value"):
    request.from_query(known, link)


def test_a_condition_that_training_always_knew_has_no_unknown_control():
  pytest.importorskip("gradio", reason="the extra web is missing")
  from cvae_jax.apps.explore.panels import controls

  run = all_kinds()
  with run.config.unlocked():
    run.config.data.condition_dropout = 0.0
  where = run.conditions.asked.index("light")
  row = list(run.conditions.rows[0])
  row[where] = None
  rows = (*run.conditions.rows, tuple(row))
  conditions = dataclasses.replace(run.conditions, rows=rows)
  opened = opening.from_run(
    dataclasses.replace(run, conditions=conditions), "kinds"
  )
  made = controls.build(opened, request.first(opened).values)
  free = {c.attribute.name for c in made if c.unknown is not None}
  assert free == {"light"}
  assert opened.all_unknown is None
  with pytest.raises(RunError, match="shape needs a value"):
    request.from_query(opened, [("set", "shape=")])


@pytest.mark.parametrize(
  ("low", "high"), [(0, 1), (-1, 1), (0, 2 / 3), (1e-5, 3e-5), (-7e8, 3e9)]
)
def test_a_slider_of_any_range_has_a_hundred_steps_to_its_high_end(low, high):
  pytest.importorskip("gradio", reason="the extra web is missing")
  from cvae_jax.apps.explore.panels import controls

  size = Number("size", range=(low, high))
  (made,) = controls.add_controls([size], {"size": low}, [])
  last = made.value.minimum + 100 * made.value.step
  assert high - 1e-4 * (high - low) <= last <= high + 1e-12 * (high - low)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_opens_or_says_why_not(name, tmp_path):
  with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
    archive.extractall(tmp_path)
  if name in ("judge", "attributes"):
    with pytest.raises(RunError, match="draws no images"):
      opening.open_run(tmp_path)
    return
  opened = opening.open_run(tmp_path)
  if opened.colours:
    return
  asked = request.first(opened)
  drawn = pictures.draw(opened, asked)
  assert drawn.images.shape == (request.COUNT, *opened.shape)
  if opened.attributes:
    other = pictures.draws(opened, asked, opened.attributes[0].name)
    assert np.ptp(other.images, axis=1).max() > 0


def test_a_folder_that_is_no_run_is_an_error(tmp_path):
  with pytest.raises(RunError, match="not a run's folder"):
    opening.open_run(tmp_path)


@pytest.mark.parametrize(
  ("content", "words"),
  [
    (b"MZ not a picture", "no picture that can be read"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    (b"\xff" * (photo.BYTES + 1), "at most 10 MB"),
  ],
)
def test_an_upload_is_checked_for_size_and_kind(content, words):
  with pytest.raises(RunError, match=words):
    photo.decode(content)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
  buffer = io.BytesIO()
  Image.new("1", (7000, 7000)).save(buffer, "PNG")
  with pytest.raises(RunError, match="49 megapixels; at most 40"):
    photo.decode(buffer.getvalue())


def test_a_model_of_the_class_alone_writes_in_a_hand_too():
  run = runs.load("pretrained/scvae")
  image = (run.sample({"class": 4})[0] * 255).astype(np.uint8)
  _, written = handwriting.write(run, image, 4)
  own = run.edit(image[None], run.conditions.encode([4]), {"class": 9})
  np.testing.assert_allclose(np.clip(written[9], 0, 1), own[0], atol=1e-5)


def test_runs_of_one_name_have_a_number_on_the_page():
  assert opening.open_run(DIGITS, ("digits", "digits 2")).name == "digits 3"


def test_what_the_controls_are_set_to_is_what_they_say():
  gradio = pytest.importorskip("gradio", reason="the extra web is missing")
  from cvae_jax.apps.explore.panels import controls

  opened = opening.from_run(all_kinds(), "kinds")
  values = request.first(opened).values | {"light": 2.5, "tags": "night"}
  made = controls.build(opened, values)
  assert controls.read(made, controls.write(made, values)) == values
  unknown = dict.fromkeys(values)
  left = controls.write(made, values)  # a slider stays where it was
  given = [
    old if isinstance(new, dict) else new
    for old, new in zip(left, controls.write(made, unknown), strict=True)
  ]
  assert controls.read(made, given) == unknown
  many = Class("letter", tuple(map(str, range(controls.BUTTONS + 1))))
  (longer,) = controls.add_controls([many], {"letter": "3"}, ())
  assert isinstance(longer.value, gradio.Dropdown)


def test_a_digit_is_read_by_the_model_and_written_in_its_hand(digits):
  run = digits.run
  images_ = run.sample({"class": [0, 3, 5, 6, 7], "ink": 0.0}, seed=3)
  found = [
    photo.guess(digits, (image * 255).astype(np.uint8))["class"]
    for image in images_
  ]
  assert found == ["0", "3", "5", "6", "7"]


def test_a_walk_goes_from_one_reconstruction_to_the_other(digits):
  first, second = (
    (digits.run.sample({"class": k, "ink": 0.0})[0] * 255).astype(np.uint8)
    for k in (3, 8)
  )
  shows = [{"class": "3", "ink": 0.0}, {"class": "8", "ink": 0.0}]
  way = photo.walk(digits, (first, second), shows)
  for end, image, own in ((0, first, shows[0]), (-1, second, shows[1])):
    np.testing.assert_allclose(
      way[end], photo.edit(digits, image, own, own)[0], atol=1e-5
    )


def test_players_losses_have_curves_of_their_own():
  rows = [
    {"split": "epoch", "epoch": e, "critic/loss": 1.0, "generator/loss": 9.0}
    for e in (1, 2)
  ]
  rows.append({"split": "valid", "epoch": 1, "loss": 4.0})
  assert history.curves(rows) == {
    "loss": {"valid": [(1, 4.0)]},
    "critic/loss": {"epoch": [(1, 1.0), (2, 1.0)]},
    "generator/loss": {"epoch": [(1, 9.0), (2, 9.0)]},
  }


def test_curves_have_a_line_for_each_split(digits):
  rows = [
    {"split": "epoch", "epoch": 1, "step": 5, "model/loss": 3.0},
    {"split": "test", "epoch": 1, "step": 5, "loss": 2.0, "kl": 1.0},
    {"split": "train", "epoch": 0.5, "step": 2, "model/loss": 9.0},
  ]
  assert history.curves(rows) == {
    "loss": {"epoch": [(1, 3.0)], "test": [(1, 2.0)]},
    "kl": {"test": [(1, 1.0)]},
  }
  assert "<svg" in history.draw(history.curves(history.load_rows(digits)))


def test_runs_side_by_side_share_what_both_can_be_asked(digits):
  other = opening.open_run("pretrained/scvae")
  assert [a.name for a in comparison.common_attributes([digits, other])] == [
    "class"
  ]
  kinds = opening.from_run(all_kinds(), "kinds")
  assert comparison.common_attributes([digits, kinds]) == []


def test_settings_name_no_folder_of_the_machine(digits):
  assert '"path"' not in history.settings(digits)


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
  module, _ = small.command("explore")
  monkeypatch.setattr(module, "_EXPORT", SimpleNamespace(value=None))
  monkeypatch.setitem(sys.modules, "gradio", None)
  with pytest.raises(RunError, match=r'pip install "cvae_jax\[web\]"'):
    module.main([])


def test_export_writes_a_file_and_needs_no_gradio(monkeypatch, tmp_path):
  pytest.importorskip("onnx", reason="the extra export is not installed")
  module, _ = small.command("explore")
  out = tmp_path / "page.html"
  monkeypatch.setattr(module, "_EXPORT", SimpleNamespace(value=str(out)))
  monkeypatch.setattr(
    module, "_WORKDIR", SimpleNamespace(name="workdir", value=[DIGITS])
  )
  monkeypatch.setattr(module.command, "path", lambda flag: Path(flag.value))
  monkeypatch.setitem(sys.modules, "gradio", None)
  module.main([])
  assert "<canvas" in out.read_text()
  monkeypatch.setattr(module._WORKDIR, "value", [DIGITS] * 2)
  with pytest.raises(RunError, match="one run; found 2"):
    module.main([])


def test_a_port_that_is_taken_is_an_error(digits):
  pytest.importorskip("gradio", reason="the extra web is not installed")
  from cvae_jax.apps.explore import serve

  with socket.socket() as taken:
    taken.bind((serve.HOST, 0))
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(RunError, match=f"cannot listen at .*{port}.*--port"):
      serve.serve([digits], port)
