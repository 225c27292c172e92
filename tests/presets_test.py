"""One preparation: presets differ in defaults and rows, and in nothing else."""

import hashlib
import json
import runpy
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cvae_jax.data.files import prepared

ROOT = Path(__file__).parents[1]
MAIN = {
  name: runpy.run_path(str(ROOT / "data" / f"prepare_{name}.py"))["main"]
  for name in ("images", "faces", "photos")
}


def draw(folder, count=24, side=12):
  """Write PPM files, whose bytes no library decides, and a table."""
  rng = np.random.default_rng(0)
  names = [f"{'ab'[i % 2]}/{i:02d}.ppm" for i in range(count)]
  for i, name in enumerate(names):
    pixels = rng.integers(0, 256, (side, side + 4 * (i % 3), 3), np.uint8)
    if i == 5:
      pixels[:] = pixels[..., :1]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"P6 {pixels.shape[1]} {side} 255\n".encode()
    path.write_bytes(head + pixels.tobytes())
  table = pd.DataFrame({"file": names})
  table["male"] = np.arange(count) % 2
  table["eyes"] = np.arange(count) / count
  table.to_csv(folder / "table.csv", index=False)
  return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  return draw(tmp_path_factory.mktemp("source") / "in")


def digest(out):
  """Return what a set is, but for the times of files."""
  info = json.loads((out / prepared.MARK).read_text())
  del info["images"]["mtime_ns"]
  del info["made_of"]  # which has times, too
  parts = [json.dumps(info)]  # in the order of its keys
  parts += [
    hashlib.sha256((out / name).read_bytes()).hexdigest()
    for name in (prepared.IMAGES, prepared.ATTRIBUTES, "schema.json")
    if (out / name).exists()
  ]
  return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


# Of the sets that the scripts wrote when each had code of its own.
RECORDED = {
  "faces --size=8 --table=TABLE": "1726da48f6ad9b97",
  "faces --size=8 --table=TABLE --crop=2 --order=file": "97b7ad1b9eef5b5d",
  "faces --size=8 --table=TABLE --square=0,8,2,10 --columns=male,eyes": (
    "d85164da1d6fd616"
  ),
  "photos --size=8": "c88b88d98f554c43",
  "photos --size=8 --shape=middle --on_grey=keep --order=file": (
    "ded4201ba4340641"
  ),
  "images --size=8 --resize=bilinear": "7d0234c97c9fd139",
  "images --size=8x12 --fit=pad --resize=bilinear --seed=3": "d882c7465a8e0395",
}


@pytest.mark.parametrize("words", RECORDED, ids=lambda words: words)
def test_a_preset_writes_the_bytes_that_its_own_script_wrote(
  source, tmp_path, words
):
  name, *flags = words.split()
  flags = [flag.replace("TABLE", str(source / "table.csv")) for flag in flags]
  flags += [f"--images={source}", f"--out={tmp_path / 'out'}"]
  assert MAIN[name](flags) == 0
  assert digest(tmp_path / "out") == RECORDED[words]
  assert MAIN["images"]([f"--preset={name}", *flags]) == 0  # it is there


def say(capsys, name, *flags):
  """Return the one line of an error."""
  assert MAIN[name]([*flags]) == 1
  said = capsys.readouterr().err
  assert said.count("\n") == 1
  return said


@pytest.mark.parametrize(
  ("first", "second"),
  [
    ("--fit=squash", "--fit=pad"),
    ("--fit=pad", "--fit=squash"),
    ("--on_grey=keep", "--on_grey=skip"),
    ("--on_grey=skip", "--on_grey=keep"),
    ("--order=split", "--order=file"),
    ("--square=", "--square=0,8,0,8"),
  ],
)
def test_a_set_of_other_settings_is_not_taken_for_the_one_asked_for(
  source, tmp_path, capsys, first, second
):
  flags = [f"--images={source}", f"--out={tmp_path}", "--size=8"]
  assert MAIN["images"]([*flags, first]) == 0
  said = say(capsys, "images", *flags, second)
  assert "is prepared with other settings" in said
  assert MAIN["images"]([*flags, first]) == 0
  assert "already prepared" in capsys.readouterr().out


def test_a_set_of_another_preset_is_not_taken_for_the_one_asked_for(
  source, tmp_path, capsys
):
  flags = [f"--images={source}", f"--out={tmp_path}", "--size=8"]
  flags.append("--on_grey=keep")
  table = f"--table={source / 'table.csv'}"
  assert MAIN["faces"]([*flags, table]) == 0
  assert "is prepared with" in say(capsys, "photos", *flags)
  assert "is prepared with" in say(
    capsys, "images", *flags, "--order=hash", "--resize=bilinear"
  )


def test_transposed_arrays_are_not_taken_for_those_as_they_are(
  tmp_path, capsys
):
  pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
  np.save(tmp_path / "a.npy", pixels)
  flags = [f"--images={tmp_path / 'a.npy'}", f"--out={tmp_path / 'out'}"]
  flags.append("--size=8")
  assert MAIN["images"](flags) == 0
  said = say(capsys, "images", *flags, "--transpose")
  assert "transpose False → True" in said


@pytest.mark.parametrize(
  ("name", "flag", "said"),
  [
    ("images", "--hair=drop", "--hair is an option of --preset=faces; this"),
    ("photos", "--table=a.csv", "of --preset=images and faces; this is --pre"),
    ("faces", "--split=80,10,10", "of --preset=images; this is --preset=faces"),
    ("faces", "--size=8x12", "--size=8x12: faces are square"),
    ("photos", "--order=split", "--order=split is for --preset=images"),
    ("faces", "--table=", "--table is missing"),
    ("images", "--images=nowhere", "--images=nowhere: no such file"),
  ],
)
def test_an_option_that_a_preset_has_not_is_said_in_a_line(
  source, tmp_path, capsys, name, flag, said
):
  table = [f"--table={source / 'table.csv'}"] if name == "faces" else []
  flags = [f"--images={source}", f"--out={tmp_path / 'out'}", *table, flag]
  assert said in say(capsys, name, *flags)
  assert not (tmp_path / "out").exists()


def test_out_must_be_given_for_images_alone(
  source, tmp_path, capsys, monkeypatch
):
  assert "--out is missing" in say(capsys, "images", f"--images={source}")
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))
  assert MAIN["photos"]([f"--images={source}", "--size=8"]) == 0
  assert len(prepared.read(tmp_path / "photos_8").images) == 23


def test_faces_and_photos_may_lie_in_a_tar_and_photos_in_an_array(
  source, tmp_path
):
  with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
    archive.add(source, arcname=".")
  table = [f"--table={source / 'table.csv'}", "--size=8"]
  for images, out in ((source, "a"), (tmp_path / "all.tar.gz", "b")):
    flags = [f"--images={images}", f"--out={tmp_path / out}", *table]
    assert MAIN["faces"](flags) == 0
  for name in (prepared.IMAGES, prepared.ATTRIBUTES):
    a, b = ((tmp_path / out / name).read_bytes() for out in "ab")
    assert a == b
  pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
  np.savez(tmp_path / "photos.npz", images=pixels)
  flags = [f"--images={tmp_path / 'photos.npz'}", f"--out={tmp_path / 'c'}"]
  assert MAIN["photos"]([*flags, "--size=8", "--order=file"]) == 0
  assert (prepared.read(tmp_path / "c").images == pixels).all()


def test_rows_of_a_split_may_stay_in_the_order_of_the_table(source, tmp_path):
  flags = [f"--images={source}", f"--out={tmp_path}", "--size=8"]
  assert MAIN["images"]([*flags, "--order=file", "--split=50,25,25"]) == 0
  table = prepared.read(tmp_path).table
  assert table["split"].drop_duplicates().tolist() == ["train", "valid", "test"]
  for _, rows in table.groupby("split"):
    assert rows["eyes"].is_monotonic_increasing
