"""A step: who moves, in which order, and that a bad step changes nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cvae_jax.method import additions, update
from cvae_jax.types import Player, System

KEY = jax.random.key(0)


def at(step):
  return np.int32(step)


def make_params():
  return {
    "a": {"w": jnp.array([1.0, -2.0, 3.0])},
    "b": {"w": jnp.array([0.5, 0.25, -4.0]), "bias": jnp.array([2.0])},
    "frozen": {"w": jnp.array([7.0, 8.0, 9.0])},
  }


def towards_batch(params, model_state, batch, key, step):
  """½ |a − x|²: its gradient is a − x. It also sees the frozen branch."""
  loss = 0.5 * jnp.sum((params["a"]["w"] - batch["x"]) ** 2)
  loss += 0.0 * jnp.sum(params["frozen"]["w"])
  return loss, ({"distance": 2 * loss}, model_state)


def towards_a(params, model_state, batch, key, step):
  """½ |b − a|² + bias: its gradients are b − a and 1."""
  loss = 0.5 * jnp.sum((params["b"]["w"] - params["a"]["w"]) ** 2)
  return loss + params["b"]["bias"].sum(), ({}, model_state)


def two_players():
  return {
    "first": Player(towards_batch, optax.sgd(0.1), ("a",)),
    "second": Player(towards_a, optax.sgd(0.5), ("b",)),
  }


BATCH = {"x": jnp.array([0.0, 1.0, 2.0])}


def assert_same(left, right):
  assert jax.tree.structure(left) == jax.tree.structure(right)
  for a, b in zip(*map(jax.tree.leaves, (left, right)), strict=True):
    a = np.asarray(a)
    b = np.asarray(b)
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()  # bits: NaN equals NaN, 0 is not −0


def test_a_player_moves_only_what_it_owns():
  players = {"only": two_players()["first"]}
  before = update.init_state(players, make_params())
  after, _ = jax.jit(update.make_step(players))(before, BATCH, KEY, at(0))
  for branch in ("b", "frozen"):
    assert_same(after.params[branch], before.params[branch])
  old, new = (np.asarray(s.params["a"]["w"]) for s in (before, after))
  assert (new != old).all()


def test_a_branch_that_nobody_owns_never_moves():
  # Even though its gradient is not 0.
  def pull(params, model_state, batch, key, step):
    return jnp.sum(params["frozen"]["w"] * params["a"]["w"]), ({}, model_state)

  players = {
    "first": Player(pull, optax.adam(0.1), ("a",)),
    "second": Player(pull, optax.adam(0.1), ("b",)),
  }
  state = update.init_state(players, make_params())
  step = jax.jit(update.make_step(players))
  for i in range(20):
    state, _ = step(state, BATCH, KEY, at(i))
  assert_same(state.params["frozen"], make_params()["frozen"])


def test_optimisers_hold_moments_of_owned_branches_only():
  players = {"only": Player(towards_a, optax.adam(0.1), ("b",))}
  state = update.init_state(players, make_params())
  shapes = {leaf.shape for leaf in jax.tree.leaves(state.opt_state)}
  assert shapes == {(), (3,), (1,)}
  assert len(jax.tree.leaves(state.opt_state)) == 1 + 2 * 2  # count, m, v


@pytest.mark.parametrize("reverse", [False, True])
def test_players_move_in_order_and_see_the_moves_before_theirs(reverse):
  players = two_players()
  if reverse:
    players = dict(reversed(players.items()))
  state = update.init_state(players, make_params())
  state, metrics = jax.jit(update.make_step(players))(state, BATCH, KEY, at(0))
  old = jax.tree.map(np.asarray, make_params())
  a = old["a"]["w"] - 0.1 * (old["a"]["w"] - np.asarray(BATCH["x"]))
  seen = old["a"]["w"] if reverse else a
  b = old["b"]["w"] - 0.5 * (old["b"]["w"] - seen)
  np.testing.assert_allclose(state.params["a"]["w"], a, rtol=1e-6)
  np.testing.assert_allclose(state.params["b"]["w"], b, rtol=1e-6)
  np.testing.assert_allclose(state.params["b"]["bias"], 2 - 0.5 * 1, rtol=1e-6)
  norm = np.sqrt(((old["b"]["w"] - seen) ** 2).sum() + 1)
  np.testing.assert_allclose(metrics["second/gradient_norm"], norm, rtol=1e-6)


def test_metrics_are_those_before_the_move_named_by_player():
  players = two_players()
  state = update.init_state(players, make_params())
  _, metrics = jax.jit(update.make_step(players))(state, BATCH, KEY, at(0))
  loss = 0.5 * np.sum((np.array([1.0, -2, 3]) - np.array([0.0, 1, 2])) ** 2)
  np.testing.assert_allclose(metrics["first/loss"], loss, rtol=1e-6)
  np.testing.assert_allclose(metrics["first/distance"], 2 * loss, rtol=1e-6)
  assert set(metrics) == {
    "first/loss",
    "first/distance",
    "first/gradient_norm",
    "second/loss",
    "second/gradient_norm",
  }


def numpy_adam(w, gradient, moments, step, rate):
  """Kingma and Ba 2015, algorithm 1."""
  m, v = moments
  m = 0.9 * m + 0.1 * gradient
  v = 0.999 * v + 0.001 * gradient**2
  m_hat = m / (1 - 0.9**step)
  v_hat = v / (1 - 0.999**step)
  return w - rate * m_hat / (np.sqrt(v_hat) + 1e-8), (m, v)


def test_two_players_may_own_one_branch_each_with_its_own_moments():
  def attract(params, model_state, batch, key, step):
    loss = 0.5 * jnp.sum((params["a"]["w"] - batch["x"]) ** 2)
    return loss, ({}, model_state)

  def shrink(params, model_state, batch, key, step):
    return 5 * jnp.sum(params["a"]["w"] ** 2), ({}, model_state)

  players = {
    "attract": Player(attract, optax.adam(0.1), ("a",)),
    "shrink": Player(shrink, optax.adam(0.02), ("a",)),
  }
  state = update.init_state(players, make_params())
  step = jax.jit(update.make_step(players))
  w = np.array([1.0, -2.0, 3.0])
  x = np.array([0.0, 1.0, 2.0])
  moments = {name: (0.0, 0.0) for name in players}
  for t in range(1, 6):
    state, _ = step(state, BATCH, KEY, at(t - 1))
    w, moments["attract"] = numpy_adam(w, w - x, moments["attract"], t, 0.1)
    w, moments["shrink"] = numpy_adam(w, 10 * w, moments["shrink"], t, 0.02)
  np.testing.assert_allclose(state.params["a"]["w"], w, rtol=5e-5)


def counted(params, model_state, batch, key, step):
  loss = 0.5 * jnp.sum((params["a"]["w"] - batch["x"]) ** 2)
  return loss, ({}, {"seen": model_state["seen"] + 1})


def fragile(params, model_state, batch, key, step):
  """Can be spoilt by the batch: its value, gradient or metric alone."""
  loss = jnp.sum(params["b"]["w"]) + jax.lax.stop_gradient(batch["added"])
  # √0 = 0 is finite, its slope is not.
  loss += jnp.sum(jnp.sqrt(params["b"]["w"] ** 2 * batch["scale"]))
  return loss, ({"note": batch["note"]}, {"seen": model_state["seen"] + 1})


FINE = BATCH | {
  "added": np.float32(0),
  "scale": np.float32(1),
  "note": np.float32(0),
}
SPOILT = {
  "loss_inf": ("loss", {"added": np.float32(np.inf)}),
  "loss_nan": ("loss", {"added": np.float32(np.nan)}),
  "gradient_of_a_finite_loss": ("gradient_norm", {"scale": np.float32(0)}),
  # The meter stops at any metric; the state kept must be of that step.
  "metric_beside_a_finite_loss": ("note", {"note": np.float32(np.nan)}),
}


@functools.cache
def fragile_step(order, donate):
  bad = {"bad": Player(fragile, optax.adam(0.1), ("b",))}
  good = {"good": Player(counted, optax.adam(0.1), ("a",))}
  players = {
    "alone": bad,
    "bad_first": bad | good,
    "bad_second": good | bad,
  }[order]
  step = update.make_step(players)
  return players, jax.jit(step, donate_argnums=(0,) if donate else ())


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("order", ["alone", "bad_first", "bad_second"])
@pytest.mark.parametrize("donate", [False, True])
def test_a_step_that_is_not_finite_changes_no_bit(spoilt, order, donate):
  players, step = fragile_step(order, donate)
  where, change = SPOILT[spoilt]
  start = update.init_state(players, make_params(), {"seen": jnp.int32(0)})
  # A finite step first, so that the moments to keep are not zeros.
  state, metrics = step(start, FINE, KEY, at(0))
  assert all(np.isfinite(v) for v in metrics.values())
  assert state.step == 1
  assert state.model_state["seen"] == len(players)
  kept = jax.tree.map(np.array, state)  # donation takes the state itself
  state, metrics = step(state, FINE | change, KEY, at(1))
  assert_same(state, kept)
  assert not np.isfinite(metrics[f"bad/{where}"])
  if where != "loss":
    assert np.isfinite(metrics["bad/loss"])
  # Later steps are under way already; they change nothing either.
  state, _ = step(state, FINE, KEY, at(2))
  assert_same(state, kept)
  # From the step that failed, training can go on.
  state, _ = step(state, FINE, KEY, at(1))
  assert state.step == 2
  assert (np.asarray(state.params["b"]["w"]) != kept.params["b"]["w"]).any()


@functools.cache
def sgd_step(count):
  players = dict(list(two_players().items())[:count])
  return players, jax.jit(update.make_step(players))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("wrong", [0, 2, 4, 1000, -1])
def test_a_batch_of_another_step_changes_no_bit(count, wrong):
  players, step = sgd_step(count)
  state = update.init_state(players, make_params(), {"seen": jnp.int32(3)})
  state = state.replace(step=jnp.int32(3))
  after, _ = step(state, BATCH, KEY, at(wrong))
  assert_same(after, state)


def test_the_step_counts_updates_whatever_the_number_of_players():
  for count in (1, 2):
    players, step = sgd_step(count)
    state = update.init_state(players, make_params())
    assert state.step == 0
    for i in range(5):
      state, _ = step(state, BATCH, KEY, at(i))
      assert state.step == i + 1
      assert state.step.dtype == jnp.int32


def test_a_loss_gets_the_step_and_the_state_players_before_it_left():
  seen = []

  def note(params, model_state, batch, key, step):
    jax.debug.callback(
      lambda s, m: seen.append((int(s), int(m))), step, model_state["seen"]
    )
    return jnp.sum(params["b"]["w"]), ({}, model_state)

  players = {
    "counts": Player(counted, optax.sgd(0.1), ("a",)),
    "notes": Player(note, optax.sgd(0.1), ("b",)),
  }
  state = update.init_state(players, make_params(), {"seen": jnp.int32(0)})
  step = jax.jit(update.make_step(players))
  for i in range(3):
    state, _ = step(state, BATCH, KEY, at(i))
  jax.effects_barrier()
  assert seen == [(0, 1), (1, 2), (2, 3)]


def test_keys_differ_between_players_and_steps_and_not_between_runs():
  def noisy(params, model_state, batch, key, step):
    noise = jax.random.uniform(key)
    return jnp.sum(params["a"]["w"]) * noise, ({"noise": noise}, model_state)

  players = {name: Player(noisy, optax.sgd(0.1), ("a",)) for name in ("p", "q")}
  step = jax.jit(update.make_step(players))

  def run():
    state = update.init_state(players, make_params())
    drawn = []
    for i in range(4):
      state, metrics = step(state, BATCH, KEY, at(i))
      drawn += [float(metrics["p/noise"]), float(metrics["q/noise"])]
    return drawn

  drawn = run()
  assert len(set(drawn)) == 8
  assert drawn == run()


def test_owning_an_unknown_branch_is_an_error_that_names_both_sides():
  players = {"p": Player(towards_a, optax.sgd(0.1), ("b", "critic"))}
  with pytest.raises(ValueError, match=r"'p' owns \['critic'\].*'a', 'b'"):
    update.init_state(players, make_params())


def test_many_steps_trace_the_losses_once():
  traces = []

  def loss(params, model_state, batch, key, step):
    traces.append(1)
    return towards_batch(params, model_state, batch, key, step)

  players = {"only": Player(loss, optax.adam(0.1), ("a",))}
  state = update.init_state(players, make_params())
  step = jax.jit(update.make_step(players), donate_argnums=0)
  for i in range(10):
    state, _ = step(state, BATCH, KEY, at(i))
  assert state.step == 10
  assert len(traces) == 1


def test_simultaneous_players_all_see_the_parameters_before_the_step():
  players = two_players()
  state = update.init_state(players, make_params())
  step = jax.jit(update.make_step(players, simultaneous=True))
  after, _ = step(state, BATCH, KEY, at(0))
  old = jax.tree.map(np.asarray, make_params())
  a = old["a"]["w"]
  b = old["b"]["w"]
  moved = a - 0.1 * (a - np.asarray(BATCH["x"]))
  np.testing.assert_allclose(after.params["a"]["w"], moved, rtol=1e-6)
  moved = b - 0.5 * (b - a)  # the old a
  np.testing.assert_allclose(after.params["b"]["w"], moved, rtol=1e-6)
  assert_same(after.params["frozen"], old["frozen"])


@pytest.mark.parametrize("same", [False, True])
def test_players_have_draws_of_their_own_unless_they_share_them(same):
  def draw(params, model_state, batch, key, step):
    drawn = jax.random.normal(key)
    return sum(p["w"].sum() for p in params.values()), (
      {"drawn": drawn},
      model_state,
    )

  tx = optax.sgd(0.1)
  players = {name: Player(draw, tx, (name,)) for name in ("a", "b")}
  state = update.init_state(players, make_params())
  step = update.make_step(players, simultaneous=True, same_draws=same)
  _, metrics = jax.jit(step)(state, BATCH, KEY, at(0))
  assert (metrics["a/drawn"] == metrics["b/drawn"]) == same


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_simultaneous_step_that_is_not_finite_changes_no_bit(spoilt):
  _, change = SPOILT[spoilt]
  players, _ = fragile_step("bad_second", False)
  step = jax.jit(update.make_step(players, simultaneous=True))
  state = update.init_state(players, make_params(), {"seen": jnp.int32(0)})
  state, _ = step(state, FINE, KEY, at(0))
  assert (state.step, state.model_state["seen"]) == (1, 2)
  after, _ = step(state, FINE | change, KEY, at(1))
  assert_same(after, state)


def test_simultaneous_players_of_one_branch_are_refused():
  player = two_players()["first"]
  with pytest.raises(ValueError, match=r"different branches; they own \['a'"):
    update.make_step({"p": player, "q": player}, simultaneous=True)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_a_branch_s_statistics_are_its_owner_s_too(simultaneous):
  def count(params, model_state, batch, key, step):
    counted = {name: n + 1 for name, n in model_state.items()}
    return sum(p["w"].sum() for p in params.values()), ({}, counted)

  players = {
    name: Player(count, optax.sgd(0.1), (branch,))
    for name, branch in (("first", "a"), ("second", "b"))
  }
  statistics = {name: jnp.int32(0) for name in ("a", "b", "frozen", "seen")}
  state = update.init_state(players, make_params(), statistics)
  step = jax.jit(update.make_step(players, simultaneous=simultaneous))
  for i in range(3):
    state, _ = step(state, BATCH, KEY, at(i))
  counted = {name: int(n) for name, n in state.model_state.items()}
  assert counted == {"a": 3, "b": 3, "frozen": 0, "seen": 6}


def test_a_factor_scales_what_simultaneous_players_move():
  players = two_players()
  step = jax.jit(update.make_step(players, simultaneous=True))
  plain = update.init_state(players, make_params())
  factor = {update.FACTOR: jnp.float32(0.25)}
  slow = plain.replace(opt_state=plain.opt_state | factor)
  moved, slowly = (step(s, BATCH, KEY, at(0))[0].params for s in (plain, slow))
  for branch in ("a", "b"):
    old, far, near = (p[branch]["w"] for p in (plain.params, moved, slowly))
    np.testing.assert_allclose(near - old, 0.25 * (far - old), rtol=1e-5)


def test_a_player_of_every_third_step_rests_in_the_others():
  traces = []

  def rarely(params, model_state, batch, key, step):
    traces.append(1)
    return towards_a(params, model_state, batch, key, step)

  players = two_players()
  players["second"] = Player(rarely, optax.adam(0.5), ("b",), every=3)
  state = update.init_state(players, make_params())
  step = jax.jit(update.make_step(players), donate_argnums=0)
  for i in range(6):
    before = jax.tree.map(np.array, state)
    state, metrics = step(state, BATCH, KEY, at(i))
    assert metrics["second/moves"] == (i in (2, 5))
    assert "first/moves" not in metrics
    gone = np.asarray(state.params["b"]["w"]) - before.params["b"]["w"]
    if i in (2, 5):
      a = np.asarray(state.params["a"]["w"])
      b = before.params["b"]
      loss = 0.5 * ((b["w"] - a) ** 2).sum() + b["bias"].sum()
      np.testing.assert_allclose(metrics["second/loss"], loss, rtol=1e-6)
      assert (gone != 0).all()
    else:
      assert metrics["second/loss"] == metrics["second/gradient_norm"] == 0
      assert_same(state.params["b"], before.params["b"])
      assert_same(state.opt_state["second"], before.opt_state["second"])
  assert state.opt_state["second"][0].count == 2
  assert len(traces) == 1


def test_a_bad_move_of_a_player_that_rests_is_seen_where_it_moves():
  bad = Player(fragile, optax.adam(0.1), ("b",), every=2)
  players = {"good": Player(counted, optax.adam(0.1), ("a",)), "bad": bad}
  step = jax.jit(update.make_step(players))
  state = update.init_state(players, make_params(), {"seen": jnp.int32(0)})
  spoilt = FINE | {"added": np.float32(np.nan)}
  state, metrics = step(state, spoilt, KEY, at(0))
  assert (state.step, state.model_state["seen"]) == (1, 1)
  assert all(np.isfinite(v) for v in metrics.values())
  after, metrics = step(state, spoilt, KEY, at(1))
  assert np.isnan(metrics["bad/loss"])
  assert_same(after, state)


def test_simultaneous_players_that_rest_are_refused():
  players = two_players()
  players["second"] = players["second"]._replace(every=2)
  with pytest.raises(ValueError, match=r"each step; \['second'\] would not"):
    update.make_step(players, simultaneous=True)


def test_an_input_s_gradient_is_each_example_s_own_and_has_one_itself():
  def penalty(w, x):
    return update.input_gradient(lambda x: (w * x**3).sum(axis=-1), x)

  w = np.float32([1.0, 2.0, -1.0])
  x = np.float32([[1, 2, 3], [-1, 0.5, 2]])
  gradient = jax.jit(lambda w: penalty(w[None], x))
  np.testing.assert_allclose(gradient(w), 3 * w * x**2, rtol=1e-6)
  slope = jax.jit(jax.grad(lambda w: (penalty(w[None], x) ** 2).sum()))
  np.testing.assert_allclose(
    slope(w), (2 * w * (3 * x**2) ** 2).sum(0), rtol=1e-6
  )


# The running mean of the parameters


def averaged_system(decay, frozen=()):
  players = {"first": two_players()["first"]}
  return additions.average(
    System(
      init=lambda key: update.init_state(players, make_params()),
      step=update.make_step(players),
      evaluate=lambda state, batch, key: {"w": state.params["a"]["w"]},
      columns={},
    ),
    decay,
    frozen,
  )


def test_the_mean_of_the_parameters_is_its_recurrence_and_what_is_evaluated():
  system = averaged_system(0.25)
  state = system.init(KEY)
  w = np.array([1.0, -2.0, 3.0])
  mean = w.copy()
  for step in range(4):
    state, _ = system.step(state, BATCH, KEY, at(step))
    w = w - 0.1 * (w - np.array([0.0, 1.0, 2.0]))
    decay = min(0.25, (2.0 + step) / (11.0 + step))
    mean = decay * mean + (1 - decay) * w
    np.testing.assert_allclose(state.params["a"]["w"], w, rtol=1e-6)
    found = system.evaluate(state, BATCH, KEY)["w"]
    np.testing.assert_allclose(found, mean, rtol=1e-5)


def test_a_branch_that_nobody_moves_is_its_own_mean_and_a_file_s_has_none():
  system = averaged_system(0.999)
  state = system.init(KEY)
  for step in range(3):
    state, _ = system.step(state, BATCH, KEY, at(step))
  mean = state.opt_state[additions.AVERAGE]
  assert_same(mean["frozen"], make_params()["frozen"])
  other = averaged_system(0.999, frozen=("frozen",)).init(KEY)
  assert set(other.opt_state[additions.AVERAGE]) == {"a", "b"}


def test_a_bad_step_leaves_the_mean_as_it_was():
  system = averaged_system(0.9)
  state = system.init(KEY)
  bad, _ = system.step(state, {"x": jnp.full(3, jnp.nan)}, KEY, at(0))
  assert_same(bad, state)


def test_the_mean_begins_anew_with_borrowed_parameters():
  system = averaged_system(0.9)
  params = jax.tree.map(lambda p: p + 1.0, make_params())
  state = additions.replace_params(system.init(KEY), params)
  assert_same(state.opt_state[additions.AVERAGE], params)


@pytest.mark.parametrize(("backend", "times"), [("cpu", 2), ("gpu", 1)])
def test_only_on_cpu_is_an_update_computed_twice(monkeypatch, backend, times):
  sgd = optax.sgd(0.1)
  calls = []

  def counted(*given):
    calls.append(1)
    return sgd.update(*given)

  tx = optax.GradientTransformation(sgd.init, counted)
  state = update.init_state(
    {"first": Player(towards_batch, tx, ("a",))}, make_params()
  )
  monkeypatch.setattr(update.cpu, "fuses_outputs", lambda: True)
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  step = update.make_step({"first": Player(towards_batch, tx, ("a",))})
  jax.make_jaxpr(step)(state, BATCH, KEY, at(0))
  assert len(calls) == times
