"""Data cannot be mistaken: what trained and was held out is known again."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cvae_jax import config, data as sources, runs, train
from cvae_jax.data import DataError, Dataset, Repeated
from cvae_jax.data.files import identity, prepared, prepared_digest
from cvae_jax.loop.folder.run_data import (
  DATA,
  Datasets,
  RunMismatch,
  check_data,
  keep_identity,
  load_data,
)
from cvae_jax.measures import judges, score
from tests import small

pytestmark = pytest.mark.usefixtures("shared_programs")
S = 8


def dataset(**changes):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
  columns = {"image": images, "label": np.arange(12, dtype=np.int32) % 3}
  held_out = {"image": images[:5] // 2, "label": columns["label"][:5]}
  return Dataset(columns | changes, held_out, None)


def changed(**changes):
  old = dataset().identity()
  return identity.differences(old, dataset(**changes).identity())


def test_equal_data_have_equal_identities():
  assert dataset().identity() == dataset().identity()
  assert changed() == []


@pytest.mark.parametrize(
  "change",
  {
    "mirrored": lambda x: x[:, :, ::-1],
    "pixels permuted": lambda x: x.reshape(12, 16)[:, ::-1].reshape(x.shape),
    "reordered": lambda x: x[::-1],
    "two exchanged": lambda x: x[[3, 1, 2, 0, *range(4, 12)]],
    "one bit": lambda x: x ^ np.eye(12, dtype=np.uint8)[5][:, None, None, None],
  }.items(),
  ids=lambda pair: pair[0],
)
def test_any_other_image_or_order_is_another_identity(change):
  image = change[1](dataset().train["image"])
  assert changed(image=image) == ["train image: other values or another order"]


_CHANGES = {
  "one bit of the last byte": lambda x: x[-1:].__ixor__(1),
  "the top bits of two words": lambda x: x[7:16:8].__ixor__(128),
  "two words exchanged": lambda x: x[:16].__setitem__(
    slice(None), np.roll(x[:16], 8)
  ),
  "two halves exchanged": lambda x: x.__setitem__(
    slice(None), np.roll(x, len(x) // 2)
  ),
  "inverted": lambda x: x.__ixor__(255),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_large_data_are_known_again_by_their_sums(monkeypatch, change):
  monkeypatch.setattr(identity, "_LARGE", 1)
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (3001, 28, 28, 1), dtype=np.uint8)  # 2.2 MiB
  old = dataset(image=image).identity()
  assert identity.differences(old, dataset(image=image.copy()).identity()) == []
  _CHANGES[change](image.reshape(-1))
  assert identity.differences(old, dataset(image=image).identity()) == [
    "train image: other values or another order"
  ]


def test_the_sums_of_large_data_are_those_of_their_words():
  values = np.random.default_rng(1).integers(0, 256, 1 << 21, dtype=np.uint8)
  weights = [int(w) for w in identity._weights()]
  assert len(set(weights)) == len(weights)
  words = [int(w) for w in values.view("<u8")[len(weights) :]]
  pairs = list(zip(words, weights, strict=True))
  expected = [
    sum(word * weight for word, weight in pairs) % 2**64,
    sum((word >> 32) * weight for word, weight in pairs) % 2**64,
  ]
  assert identity._sums(values)[1].tolist() == expected


def test_another_type_another_length_and_another_column_are_named():
  image = dataset().train["image"]
  assert changed(image=image / 255) == ["train image: type uint8 → float64"]
  assert changed(image=image[:9])[0].startswith("train image: shape [12, 4,")
  assert changed(mask=image) == ["train mask: new"]
  alone = dataset()._replace(test=None).identity()
  assert identity.differences(dataset().identity(), alone) == ["test: gone"]


def test_a_repeated_column_counts_its_entries():
  entries = np.arange(12, dtype=np.uint8).reshape(3, 4)
  one, other = (
    Dataset({"photo": Repeated(e, 2)}, None, None).identity()
    for e in (entries, entries[::-1])
  )
  assert one["train"]["photo"]["shape"] == [6, 4]
  assert one != other


def prepare(folder, n=20, seed=0):
  images = np.random.default_rng(seed).integers(0, 256, (n, S, S, 3), "u1")
  table = pd.DataFrame({"file": [f"{i}.png" for i in range(n)]})
  prepared.write(folder, iter(images), table, {"size": S})
  return images


def parts(folder):
  images = prepared.read(folder).images
  columns = ({"image": images[:15]}, {"image": images[15:]})
  return Dataset(*columns, None).identity()


def test_a_prepared_set_is_the_same_wherever_it_lies(tmp_path):
  prepare(tmp_path / "a")
  prepare(tmp_path / "b")
  prepare(tmp_path / "c", seed=1)
  (tmp_path / "b" / prepared.IMAGES).touch()  # as a copy has another time
  assert parts(tmp_path / "a") == parts(tmp_path / "b") != parts(tmp_path / "c")
  found = parts(tmp_path / "a")
  assert found["train"]["image"]["sha256"] != found["test"]["image"]["sha256"]


def exchange(path, change, keep_time):
  about = path.stat()
  np.save(path, change(np.load(path)))
  if keep_time:
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("keep_time", [False, True])
def test_inverted_images_of_a_prepared_set_are_refused(tmp_path, keep_time):
  prepare(tmp_path)
  exchange(tmp_path / prepared.IMAGES, lambda x: 255 - x, keep_time)
  with pytest.raises(DataError, match=r"images\.npy is not what was prepared"):
    prepared.read(tmp_path)


def test_images_of_another_type_are_refused(tmp_path):
  prepare(tmp_path)
  exchange(tmp_path / prepared.IMAGES, lambda x: x / 255, True)
  with pytest.raises(DataError, match=r"holds float64 .* expected uint8"):
    prepared.read(tmp_path)


def test_a_set_of_before_gets_its_digest_once_and_keeps_its_mark(tmp_path):
  prepare(tmp_path)
  expected = parts(tmp_path)
  mark = tmp_path / prepared.MARK
  info = prepared.read(tmp_path).info
  for key in ("images", "equal"):
    del info[key]
  text = str(pd.Series(info).to_json())
  mark.write_text(text)
  assert parts(tmp_path) == expected
  assert mark.read_text() == text


def test_whole_reading_finds_what_sampled_blocks_cannot(tmp_path, monkeypatch):
  prepare(tmp_path)
  path = tmp_path / prepared.IMAGES
  stamp = prepared_digest.stamp(path)
  exchange(path, lambda x: x[::-1], True)
  monkeypatch.setattr(prepared_digest, "stamp", lambda path: stamp)
  prepared_digest.digest(path)
  with pytest.raises(DataError, match="SHA-256 differs"):
    prepared_digest.digest(path, whole=True)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  """A finished small run; tests do not change it."""
  folder = tmp_path_factory.mktemp("run")
  train.train_and_evaluate(small.config(data), folder)
  return folder


def copied(data, folder, name, change):
  """Copy the small digits with one file's images changed."""
  folder.mkdir()
  for file in data.iterdir():
    content = file.read_bytes()
    if file.name.startswith(f"{name}-images"):
      images = np.frombuffer(content, np.uint8, offset=16)
      images = change(images.reshape(-1, 28, 28))
      content = content[:16] + images.tobytes()
    (folder / file.name).write_bytes(content)
  return folder


@pytest.mark.parametrize(
  ("name", "change"),
  [
    ("train", lambda x: x[:, :, ::-1]),
    ("train", lambda x: x.transpose(0, 2, 1)),
    ("t10k", lambda x: x[:, ::-1]),
  ],
  ids=["mirrored", "transposed", "test turned over"],
)
def test_a_run_does_not_go_on_with_other_digits_of_the_same_ink(
  run, data, tmp_path, name, change
):
  other = copied(data, tmp_path / "other", name, change)
  config = small.config(other, epochs=3)
  with pytest.raises(RunMismatch, match="have changed since this run began"):
    train.train_and_evaluate(config, run)
  with pytest.raises(RunMismatch, match="other values or another order"):
    load_data(run, config.data)


def test_moved_digits_are_the_same_data(run, data, tmp_path):
  moved = copied(data, tmp_path / "moved", "train", lambda x: x)
  load_data(run, small.config(moved).data)


def test_a_run_without_a_record_of_its_data_is_not_held_to_one(tmp_path):
  assert not (tmp_path / DATA).exists()
  check_data(tmp_path, dataset().identity())


def test_scoring_checks_the_data_of_the_run(run, data, tmp_path):
  loaded = runs.load(run)
  other = copied(data, tmp_path / "other", "t10k", lambda x: x[:, ::-1])
  loaded.config.data.path = str(other)
  with pytest.raises(RunMismatch, match="test image"):
    score.score(loaded, samples=0, per_class=10)


def test_data_that_moved_are_found_by_evaluate_s_flag(run, tmp_path):
  config = small.config(tmp_path / "gone")
  with pytest.raises(DataError, match=r"config\.json says .*evaluate --data="):
    load_data(run, config.data)


def test_runs_of_one_config_load_their_data_once_and_each_is_checked(
  run, data, tmp_path
):
  load = Datasets()
  config = small.config(data).data
  first = load(run, config)
  assert load(tmp_path, config) is first  # a run that has no data.json
  other = {"shape": [9], "dtype": "uint8", "sha256": "0"}
  (tmp_path / DATA).write_text(json.dumps({"train": {"other": other}}))
  with pytest.raises(RunMismatch, match="train other: gone"):
    load(tmp_path, config)


def test_a_judge_of_other_data_is_refused(run, data, tmp_path):
  other = copied(data, tmp_path / "other", "train", lambda x: x[:, ::-1])
  judge = SimpleNamespace(folder=run, config=small.config(other))
  with pytest.raises(RunMismatch, match="train image"):
    judges.load_training_data([judge])


def test_the_data_of_a_judge_need_not_be_there_where_the_run_has_the_same(
  run, data, tmp_path
):
  # As of an export, which names no place of its data.
  judge = SimpleNamespace(folder=run, config=small.config(tmp_path / "gone"))
  own = {"image": np.zeros((1, 28, 28, 1), np.uint8)}
  shutil.copy(run / DATA, tmp_path / DATA)
  scored = SimpleNamespace(folder=tmp_path)
  assert judges.load_training_data([judge], scored, own) == [own]
  other = copied(data, tmp_path / "other", "train", lambda x: x[:, ::-1])
  keep_identity(tmp_path, sources.load(small.config(other).data).identity())
  with pytest.raises(DataError, match="gone"):
    judges.load_training_data([judge], scored, own)


def test_the_error_for_an_export_s_data_names_the_flag_that_finds_them(
  tmp_path,
):
  settings = config.load("images").data
  (tmp_path / "model.safetensors").touch()
  with pytest.raises(DataError, match=r"is an export, .*evaluate --data=PATH$"):
    load_data(tmp_path, settings)  # and no other flag


def test_a_finished_run_without_a_record_of_its_data_gets_one(
  run, data, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(run, folder)
  said = (folder / DATA).read_text()
  (folder / DATA).unlink()
  train.train_and_evaluate(small.config(data), folder)
  assert (folder / DATA).read_text() == said
