/* The palette: characters by name (asked for with 'find' {search}) and the page's commands. */
const studio = window.studio;
const { h, icon } = studio;
const LABEL = "Search characters and commands";
const button = element.querySelector(".pl-open");
button.querySelector(".pl-icon").replaceWith(icon("search"));
button.querySelector("kbd").textContent = /Mac|iPhone|iPad/.test(navigator.platform) ? "\u2318 K" : "Ctrl K";
button.title = LABEL;
button.setAttribute("aria-keyshortcuts", "Control+K Meta+K");
button.addEventListener("click", show);
let opened = null; // {close, box, list, at}
let timer = null;

const folded = (text) => text.toLowerCase();

/** Every word typed is in the label. */
const fits = (label, words) => words.every((word) => folded(label).includes(word));

/** On the desk where there is one; the other pages lead to it. */
function openCharacter(id) {
  if (studio.inEditor()) studio.open(id);
  else location.assign(studio.pages.editorOf(id));
}

/** How well: 0 where the label begins with what was typed, 1 where a word of it does, else 2. */
const rank = (label, typed) => (folded(label).startsWith(typed) ? 0 : folded(label).includes(` ${typed}`) ? 1 : 2);

function person(card) {
  const url = card.thumb_url && studio.safeUrl(card.thumb_url);
  const face = h("span", { class: "cp-face" }, icon("person"));
  if (url) face.append(h("img", { src: url, alt: "", onerror: (event) => event.target.remove() }));
  return { label: card.name, node: [face, h("span", { class: "pl-label" }, card.name), h("small", {}, "Character")], kind: "pl-person", run: () => openCharacter(card.id) };
}

const action = (one) => ({ label: one.label, node: [h("span", { class: "pl-face" }, icon(one.icon)), h("span", { class: "pl-label" }, one.label), one.keys ? studio.keysOf(one) : h("small", {}, one.group)], kind: "pl-command", run: one.run });

function entries() {
  const words = folded(opened.box.value).split(/\s+/).filter(Boolean);
  const commands = studio.commands().filter((one) => fits(`${one.label} ${one.group}`, words)).map(action);
  const people = (props.value?.people ?? []).filter((card) => fits(card.name, words)).map(person);
  const typed = words.join(" ");
  return words.length ? [...commands, ...people].sort((one, other) => rank(one.label, typed) - rank(other.label, typed)) : [...people.slice(0, 4), ...commands];
}

function mark(at) {
  const rows = [...opened.list.querySelectorAll("[role=option]")];
  opened.at = rows.length ? (at + rows.length) % rows.length : -1;
  rows.forEach((row, place) => row.setAttribute("aria-selected", String(place === opened.at)));
  const row = rows[opened.at];
  row ? opened.box.setAttribute("aria-activedescendant", row.id) : opened.box.removeAttribute("aria-activedescendant");
  row?.scrollIntoView({ block: "nearest" });
}

function draw() {
  const chosen = opened.at > 0 ? opened.found[opened.at] : null; // what one walked to stays chosen when people arrive
  opened.found = entries();
  const row = (entry, at) => h("li", { id: `pl-${at}`, role: "option", class: entry.kind, "aria-selected": "false", onclick: () => take(at), onpointermove: () => opened.at === at || mark(at) }, ...entry.node);
  opened.list.replaceChildren(...opened.found.map(row));
  opened.none.hidden = opened.found.length > 0;
  mark(Math.max(0, opened.found.findIndex((entry) => chosen && entry.kind === chosen.kind && entry.label === chosen.label)));
}

function take(at) {
  const entry = opened.found[at];
  opened.close();
  entry?.run();
}

function keys(event) {
  if (event.key === "ArrowDown") mark(opened.at + 1);
  else if (event.key === "ArrowUp") mark(opened.at - 1);
  else if (event.key === "Enter" && !event.isComposing) take(opened.at);
  else return;
  event.preventDefault();
}

function show() {
  if (opened) return opened.close();
  const box = h("input", { type: "text", class: "pl-box", role: "combobox", "aria-expanded": "true", "aria-controls": "pl-list", "aria-autocomplete": "list", "aria-label": LABEL, placeholder: "A character, or something to do", autocomplete: "off", maxlength: 80 });
  const list = h("ul", { id: "pl-list", role: "listbox", "aria-label": "Found" });
  const none = h("p", { class: "pl-none", hidden: true }, "Nothing by that name. Try fewer letters.");
  const frame = studio.dialog({ title: "Go to", body: [box, list, none], onClose: () => ((opened = null), clearTimeout(timer)), testid: "palette" });
  frame.card.classList.add("pl-card");
  opened = { ...frame, box, list, none, at: 0, found: [] };
  box.addEventListener("keydown", keys);
  box.addEventListener("input", () => {
    opened.at = 0;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => trigger("find", { search: box.value.trim() }), 120);
  });
  trigger("find", { search: "" });
  draw();
}

studio.on("palette", show);
watch("value", () => opened && draw());
