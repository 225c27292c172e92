"""Several devices give the numbers of one; a run may change how many."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from cvae_jax.config import ConfigError
from cvae_jax.loop import feed, mesh
from tests import small

ONE = "1"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """What tests/mesh_runs.py found, in a process with eight devices."""
  folder = tmp_path_factory.mktemp("mesh")
  done = subprocess.run(
    [sys.executable, "-m", "tests.mesh_runs", str(folder)],
    cwd=small.ROOT,
    env=os.environ,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize(
  ("system", "size"),
  [("gan", "2"), ("gan", "8"), ("m2", "4")],
)
def test_fifty_steps_on_several_devices_are_those_of_one(found, system, size):
  # A GAN's critic normalises by the whole batch; M2's data stay on the host,
  # and two updates are one dispatch.
  one, several = (found[system][n]["train"] for n in (ONE, size))
  assert {len(values) for values in one.values()} == {50}
  for name, values in one.items():
    np.testing.assert_allclose(several[name], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("system", "size"), [("gan", "8"), ("m2", "4")])
def test_an_evaluation_on_several_devices_is_that_of_one(found, system, size):
  one, several = (found[system][n]["evaluate"] for n in (ONE, size))
  assert one
  for name, value in one.items():
    np.testing.assert_allclose(several[name], value, rtol=1e-5, atol=1e-5)


def test_a_batch_that_devices_do_not_divide_is_evaluated(found):
  assert found["odd"] == {"x": np.arange(10).mean()}


def test_each_device_does_its_part_of_a_step_and_not_the_whole(found):
  # The optimiser's update alone is each device's in full.
  work = {size: run["work"] for size, run in found["gan"].items()}
  for size in ("2", "8"):
    assert work[size] < 1.15 * work[ONE] / int(size) + 0.05 * work[ONE]


@pytest.mark.parametrize("partitionable", ["True", "False"])
def test_noise_does_not_depend_on_how_a_batch_is_shared_out(
  found, partitionable
):
  one, *several = found["noise"][partitionable]
  assert np.std(one) > 0.5
  for drawn in several:
    assert drawn == one


def test_rows_on_the_host_are_read_once_for_the_device_that_has_them(found):
  # A process makes the parts of its own devices alone.
  order = np.arange(16)[::-1].reshape(4, 4).tolist()
  assert sorted(found["read"]) == sorted(order)


def test_a_run_goes_on_with_another_number_of_devices(found):
  # Digits: 25 steps on 8 devices and 25 on 2, beside 50 on one.
  assert found["apart"] < 1e-5


def test_a_run_s_record_says_how_many_devices_shared_its_batches(found):
  assert found["recorded"] == {"config": 2, "launches": [8, 2]}


def test_a_run_s_scores_by_its_devices_are_those_by_one(found):
  one, both = found["scored"]["1"], found["scored"]["2"]
  assert {"test.elbo", "test.iw_bound", "condition_gap_nats"} <= set(one)
  assert one.keys() == both.keys()
  for name, value in one.items():
    # A gap is the difference of two bounds.
    size = one["test.elbo"] if "gap_nats" in name else value
    error = 1e-5 * max(1.0, abs(size))
    np.testing.assert_allclose(both[name], value, rtol=0, atol=error)


def test_the_devices_of_a_finished_run_divide_its_batches(found):
  # Of eight devices, for batches of 20, 16 and 20.
  assert [size for size, *_ in found["restored"]] == [5, 4, 1]
  for _, by_devices, by_one in found["restored"]:
    assert by_devices == pytest.approx(by_one, abs=1e-6)


@pytest.mark.parametrize(
  ("case", "said"),
  [
    ("uneven", "batch_size=20 cannot be shared evenly by 8 devices"),
    ("too_many", "mesh=9; expected a number of devices from 1 to the 8"),
    ("negative", "mesh=-1; expected a number of devices from 1 to the 8"),
  ],
)
def test_a_mesh_that_cannot_be_is_refused_in_a_line(found, case, said):
  assert said in found["refused"][case]
  assert "\n" not in found["refused"][case]


def test_one_device_is_jax_s_own_and_changes_no_program(data):
  def double(x):
    return 2 * x

  one = mesh.from_config(small.config(data, mesh=1))
  assert one is mesh.ONE
  given = np.ones(3, np.float32)
  text = jax.jit(double).lower(given).as_text()
  assert one.jit(double).lower(given).as_text() == text
  assert one.local(feed.take) is feed.take
  array = one.replicate(given)
  assert not array.committed
  assert one.to_one_device(array) is array


def test_all_devices_are_used_where_the_mesh_is_0(data):
  assert mesh.from_config(small.config(data, mesh=0)).size == jax.device_count()
  with pytest.raises(ConfigError, match="mesh=2; expected"):
    mesh.from_config(small.config(data, mesh=2))
