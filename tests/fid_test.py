"""FID and KID of runs, by features that are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax.data import Dataset
from cvae_jax.measures import fid
from cvae_jax.metrics import frechet, kid
from cvae_jax.runs import RunError
from cvae_jax.types import TrainState
from launch import run_flags
from tests import small

SIDE = 4


def split(seed, count=12):
  """Return grey images, each with its number as condition."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)
  return {"image": image, "condition": np.arange(count, dtype=float)[:, None]}


@pytest.fixture
def dataset():
  return Dataset(split(0), split(1), None)


@pytest.fixture
def features():
  """Return what reads eight pixels of an image, and counts images."""

  def embed(images):
    assert images.dtype == np.uint8
    assert images.shape[1:] == (SIDE, SIDE, 3)
    assert (images[..., :1] == images).all()
    embed.calls.append(len(images))
    return images[:, :2, :, 0].reshape(len(images), 8) / np.float32(255)

  embed.calls = []
  return fid.Features(embed, "6726825d and more")


@pytest.fixture
def run(tmp_path, dataset):
  """Return a run that draws the held-out image whose number it is asked for."""
  image = dataset.test["image"] / np.float32(255)
  return SimpleNamespace(
    folder=tmp_path,
    config=SimpleNamespace(system="gan", data=SimpleNamespace(name="arrays")),
    conditions=SimpleNamespace(attributes=()),
    state=TrainState(np.int32(3), {}, {}, {}),
    fitted=None,
    system=SimpleNamespace(
      decode=True,
      encode=None,
      predict=None,
      columns={"image": (SIDE, SIDE, 1)},
    ),
    prior=lambda count, seed, condition: np.zeros((count, 2)),
    guidance=1.0,
    temperature=1.0,
    guided=lambda z, condition, guidance: (
      image[condition[:, 0].astype(int)] * guidance
    ),
  )


def measured(dataset):
  """Return the distances of the training images from the held-out ones."""
  points = [
    s["image"][:, :2].reshape(-1, 8) / 255
    for s in (dataset.train, dataset.test)
  ]
  moments = (frechet.moments([x]) for x in points)
  return {"fid": frechet.distance(*moments), "kid": kid.distance(*points)}


def test_samples_that_are_the_held_out_images_have_no_distance(
  run, dataset, features
):
  found = fid.measure(run, features, 12, dataset=dataset)
  assert found["fid"] == pytest.approx(0, abs=1e-6)
  assert found["floor"] == pytest.approx(measured(dataset), rel=1e-4)
  assert found["floor"]["fid"] > 0.1
  assert found["protocol"] == {
    **{"step": 3, "state": found["protocol"]["state"]},
    **{"weights": features.sha256, "samples": 12, "images": 12},
    **{"split": "test", "seed": 0},
  }


def test_more_samples_than_images_have_each_condition_as_often(
  run, dataset, features
):
  found = fid.measure(run, features, 36, dataset=dataset)
  assert features.embed.calls == [12, 36, 12]
  points = dataset.test["image"][:, :2].reshape(-1, 8) / 255
  once, thrice = (
    frechet.moments([x]) for x in (points, np.tile(points, (3, 1)))
  )
  assert found["fid"] == pytest.approx(frechet.distance(once, thrice), rel=1e-3)
  assert (found["protocol"]["samples"], found["protocol"]["images"]) == (36, 12)


def test_training_images_are_the_measure_where_they_are_asked_for(
  run, dataset, features
):
  found = fid.measure(run, features, 12, "train", dataset=dataset)
  # The run draws held-out images, whatever it is asked for.
  assert found["fid"] == pytest.approx(measured(dataset)["fid"], rel=1e-4)
  assert found["floor"] is None
  fid.measure(run, features, 12, "test", dataset=dataset)
  kept = json.loads((run.folder / "measures.json").read_text())
  assert {*kept} == {"fid", "fid_train"}


def test_figures_are_measured_anew_for_other_weights_counts_and_seeds(
  run, dataset, features
):
  asked = (
    (features, 12, "test", 0),
    (features, 11, "test", 0),
    (features._replace(sha256="other"), 11, "test", 0),
    (features._replace(sha256="other"), 11, "test", 1),
  )
  for at, given in enumerate(asked, 1):
    for _ in range(2):  # the second time nothing is read
      fid.measure(run, *given, dataset=dataset)
      assert len(features.embed.calls) == 3 * at


def test_guidance_is_of_the_samples_and_has_figures_of_its_own(
  run, dataset, features
):
  plain = fid.measure(run, features, 12, dataset=dataset)
  run.guidance = 0.5  # darker
  found = fid.measure(run, features, 12, dataset=dataset)
  assert found["fid"] > plain["fid"] + 0.1
  assert found["floor"] == plain["floor"]
  assert any("guidance" in line for line in fid.lines(found))
  kept = json.loads((run.folder / "measures.json").read_text())
  assert {*kept} == {"fid", "fid_guidance:0.5"}


def test_what_cannot_be_measured_is_said(run, dataset, features):
  def refused(match, run=run, count=12, of=dataset):
    with pytest.raises(RunError, match=match):
      fid.measure(run, features, count, dataset=of)

  one = {name: column[:1] for name, column in dataset.test.items()}
  refused("found 1 images", of=dataset._replace(test=one))
  refused("found 0 images", of=dataset._replace(test=None))
  run.system.columns["image"] = (SIDE, SIDE, 4)
  refused(r"grey or RGB images \(here \(4, 4, 4\)\) that a run draws")
  run.system.decode = None
  refused("a run draws; this is a run of 'gan', which draws no images")


def test_few_images_and_other_weights_get_a_note(run, dataset, features):
  def notes(features):
    found = fid.measure(run, features, 12, dataset=dataset)
    lines = fid.lines(found)
    assert "(12 samples beside 12 test images)" in lines[0]
    return [line for line in lines if line.startswith("note")]

  (few,) = notes(features)
  assert "fewer than 2,048 images" in few
  few, other = notes(features._replace(sha256="0123456789"))
  assert "another file than pt_inception-2015-12-05" in other
  assert "01234567…" in other


def test_the_command_measures_a_run_that_only_draws(
  run, dataset, features, monkeypatch, capsys
):
  for name in ("prior", "guidance", "temperature"):
    setattr(run, f"with_{name}", lambda value: run)
  monkeypatch.setattr(run_flags, "load", lambda flag: run)
  monkeypatch.setattr(fid, "load", lambda path: features)
  monkeypatch.setattr(fid, "load_data", lambda *_: dataset)
  run.config.data = {}
  asked = {"inception": "weights.pth", "fid_images": 12}
  small.run_command("evaluate", **asked)
  said = capsys.readouterr().out
  assert said.startswith("FID    ")
  assert f"wrote {run.folder / 'measures.json'}" in said
  with pytest.raises(RunError, match="need Inception's weights: --inception"):
    small.run_command("evaluate", fid_images=12)
  with pytest.raises(RunError, match="encodes no images"):
    small.run_command("evaluate", **asked, representation=True)
