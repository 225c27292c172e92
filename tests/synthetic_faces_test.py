"""Drawn faces: reproducible, and each attribute can be seen in them."""

import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import face_tables, synthetic_faces as synthetic
from cvae_jax.data.files.face_tables import CONDITIONS as NAMES


def test_synthetic_faces_are_the_same_every_time_and_in_any_count():
  many, table = synthetic.make(12, 24)
  few, _ = synthetic.make(5, 24)
  np.testing.assert_array_equal(many[:5], few)
  assert many.shape == (12, 24, 24, 3)
  assert many.dtype == np.uint8
  assert len({x.tobytes() for x in many}) == 12
  assert not (synthetic.make(5, 24, seed=1)[0] == few).all()
  assert list(table.columns) == ["file", *NAMES]
  face_tables.values(table, NAMES, ((0.0, 1.0),) * 5, "drawn")
  with pytest.raises(DataError, match="count >= 1 and 16 pixels"):
    synthetic.make(0, 120)


@pytest.mark.parametrize("name", NAMES)
def test_each_attribute_shows_in_the_drawing(name):
  values = dict(zip(NAMES, (1, 0, 0.5, 0.4, 0.5), strict=True))
  dull, strong = (values | {name: t} for t in (0.05, 0.95))
  if name in ("male", "female"):
    dull, strong = (values | {"male": m, "female": 1 - m} for m in (0, 1))
  for index in range(4):
    a, b = (
      synthetic.draw([*v.values()], index, 48).astype(float)
      for v in (dull, strong)
    )
    changed = np.abs(a - b).max(-1) > 25
    assert 0.004 < changed.mean() < 0.6, (name, index)
    if name == "hair_color":
      assert b[changed].mean() < a[changed].mean() - 25  # 1 is dark
    if name in ("mouth", "eyes"):  # where it changes: below, above the nose
      middle = np.flatnonzero(changed.any(1)).mean()
      assert middle > 26 if name == "mouth" else middle < 26
