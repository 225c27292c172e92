"""Edits of held-out images: what moves, and whether the person stays."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cvae_jax.data import Dataset
from cvae_jax.data.conditions import Conditions
from cvae_jax.measures import edits
from cvae_jax.runs import RunError

PEOPLE = 6
SMILE = Conditions.fit(
  [{"name": "smile", "kind": "binary"}], {"smile": [0, 1, 1]}
)
WHO = Conditions.fit(
  [{"name": "who", "kind": "class"}], {"who": [f"p{i}" for i in range(PEOPLE)]}
)


def faces():
  """Return images of PEOPLE people: pixel k says how like person k it is."""
  return np.eye(PEOPLE, dtype=np.float32).reshape(PEOPLE, 1, PEOPLE, 1)


def run_of(guided):
  return SimpleNamespace(
    folder=Path("runs/a"),
    config=SimpleNamespace(data=None),
    conditions=SMILE,
    system=SimpleNamespace(encode=True),
    guidance=1.0,
    temperature=1.0,
    encode=lambda image, _: SimpleNamespace(mean=image),
    guided=guided,
  )


def judge_of(conditions=WHO, system="judge"):
  return SimpleNamespace(
    folder=Path("runs/who"),
    conditions=conditions,
    config=SimpleNamespace(system=system, data={"image_shape": (1, PEOPLE, 1)}),
    predict=lambda image: np.exp(image[:, 0, :, 0]),
  )


@pytest.fixture
def known(monkeypatch):
  """Have PEOPLE held-out images, and a judge that reads what was asked."""
  condition = np.zeros((PEOPLE, 1), np.float32)
  test = {"image": faces(), "condition": condition}
  monkeypatch.setattr(
    edits, "load_data", lambda *_: Dataset(test, test, SMILE, "")
  )
  monkeypatch.setattr(
    edits, "Reader", lambda *_: lambda image, asked: {"smile": asked}
  )


def test_an_edit_that_leaves_the_person_alone_is_kept(known):
  found = edits.score(run_of(lambda z, *_: z), [1], judge_of())
  assert found["images"] == PEOPLE
  assert found["reconstruction"] == 1.0
  assert found["attributes"]["smile"]["kept"] == 1.0
  assert found["attributes"]["smile"]["read"]["hit_rate"] == 1.0
  assert found["attributes"]["smile"]["read"]["samples"] == 2 * PEOPLE


def test_an_edit_that_makes_one_face_of_all_might_be_anybody(known):
  # One of PEOPLE is still like itself, and the others are like that one.
  one = run_of(lambda z, *_: np.repeat(z[:1], len(z), axis=0))
  assert edits.score(one, [1], judge_of())["reconstruction"] == pytest.approx(
    (1 + 0.5 * (PEOPLE - 1)) / PEOPLE, abs=0.01
  )


def test_edits_of_many_sorted_images_are_of_all_people(monkeypatch):
  rows = np.repeat(np.arange(PEOPLE), 200)
  condition = np.zeros((len(rows), 1), np.float32)
  test = {"image": faces()[rows], "condition": condition}
  monkeypatch.setattr(
    edits, "load_data", lambda *_: Dataset(test, test, SMILE, "")
  )
  monkeypatch.setattr(edits, "Reader", lambda *_: lambda image, asked: {})
  seen = []

  def encode(image, _):
    seen.append(image)
    return SimpleNamespace(mean=image)

  run = run_of(lambda z, *_: z)
  run.encode = encode
  edits.score(run, [1], judge_of())
  of_each = np.bincount(seen[0][:, 0, :, 0].argmax(axis=1))
  assert of_each.sum() == edits.IMAGES
  np.testing.assert_allclose(of_each, edits.IMAGES / PEOPLE, atol=2)


def test_the_share_kept_is_that_of_all_pairs():
  rng = np.random.default_rng(0)
  place, edited = rng.standard_normal((2, 30, 4))
  place /= np.linalg.norm(place, axis=1, keepdims=True)
  wins = [
    place[i] @ edited[i] > place[i] @ place[j]
    for i in range(30)
    for j in range(30)
    if i != j
  ]
  assert edits.share_kept(place, edited) == pytest.approx(np.mean(wins))


@pytest.mark.parametrize(
  ("judges", "identity", "said"),
  [
    ([], judge_of(), "--judge=RUN"),
    ([1], judge_of(SMILE), "no judge of who is shown"),
    ([1], judge_of(WHO, "cvae"), "no judge of who is shown"),
  ],
)
def test_what_cannot_score_edits_is_refused_in_a_line(judges, identity, said):
  with pytest.raises(RunError, match=said):
    edits.check(run_of(None), judges, identity)
  unable = run_of(None)
  unable.system.encode = None
  with pytest.raises(RunError, match="cannot edit"):
    edits.check(unable, [1], judge_of())
