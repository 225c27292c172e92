"""The page's operators beside JAX and NumPy, in a real browser."""

import jax
import numpy as np
import pytest
from scipy import special

from cvae_jax.apps.export import functions
from tests import export_test
from tests.page_browser import (
  browser as browser,  # fixtures
  digits as digits,
  file as file,
  page as page,
)

program = pytest.importorskip("cvae_jax.apps.page.program")
convert = pytest.importorskip("cvae_jax.apps.export.convert")


@pytest.mark.parametrize("name", export_test.PAGES)
def test_the_pages_operators_compute_what_the_system_does(
  name, page, plain_convolutions_here
):
  run = export_test.drawn(name)
  function = functions.from_run(run).get("decode")
  if function is None:  # a judge, or the colouring, which no page shows
    assert run.config.system in (
      "attribute",
      "classifier",
      "colouring",
      "judge",
    )
    return
  found = program.from_onnx(convert.to_onnx(*function))
  rng = np.random.default_rng(0)
  inputs = [rng.random((3, *s), np.float32) for s in function.inputs.values()]
  expected = np.asarray(jax.jit(function.apply)(*inputs))
  shape, values = page.evaluate(
    """([graph, weights, inputs]) => {
      unpack(graph, weights);
      const read = (x) => make(x.shape, Float32Array.from(x.data));
      const found = run(graph, inputs.map(read));
      return [found.shape, Array.from(found.data)];
    }""",
    [
      found.graph,
      found.weights,
      [{"shape": x.shape, "data": x.ravel().tolist()} for x in inputs],
    ],
  )
  assert tuple(shape) == expected.shape
  np.testing.assert_allclose(
    np.reshape(values, shape), expected, atol=1e-4, rtol=1e-4
  )


@pytest.mark.parametrize(
  "function",
  [
    lambda x: jax.lax.div(x.astype(np.int32), 3).astype(np.float32),
    lambda x: x.astype(np.uint8).astype(np.float32),
  ],
)
def test_whole_numbers_have_no_fraction_on_a_page(function, page):
  graph, weights = program.from_onnx(
    convert.to_onnx(function, {"x": (3,)}, ["y"])
  )
  found = page.evaluate(
    """([graph, weights]) => {
      unpack(graph, weights);
      const x = make([1, 3], Float32Array.from([7.6, 2, 200.9]));
      return Array.from(run(graph, [x]).data);
    }""",
    [graph, weights],
  )
  expected = function(np.array([[7.6, 2, 200.9]], np.float32))
  np.testing.assert_array_equal([found], expected)


OPERATORS = {  # what no decoder of today has: (attributes, inputs, result)
  "Slice": (
    {},
    [np.arange(24).reshape(2, 3, 4), [1, -1], [-9, 9], [1, 2], [-1, 1]],
    lambda x, *_: x[:, 1::-1, 3:],
  ),
  "Pad": (
    {},
    [np.arange(12).reshape(3, 4), [1, -1, 0, 2], [7]],
    lambda x, *_: np.pad(x[:, 1:], ((1, 0), (0, 2)), constant_values=7),
  ),
  "Gather": (
    {"axis": 1},
    [np.arange(12).reshape(3, 4), [3, 0]],
    lambda x, i: x[:, i],
  ),
  "Tile": ({}, [np.arange(6).reshape(2, 3), [2, 2]], np.tile),
  "ReduceSum": (
    {"keepdims": 0},
    [np.arange(24).reshape(2, 3, 4), [0, 2]],
    lambda x, _: x.sum((0, 2)),
  ),
  "Round": ({}, [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.4]], np.round),
  "Erf": ({}, [np.linspace(-3, 3, 13)], special.erf),
  "Where": ({}, [[[1], [0]], [1, 2, 3], [[7], [8]]], np.where),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_numpys(name, page):
  attributes, inputs, expected = OPERATORS[name]
  arrays = [np.asarray(x) for x in inputs]
  shape, values = page.evaluate(
    """([name, inputs, attributes]) => {
      const read = (x) => make(x.shape, Float32Array.from(x.data));
      const found = OPERATORS[name](inputs.map(read), attributes);
      return [found.shape, Array.from(found.data)];
    }""",
    [
      name,
      [{"shape": x.shape, "data": x.ravel().tolist()} for x in arrays],
      attributes,
    ],
  )
  np.testing.assert_allclose(
    np.reshape(values, shape), expected(*arrays), atol=2e-7, rtol=1e-6
  )


def test_the_page_computes_every_operator_that_it_says(page):
  assert program.list_operators() == {*page.evaluate("Object.keys(OPERATORS)")}
