// The page's controls: each calls back with the name and the value it has.
"use strict";

function element(tag, properties = {}, ...children) {
  const found = Object.assign(document.createElement(tag), properties);
  found.append(...children);
  return found;
}

const MANY = 24; // levels, above which a list is shown and no buttons

// One control in a frame of its own; show(value) moves it.
function control(about, changed) {
  const {name, kind, values, unknown} = about;
  const frame = element("fieldset", {}, element("legend", {textContent: name}));
  const tell = (value) => changed(name, value);
  const build = {
    tags, number: slider, log: slider, angle: slider, ordinal: slider,
  }[kind];
  const show = (build || (values.length > MANY ? menu : buttons))(
    frame, about, tell,
  );
  if (unknown && kind !== "class" && kind !== "binary") {
    const known = unknownBox(frame, about, tell);
    return {frame, show: (value) => (show(value), known(value))};
  }
  return {frame, show};
}

const labelled = (value) =>
  typeof value === "number" ? String(Number(value.toPrecision(8))) : value;

function choice(type, name, text, changed) {
  const input = element("input", {type, name});
  input.addEventListener("change", () => changed(input));
  const label = element("label", {className: "choice"});
  label.append(input, element("span", {textContent: text}));
  return {label, input};
}

// Buttons of which one is down; null is unknown.
function buttons(frame, {name, values, unknown}, tell) {
  const all = unknown ? [...values, null] : values;
  const row = element("div", {className: "row"});
  const inputs = all.map((value) => {
    const text = value === null ? "unknown" : value;
    const one = choice("radio", `condition ${name}`, text, () => tell(value));
    row.append(one.label);
    return one.input;
  });
  frame.append(row);
  return (value) => inputs.forEach((x, i) => (x.checked = all[i] === value));
}

function menu(frame, {name, values, unknown}, tell) {
  const all = unknown ? [...values, null] : values;
  const select = element("select", {ariaLabel: name});
  for (const value of all) {
    select.append(element("option", {textContent: value ?? "unknown"}));
  }
  select.addEventListener("change", () => tell(all[select.selectedIndex]));
  frame.append(select);
  return (value) => (select.selectedIndex = all.indexOf(value));
}

// Tags, any number of which are on.
function tags(frame, {name, values}, tell) {
  const row = element("div", {className: "row"});
  const inputs = values.map((value) => {
    const one = choice("checkbox", `condition ${name}`, value, () =>
      tell(values.filter((_, i) => inputs[i].checked)),
    );
    row.append(one.label);
    return one.input;
  });
  frame.append(row);
  return (value) =>
    inputs.forEach((x, i) => (x.checked = !!value?.includes(values[i])));
}

// A slider whose places are the settings.
function slider(frame, {name, values}, tell) {
  const input = element("input", {
    type: "range", min: 0, max: values.length - 1, step: 1, ariaLabel: name,
  });
  const output = element("output");
  const say = (text) => {
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", () => {
    say(labelled(values[input.value]));
    tell(values[input.value]);
  });
  frame.append(element("div", {className: "slide"}, input, output));
  return (value) => {
    if (value !== null) input.value = values.indexOf(value);
    say(value === null ? "unknown" : labelled(value));
  };
}

// A box that makes a value unknown, beside another control.
function unknownBox(frame, {kind, values}, tell) {
  const box = element("input", {type: "checkbox"});
  const text = document.createTextNode(" unknown");
  frame.append(element("label", {className: "row"}, box, text));
  const middle = kind === "tags" ? [] : values[values.length >> 1];
  let last = middle;
  box.addEventListener("change", () => tell(box.checked ? null : last));
  return (value) => {
    box.checked = value === null;
    if (value !== null) last = value;
  };
}

// A slider of plain numbers: a latent, or the guidance.
function numberSlider({name, low, high, step}, changed) {
  const input = element("input", {
    type: "range", min: low, max: high, step, ariaLabel: name,
  });
  const output = element("output");
  input.addEventListener("input", () => {
    output.textContent = Number(input.value).toFixed(2);
    changed(Number(input.value));
  });
  const text = element("span", {textContent: name});
  const row = element("div", {className: "slide named"}, text, input, output);
  const show = (value) => {
    input.value = value;
    output.textContent = value.toFixed(2);
  };
  return {row, show};
}
