"""Attribute editing, and the faces' figures."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from benchmarks.faults import launching
from cvae_jax import figures, runs, train
from cvae_jax.apps import editing, own_picture
from cvae_jax.data import DataError
from cvae_jax.data.faces import Conditions
from cvae_jax.data.files import synthetic_faces
from cvae_jax.figures import (
  digits as digit_figures,
  faces as face_figures,
)
from cvae_jax.loop.run import walks
from cvae_jax.method import gaussian
from tests import small

pytestmark = pytest.mark.usefixtures("plain_convolutions")
OWN = {"male": 1.0, "hair_color": 0.9, "mouth": 0.0, "eyes": 1.0}


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("edit") / "faces"
  train.train_and_evaluate(small.config(data, "faces"), folder)
  return runs.load(folder)


@pytest.fixture(scope="module")
def photo():
  return synthetic_faces.make(3, 24)[0][2]


def test_edit_encodes_with_the_own_condition_and_decodes_with_the_changed(
  run, photo
):
  own = run.conditions.encode(OWN)
  changed = run.conditions.encode(OWN | {"mouth": 1.0})
  mean = run.encode(photo[None], own).mean
  expected = run.decode(mean, changed).clip(0.0, 1.0)
  found = run.edit(photo[None], own, changed)
  np.testing.assert_array_equal(found, expected)
  assert not np.array_equal(found, run.decode(mean, own))
  assert not np.array_equal(mean, run.encode(photo[None], changed).mean)


def shown(run, **values):
  return run.conditions.encode(OWN | values)


def test_changes_come_after_the_reconstruction(run, photo):
  changes = [shown(run, male=0.0), shown(run, mouth=1.0)]
  found = editing.edit(run, photo, shown(run), changes)
  for picture, changed in zip(found, [shown(run), *changes], strict=True):
    expected = run.edit(photo[None], shown(run), changed)[0]
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_a_level_is_the_own_condition_with_one_value_in_its_range(run):
  found = editing.levels(run, shown(run), "mouth")
  expected = [shown(run, mouth=x) for x in np.linspace(0, 1, 9)]
  np.testing.assert_allclose(found, expected, atol=1e-7)
  both = editing.levels(run, shown(run), "gender")
  np.testing.assert_array_equal(both, [shown(run), shown(run, male=0.0)])
  with pytest.raises(DataError, match="no attribute 'smile'; gender is male"):
    editing.levels(run, shown(run), "smile")


def test_a_walk_moves_latents_and_conditions_from_end_to_end(run, photo):
  images = np.stack([photo, 255 - photo])
  ends = np.concatenate([shown(run), shown(run, male=0.0, mouth=1.0)])
  walked = editing.walk(run, images, ends, 5)
  mean = run.encode(images, ends).mean
  for at, z, condition in (
    (0, mean[0], ends[0]),
    (2, mean.mean(0), ends.mean(0)),
    (4, mean[1], ends[1]),
  ):
    expected = run.decode(z[None], condition)[0].clip(0, 1)
    np.testing.assert_allclose(walked[at], expected, atol=1e-5)


def known_run(names, quantiles):
  """Make a run whose images are its conditions, each a grey of its own."""
  conditions = Conditions(names, ((0.0, 1.0),) * len(names), quantiles)

  def decode(z, condition):
    return np.tile(condition[:, :, None, None], (1, 1, 1, 3))

  zeros = np.zeros((100, 2), np.float32)
  return SimpleNamespace(
    folder="known",
    conditions=conditions,
    condition_size=len(names),
    reads_condition=True,
    config=SimpleNamespace(system="known"),
    system=SimpleNamespace(
      columns={"image": (1, 1, 3), "condition": (len(names),)},
      latents=2,
      posterior=None,
      nats=lambda x, y: 100 * jnp.sum((x - y) ** 2, axis=(1, 2, 3)),
    ),
    encode=lambda x, c: gaussian.Gaussian(zeros[: len(c)], zeros[: len(c)]),
    decode=decode,
    outputs=decode,
    kl=lambda q, z: np.zeros(len(z), np.float32),
  )


@pytest.mark.parametrize("male", [0.0, 1.0])
@pytest.mark.parametrize("mouth", [0.0, 0.4, 1.0])
def test_the_elbo_finds_the_condition_that_explains_a_photo(male, mouth):
  names = ("male", "female", "mouth")
  run = known_run(names, ((0, 0, 1), (0, 1, 1), (0, 0.4, 1)))
  shown = run.conditions.encode(male=male, mouth=mouth)
  reading = editing.find(run, run.decode(None, shown)[0])
  gender = "male" if male else "female"
  assert reading.values == {"gender": gender, "mouth": mouth}
  assert "0.0 nats, best of 6" in reading.notes[0]
  # Two greys, male and female, are wrong by 1 in 3 channels each: 600 nats.
  assert reading.notes[1] == f"  gender {gender}, ahead by 600.0"


def test_a_value_that_explains_hardly_better_is_called_a_guess():
  run = known_run(("mouth",), ((0.0, 0.04, 0.05),))
  photo = run.decode(None, run.conditions.encode(mouth=0.05))[0]
  assert editing.find(run, photo).notes[1].endswith("(a guess)")


def test_what_the_elbo_cannot_find_is_said():
  many = known_run(tuple("abcdefg"), ((0, 0.5, 1),) * 7)
  with pytest.raises(runs.RunError, match="2187 settings of 7 attributes"):
    editing.find(many, np.zeros((7, 1, 3), np.uint8))
  one = known_run(("mouth",), ((0, 0.5, 1),))
  one.system.nats = None
  with pytest.raises(runs.RunError, match="has no likelihood"):
    editing.find(one, np.zeros((1, 1, 3), np.uint8))


def test_the_command_draws_a_turned_photo_its_edits_sweeps_and_walk(
  run, tmp_path
):
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg", exif=exif)
  Image.new("LA", (90, 90)).save(tmp_path / "b.png")
  words = [f"--workdir={run.folder}", f"--image={tmp_path / 'a.jpg'}"]
  words += ["--set=mouth=1", "--set=male=0,hair_color=0.2"]
  words += ["--sweep=mouth,eyes", f"--towards={tmp_path / 'b.png'}"]
  done = launching.within("launch.edit", *words)
  assert done.code == 0, done.text
  assert "nats, best of" in done.text
  cell = (24 + 2) * 4  # enlarged to be recognised
  for name, columns, rows in (
    ("a", 4, 1),
    ("a_sweeps", 9, 2),
    ("a_towards", 9, 1),
  ):
    with Image.open(run.folder / "edits" / f"{name}.png") as picture:
      assert picture.width >= columns * cell - 8
      assert picture.height >= rows * cell - 8


def test_a_photo_is_squashed_or_padded_if_so_asked(run, tmp_path):
  photo = np.full((600, 1200, 3), 200, np.uint8)
  photo[:, 900:] = 50
  photo[:, :300:2] = 0  # lines that bilinear resizing would skip or keep
  path = tmp_path / "wide.png"
  Image.fromarray(photo).save(path)
  middle = own_picture.read(run, path)
  squashed = own_picture.read(run, path, how="squash").astype(int)
  padded = own_picture.read(run, path, how="pad").astype(int)
  side = len(middle)
  assert middle.min() == 200
  assert (abs(squashed[:, : side // 4 - 1] - 100) <= 1).all()
  assert (squashed[:, -side // 4 + 1 :] == 50).all()
  assert (padded[: side // 4 - 1] == 0).all()
  lit = padded[side // 4 + 1 : -side // 4 - 1]
  assert (abs(lit[:, : side // 4 - 1] - 100) <= 1).all()
  assert (lit[:, -side // 4 + 1 :] == 50).all()
  with pytest.raises(runs.RunError, match="give one of them"):
    own_picture.read(run, path, crop=2, how="pad")


def test_digits_are_found_and_not_fitted(tmp_path):
  digits = SimpleNamespace(
    config=SimpleNamespace(data=SimpleNamespace(name="digits"))
  )
  with pytest.raises(
    runs.RunError, match="--fit=pad is not for runs on digits"
  ):
    own_picture.read(digits, tmp_path / "a.png", how="pad")


def test_figures_have_captions_for_what_they_show(run):
  drawn = figures.draw(run)
  captions = figures.captions(run)
  assert drawn["settings"].shape[:2] == (6, 9)
  assert drawn["info_change"].shape[:2] == (7, 15)
  assert drawn["sweeps"].shape[:2] == (4, 9)
  for name, (rows, columns) in captions.items():
    assert len(rows) in (0, drawn[name].shape[0]), name
    assert len(columns) in (0, drawn[name].shape[1]), name


def test_info_change_holds_each_latent_over_the_seven_settings(run):
  sheet = face_figures.info_change(run, seed=3, latents=2)
  z = run.prior(2, 3)
  condition = run.conditions.encode(male=0, hair_color=1, mouth=0, eyes=0.5)
  expected = run.decode(z[1:], condition)[0].clip(0, 1)
  np.testing.assert_allclose(sheet[5, 1], expected, atol=1e-6)


def test_a_run_with_other_conditions_is_drawn_without_the_source_s(run):
  other = Conditions(
    ("a", "b", "c", "d", "e"), ((0.0, 1.0),) * 5, ((0.0, 0.5, 1.0),) * 5
  )
  drawn = figures.draw(runs.dataclasses.replace(run, conditions=other))
  assert set(drawn) == {"sweeps", "prior", "interpolation"}


def test_an_arc_keeps_the_distance_from_the_origin_and_a_line_is_straight():
  a = np.array([3.0, 0, 0])
  b = np.array([0, 3.0, 0])
  arc = walks.arc(a, b, 5)
  line = walks.line(a, b, 5)
  np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 3.0)
  np.testing.assert_allclose(arc[[0, -1]], [a, b], atol=1e-12)
  np.testing.assert_allclose(line[1:] - line[:-1], [(b - a) / 4] * 4)
  np.testing.assert_allclose(walks.arc(a, a, 3), [a, a, a])
  np.testing.assert_allclose(walks.arc(a, -2 * a, 3), walks.line(a, -2 * a, 3))
  np.testing.assert_array_equal(walks.arc(0 * a, 0 * a, 3), np.zeros((3, 3)))


@pytest.mark.parametrize("latents", [1, 2, 3, 40])
def test_an_arc_goes_evenly_from_one_radius_to_the_other(latents):
  draws = np.random.default_rng(0).standard_normal((500, 2, latents))
  for a, b in draws:
    walk = walks.arc(a, b, 5)
    np.testing.assert_allclose(walk[[0, -1]], [a, b], atol=1e-5)
    radius = np.linalg.norm(walk, axis=1)
    even = np.linspace(*np.linalg.norm([a, b], axis=1), 5)
    if latents == 1:  # there is no arc in a line
      assert (radius <= even.max() + 1e-6).all()
      continue
    np.testing.assert_allclose(radius, even, rtol=1e-4)
    share = walk @ a / radius / np.linalg.norm(a)
    turned = np.arccos(np.clip(share, -1, 1))
    np.testing.assert_allclose(
      turned, np.linspace(0, 1, 5) * turned[-1], atol=1e-6
    )


def test_digits_have_captions_for_their_rows_and_columns():
  stub = SimpleNamespace(
    conditions=SimpleNamespace(classes=10, ink="class"),
  )
  rows, columns = digit_figures.captions(stub)["styles"]
  assert (len(rows), len(columns)) == (12, 10)
