// The page's state, and how it becomes controls, a picture, a link and code.
"use strict";

const ROWS = 5; // draws of a grid
const SLOW = 200; // ms of a picture, above which a moving slider is waited for
const byId = (id) => document.getElementById(id);
const canvas = byId("picture");
const named = Object.fromEntries(about.controls.map((c) => [c.name, c]));
// What a page shows first, and what a link means by a part that it leaves out.
const first = () => ({
  draw: 0,
  conditions: Object.fromEntries(about.controls.map((c) => [c.name, c.first])),
  latents: {},
  grid: "",
  guidance: 1,
});
const state = first();
let took = 0;
let waiting = 0;
let region = null; // the class whose draws are shown; null: of all
let turn = 0; // of the last drawing; an older grid stops

// What is wrong with a value that a control is to have, or "".
function wrongValue(name, value) {
  const about = named[name];
  if (!about) return `there is no condition ${name}`;
  if (value === null) return about.unknown ? "" : `${name} is never unknown`;
  const all = Array.isArray(value) ? value : [value];
  const bad = all.find((one) => !about.values.includes(one));
  const kind = Array.isArray(value) === (about.kind === "tags");
  return bad === undefined && kind ? "" : `${name} has no setting ${bad}`;
}

// Set a part of the state: {draw, conditions, latents, z, grid, guidance}; the
// other parts become those of `rest`.
function set(request, rest = state) {
  const {draw = rest.draw, grid = rest.grid, guidance = rest.guidance} = request;
  const conditions = request.conditions || {};
  const wrong = Object.entries(conditions).map((e) => wrongValue(...e));
  const whole = Number.isInteger(draw) && draw >= 0 && draw < DRAWS;
  wrong.push(whole ? "" : `draws are 0 to ${DRAWS - 1}; found ${draw}`);
  wrong.push(grid === "" || named[grid] ? "" : `there is no condition ${grid}`);
  const latents = {...(request.latents || (draw === state.draw ? state.latents : {}))};
  (request.z || []).forEach((value, i) => (latents[i] = value));
  for (const [i, value] of Object.entries(latents)) {
    const is = Number.isFinite(value) && i in new Float32Array(LATENTS);
    wrong.push(is ? "" : `no latent ${i} of ${value}`);
  }
  const guides = about.guidance && guidance >= 0 && guidance <= 10;
  wrong.push(guides || guidance === 1 ? "" : `no guidance of ${guidance}`);
  const said = wrong.find(Boolean);
  if (said) throw new Error(said);
  Object.assign(state, {draw, grid, guidance, latents});
  Object.assign(state.conditions, rest.conditions, conditions);
  show();
  paint();
}

// Move all controls to the state.
function show() {
  for (const name in shown) shown[name](state.conditions[name]);
  const z = latentsOf(state.draw, state.latents);
  sliders.forEach(({index, show}) => show(z[index]));
  byId("grid").value = state.grid;
  if (guidance) guidance.show(state.guidance);
  byId("code").textContent = code();
}

// Draw the state's picture, or its grid row by row.
function paint() {
  turn++;
  clearTimeout(waiting);
  canvas.ariaBusy = state.grid !== ""; // until its last row is drawn
  const begun = performance.now();
  document.querySelector("main").classList.toggle("wide", state.grid !== "");
  canvas.classList.toggle("cells", state.grid !== "");
  canvas.classList.toggle("large", state.grid !== "" || WIDTH > 64);
  canvas.setAttribute("aria-label", sentence());
  canvas.style.maxWidth = "";
  if (state.grid) {
    paintRow(gridSettings(), null, 0, turn);
  } else {
    const z = latentsOf(state.draw, state.latents);
    const found = images([z], [vectorOf(state.conditions)], state.guidance);
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    canvas.getContext("2d").drawImage(canvasOf(found, 0), 0, 0);
  }
  took = performance.now() - begun;
  const last = (state.draw + ROWS - 1) % DRAWS;
  const which = state.grid ? `Draws ${state.draw} to ${last}` : `Draw ${state.draw}`;
  say(state.grid ? which : `${which} · ${Math.max(1, Math.round(took))} ms`);
  keepLink();
}

// The settings of a grid's columns; a tag alone, none first.
function gridSettings() {
  const {values, grid, kind} = named[state.grid];
  const found = grid.map((i) => values[i]);
  return kind === "tags" ? [[], ...found.map((tag) => [tag])] : found;
}

function paintRow(settings, draw, row, mine) {
  if (mine !== turn) return;
  const name = (s) => (Array.isArray(s) ? s[0] || "none" : labelled(s));
  draw ||= grid(canvas, settings.map(name), ROWS);
  const fitting = (0.8 * innerHeight * canvas.width) / canvas.height;
  canvas.style.maxWidth = `${Math.min(1.5 * canvas.width, fitting)}px`;
  const moved = row ? {} : state.latents;
  const z = latentsOf((state.draw + row) % DRAWS, moved);
  const vectors = settings.map((value) =>
    vectorOf({...state.conditions, [state.grid]: value}),
  );
  draw(row, images(settings.map(() => z), vectors, state.guidance));
  canvas.dataset.rows = row + 1; // that are drawn
  canvas.ariaBusy = row + 1 < ROWS;
  if (row + 1 < ROWS) setTimeout(() => paintRow(settings, draw, row + 1, mine));
}

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
}

// Draw at the next frame; where that takes long, when the slider rests.
function soon() {
  clearTimeout(waiting);
  canvas.ariaBusy = true;
  byId("code").textContent = code();
  waiting = setTimeout(paint, took > SLOW ? 150 : 0);
}

function changed(name, value) {
  state.conditions[name] = value;
  shown[name](value);
  if (byId("hold").checked) return soon();
  step(1);
}

// Go on to another draw; where a class has a place, to one of that class.
function step(by) {
  do state.draw = (state.draw + by + DRAWS) % DRAWS;
  while (region !== null && about.regions[state.draw] !== region);
  state.latents = {};
  show();
  soon();
}

async function save() {
  const parts = Object.entries(state.conditions).map(([n, v]) => `${n}-${words(v)}`);
  const name = [about.folder, ...parts, `draw-${state.draw}`].join("_");
  const file = `${name.replace(/[^\w.-]+/g, "-").slice(0, 120)}.png`;
  const url = forFile(canvas, state.grid !== "").toDataURL("image/png");
  element("a", {href: url, download: file}).click();
  say(`Saved ${file}`);
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link to this picture is copied.");
  } catch {
    say("Copy the address of this page: it holds this picture.");
  }
}

// Build the page.
byId("name").textContent = about.name;
byId("text").textContent = about.text;
const shown = {};
for (const each of about.controls) {
  const {frame, show: move} = control(each, changed);
  byId("conditions").append(frame);
  shown[each.name] = move;
}
if (about.regions) {
  const classes = [...new Set(about.regions)].sort((a, b) => a - b);
  const named = {name: "class", kind: "class", unknown: false};
  const words = ["any", ...classes.map(String)];
  const {frame, show} = control({...named, values: words}, (_, word) => {
    region = word === "any" ? null : Number(word);
    step(1);
  });
  show("any");
  byId("conditions").append(frame);
}
const gridMenu = element("select", {id: "grid"});
gridMenu.append(element("option", {value: "", textContent: "one picture"}));
for (const {name} of about.controls) {
  gridMenu.append(element("option", {value: name, textContent: `grid over ${name}`}));
}
gridMenu.addEventListener("change", () => set({grid: gridMenu.value}));
byId("view").append(element("label", {}, "Show ", gridMenu));
byId("view").hidden = !about.controls.length;
let guidance = null;
if (about.guidance) {
  const settings = {name: "guidance", low: 1, high: 4, step: 0.1};
  guidance = numberSlider(settings, (value) => ((state.guidance = value), soon()));
  byId("view").append(guidance.row);
}
const sliders = about.latents.map(({index, low, high}) => {
  const made = numberSlider({name: `z ${index}`, low, high, step: 0.01}, (value) => {
    state.latents[index] = value;
    soon();
  });
  byId("sliders").append(made.row);
  return {index, show: made.show};
});
byId("latents").hidden = !sliders.length;
byId("new").addEventListener("click", () => step(1));
byId("back").addEventListener("click", () => step(-1));
byId("reset").addEventListener("click", () => set({latents: {}}));
byId("save").addEventListener("click", save);
byId("link").addEventListener("click", copyLink);
canvas.addEventListener("click", (event) => {
  if (!state.grid) return;
  const box = canvas.getBoundingClientRect();
  const [row, column] = cellAt(
    canvas, event.offsetX / box.width, event.offsetY / box.height,
  );
  const value = gridSettings()[column];
  if (row < 0 || row >= ROWS || value === undefined) return;
  const draw = (state.draw + row) % DRAWS;
  set({draw, grid: "", conditions: {[state.grid]: value}});
});
function restore() {
  try {
    set(ofLink(), first());
  } catch (error) {
    set({});
    say(`The link asks for what this model does not have: ${error.message}`, true);
  }
}
window.addEventListener("hashchange", restore);
restore();
// For scripts and tests: the same functions that the controls use.
window.cvae = {about, decode, images, latentsOf, set, state, vectorOf};
