// The state in words, as Python, and as the part of the address behind #.
"use strict";

const words = (value) =>
  value === null ? "unknown" : Array.isArray(value) ? value.join(";") : labelled(value);

function sentence() {
  const parts = Object.entries(state.conditions).map(
    ([name, value]) => `${name} ${words(value) || "none"}`,
  );
  const what = state.grid ? `Grid over ${state.grid}` : "Picture";
  return `${what}, draw ${state.draw}: ${parts.join(", ") || "no condition"}`;
}

// The lines of Python that make the same picture.
function code() {
  const text = (value) =>
    value === null ? "None" : JSON.stringify(Array.isArray(value) ? value.join(";") : value);
  const asked = Object.entries(state.conditions).map(
    ([name, value]) => `${JSON.stringify(name)}: ${text(value)}`,
  );
  const moved = Object.entries(state.latents).map(
    ([i, value]) => `z[0, ${i}] = ${value}`,
  );
  const vectors = about.controls.length
    ? `run.conditions.encode({${asked.join(", ")}})`
    : "[[]]";
  const more = state.guidance === 1 ? "" : `, ${state.guidance}`;
  return [
    "from cvae_jax import runs",
    "",
    `run = runs.load(${JSON.stringify(about.folder)})`,
    about.regions
      ? `z = run.regions(${DRAWS})[0][[${state.draw}]]`
      : `z = run.prior(${DRAWS})[[${state.draw}]]`,
    ...moved,
    `image = run.guided(z, ${vectors}${more})[0]`,
  ].join("\n");
}

// The state as the part of the address behind #, and back.
function keepLink() {
  const parts = new URLSearchParams({draw: state.draw});
  for (const [name, value] of Object.entries(state.conditions)) {
    parts.set(`c.${name}`, JSON.stringify(value));
  }
  for (const [i, value] of Object.entries(state.latents)) parts.set(`z.${i}`, value);
  if (state.grid) parts.set("grid", state.grid);
  if (state.guidance !== 1) parts.set("guidance", state.guidance);
  try {
    history.replaceState(null, "", `#${parts}`);
  } catch {
    // Some viewers of local files keep the address.
  }
}

function ofLink() {
  const request = {conditions: {}, latents: {}};
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (key.startsWith("c.")) request.conditions[key.slice(2)] = JSON.parse(value);
    else if (key.startsWith("z.")) request.latents[key.slice(2)] = Number(value);
    else request[key] = key === "grid" ? value : Number(value);
  }
  return request;
}
