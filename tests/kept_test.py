"""The figures of a run in one file."""

import json
import threading

import pytest

from cvae_jax.host.files import DamagedFile
from cvae_jax.measures import kept


def test_a_section_is_read_back_and_leaves_the_others(tmp_path):
  kept.write(tmp_path, "scores", {"psnr": 1.5})
  kept.write(tmp_path, "variety", {"ratio": 2})
  kept.write(tmp_path, "scores", {"psnr": 3.0})
  assert kept.read(tmp_path, "scores") == {"psnr": 3.0}
  assert kept.read(tmp_path, "variety") == {"ratio": 2}
  assert kept.read(tmp_path, "likeness") is None


def test_an_older_run_s_own_file_of_a_section_is_read(tmp_path):
  (tmp_path / "scores.json").write_text('{"psnr": 1}')
  assert kept.read(tmp_path, "scores") == {"psnr": 1}
  kept.write(tmp_path, "scores", {"psnr": 2})
  assert kept.read(tmp_path, "scores") == {"psnr": 2}


def test_a_damaged_file_is_named_with_what_can_be_done(tmp_path):
  (tmp_path / kept.FILE).write_text("{")
  with pytest.raises(DamagedFile, match=r"measures.json.*delete it"):
    kept.read(tmp_path, "scores")


def test_sections_that_are_written_at_once_are_all_there(tmp_path):
  names = [f"section_{i}" for i in range(24)]
  threads = [
    threading.Thread(target=kept.write, args=(tmp_path, name, {"of": name}))
    for name in names
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  found = json.loads((tmp_path / kept.FILE).read_text())
  assert found == {name: {"of": name} for name in names}
