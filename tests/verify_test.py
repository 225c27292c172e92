"""Comparing a run with the published curves."""

import json

import pytest
from PIL import Image

from cvae_jax import config as configs
from cvae_jax.measures import verify
from tests import small


def _run(folder, losses, reference="digits/Model 2"):
  folder.mkdir(exist_ok=True)
  settings = configs.load("configs/digits.py:smoke", {"reference": reference})
  (folder / "config.json").write_text(configs.to_json(settings))
  rows = [
    {"step": e * 1875, "split": "epoch", "epoch": float(e), "model/loss": loss}
    for e, loss in losses.items()
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (folder / "metrics.jsonl").write_text(text)
  return folder


def test_the_shipped_curves_are_the_spec_tables():
  two, four = (verify.load_published(f"digits/Model {k}") for k in (2, 4))
  assert two[1] == 34.0153
  assert two[8] == 24.1930
  assert (len(two), len(four)) == (8, 9)
  assert (four[1], four[2], four[9]) == (34.4008, 35.9727, 30.9971)


def test_each_epoch_must_be_within_the_tolerance(tmp_path):
  curve = verify.load_published("digits/Model 2")
  close = {e: loss * 1.019 for e, loss in curve.items()}
  assert verify.matches(verify.compare(_run(tmp_path / "a", close)))
  off = close | {5: curve[5] * 0.979}
  epochs = verify.compare(_run(tmp_path / "b", off))
  assert not verify.matches(epochs)
  assert verify.table(epochs).count("match") == 7
  assert verify.table(epochs).count("miss") == 1


def test_an_unfinished_run_misses(tmp_path):
  curve = verify.load_published("digits/Model 2")
  epochs = verify.compare(_run(tmp_path / "a", {1: curve[1]}))
  assert not verify.matches(epochs)


def test_what_cannot_be_compared_is_explained(tmp_path):
  with pytest.raises(verify.VerifyError, match=r"no config\.json"):
    verify.compare(tmp_path)
  with pytest.raises(verify.VerifyError, match="has no `reference`"):
    verify.compare(_run(tmp_path / "a", {}, reference=""))
  with pytest.raises(verify.VerifyError, match=r"of 'cats'; of .*digits"):
    verify.load_published("cats/Model 1")
  with pytest.raises(verify.VerifyError, match="Model 2"):
    verify.compare(_run(tmp_path / "b", {}, reference="digits/Model 9"))


def test_the_command_prints_draws_and_returns_the_verdict(tmp_path, capsys):
  curve = verify.load_published("digits/Model 2")
  good = _run(tmp_path / "good", curve)
  bad = _run(tmp_path / "bad", curve | {8: 30.0})
  for folder, code in ((good, 0), (bad, 1)):
    assert small.run_command("verify", str(folder)) == code
    assert "ratio" in capsys.readouterr().out
    with Image.open(folder / "verify.png") as picture:
      assert picture.size[0] > 300
  # The other curve may be another run's.
  assert small.run_command("verify", str(bad), beside=str(bad)) == 0
  assert small.run_command("verify", str(bad), beside=str(good)) == 1


def test_an_export_has_no_curve_and_is_no_miss():
  rows = [{"split": "epoch", "step": 1, "epoch": 1.0, "model/loss": 2.0}]
  with pytest.raises(verify.VerifyError, match="of an export give the run"):
    verify.compare(small.ROOT / "pretrained" / "digits", rows)
