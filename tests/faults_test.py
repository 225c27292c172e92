"""Quick faults of benchmarks/faults: clear refusals, nothing silent.

Every other one, for the suite's time; `python -m benchmarks.faults --quick`
runs them all.
"""

import pytest

from benchmarks.faults import catalogue
from benchmarks.faults.case import FAILURES, NOT_RUN
from benchmarks.faults.room import Base
from benchmarks.faults.running import verdict

QUICK = {name: f for name, f in catalogue().items() if f.quick}
QUICK = {name: QUICK[name] for name in list(QUICK)[::2]}


@pytest.fixture(scope="module")
def base(data, tmp_path_factory):
  return Base(tmp_path_factory.getbasetemp() / "faults", data)


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_is_refused_clearly_or_does_no_harm(base, name):
  found = verdict(QUICK[name], base)
  if found.word == NOT_RUN:
    pytest.skip(found.why)
  assert found.word not in FAILURES, f"{found.word}: {found.why}"
