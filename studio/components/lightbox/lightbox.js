/* One portrait, large, and how it was made. Looking spends nothing and changes no field: what is taken from a
   portrait (its words, its seed, its presets) is taken by a press of its own. Fires 'look' {ids, number}; the value
   answers {number, details} or {number, problem}. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".lb");
const known = new Map(); // id → details
const asked = new Map(); // number → {resolve, ids}
const KEEP = 200; // details that are kept
const NEAR_END = 8; // leafing to one of the last portraits of the grid brings those that follow
let current = null;
let opener = null;
let timer = null;

/* ---- details, for the lightbox and for whoever compares ---- */

/** The details of these portraits; null for one that is gone. */
function look(ids, { fresh = false } = {}) {
  const missing = ids.filter((id) => fresh || !known.has(id));
  const all = () => ids.map((id) => known.get(id) ?? null);
  if (!missing.length) return Promise.resolve(all());
  const number = studio.uuid();
  return new Promise((resolve) => {
    asked.set(number, () => resolve(all()));
    trigger("look", { ids: missing, number });
  });
}

function answered() {
  const answer = props.value;
  if (!answer?.number) return;
  if (answer.problem) studio.notice(answer.problem);
  for (const one of answer.details ?? []) known.set(one.id, one);
  while (known.size > KEEP) known.delete(known.keys().next().value);
  asked.get(answer.number)?.();
  asked.delete(answer.number);
  if (current !== null) fill();
}

/* ---- opening and leaving ---- */

function open(id) {
  if (current === null) opener = id;
  current = id;
  const wasHidden = box.hidden;
  box.hidden = false;
  document.body.classList.add("ps-locked");
  fill();
  if (wasHidden) box.querySelector(".lb-close").focus();
  if (studio.grid.portraits().slice(-NEAR_END).some((one) => one.id === id)) studio.grid.more();
  clearTimeout(timer);
  timer = setTimeout(() => look([id]), known.has(id) ? 0 : 60); // leafing through quickly asks for the last one only
}

function close() {
  if (current === null) return;
  const back = current;
  current = null;
  clearTimeout(timer);
  box.hidden = true;
  box.replaceChildren();
  document.body.classList.remove("ps-locked");
  studio.grid.byId(back) ? studio.grid.focus(back) : studio.grid.focus(opener ?? "");
}

function step(by) {
  const next = studio.grid.neighbour(current, by);
  if (next) open(next.id);
}

/** A portrait was deleted: the next one takes its place. True where it was the open one. */
function afterDelete(id, next) {
  if (current !== id) return false;
  next ? open(next) : close();
  return true;
}

/* ---- taking a part of it over, each by itself ---- */

/** Only for who can make the next picture with it. */
function taker(words, title, run) {
  return studio.mayChange() && h("button", { type: "button", class: "lb-take", title, onclick: run }, icon("earlier"), words);
}

function takePrompt(details) {
  studio.recall({ words: details.own_words || details.prompt });
  studio.notice("Its words are in the bar below now. Nothing else was changed.");
}

function takeSeed(details) {
  studio.recall({ seed: details.seed });
  studio.notice(`The next pictures are made with the seed ${details.seed}.`);
}

function takePresets(details) {
  studio.recall({ presets: Object.fromEntries(details.presets.map((one) => [one.kind, one.key])) });
  studio.notice("Its pose and presets are chosen now.");
}

/* ---- what is shown ---- */

function heading(title, take = null) {
  return h("div", { class: "lb-head" }, h("h3", {}, title), take);
}

function fact(title, value) {
  return value ? h("div", { class: "lb-fact" }, h("dt", {}, title), h("dd", {}, value)) : null;
}

function stars(tile) {
  const one = (amount) => h("button", { type: "button", class: "lb-starry", role: "radio", "aria-checked": String(tile.stars === amount), "data-on": String((tile.stars ?? 0) >= amount), "aria-label": amount === 1 ? "1 star" : `${amount} stars`, "data-stars": amount, title: tile.stars === amount ? "Take the rating back" : `${amount} of 5`, onclick: () => studio.grid.rate(studio.grid.byId(tile.id), amount) }, icon("star"));
  return h("div", { class: "lb-stars", role: "radiogroup", "aria-label": "Your rating" }, ...[1, 2, 3, 4, 5].map(one));
}

function judging(tile) {
  const heart = h("button", { type: "button", class: "lb-heart", "aria-pressed": String(tile.favourite), onclick: () => studio.grid.favour(studio.grid.byId(tile.id)) }, icon("heart"), tile.favourite ? "Favourite" : "Add to favourites");
  return h("div", { class: "lb-judge" }, heart, stars(tile));
}

function stage(tile, details) {
  const url = studio.safeUrl(details?.full_url || tile.url || "");
  const frame = h("div", { class: "lb-stage", onclick: (event) => event.target === event.currentTarget && close() });
  if (url) frame.append(h("img", { src: url, alt: tile.title, "data-testid": "lightbox-img", class: details ? null : "lb-soon" }));
  else frame.append(h("p", { class: "lb-none" }, icon("picture"), "This picture cannot be shown."));
  frame.append(h("button", { type: "button", class: "lb-round lb-close", "aria-label": "Close", onclick: close }, icon("close")));
  if (studio.grid.portraits().length > 1) frame.append(h("button", { type: "button", class: "lb-round lb-prev", "aria-label": "Previous", onclick: () => step(-1) }, icon("back")), h("button", { type: "button", class: "lb-round lb-next", "aria-label": "Next", onclick: () => step(1) }, icon("forward")));
  return frame;
}

function settings(details) {
  if (!details) return [h("div", { class: "lb-bones", role: "status", "aria-label": "Loading the settings" }, h("i"), h("i"), h("i"))];
  const words = details.own_words || (details.presets.length ? "" : details.prompt);
  return [
    heading("Prompt", details.prompt && h("button", { type: "button", class: "lb-take", onclick: () => studio.copyText(details.prompt) }, icon("copy"), "Copy")),
    h("p", { class: "lb-prompt" }, details.prompt || "The prompt of this portrait is not known."),
    words && heading("Own words", taker("Take the words", "Put these words into the bar, and nothing else", () => takePrompt(details))), details.own_words && h("p", { class: "lb-prompt" }, details.own_words),
    details.presets.length && heading("Pose and presets", taker("Take the presets", "Choose the same pose and presets, and nothing else", () => takePresets(details))),
    details.presets.length && h("p", { class: "lb-tags" }, ...details.presets.map((one) => h("span", {}, one.label))),
    details.seed && heading("Seed", taker("Take the seed", "Make the next pictures with this seed", () => takeSeed(details))),
    details.seed && h("p", { class: "lb-prompt lb-number" }, details.seed),
    details.matched && heading("Matched picture"),
    details.matched && (details.reference ? h("img", { class: "lb-matched", src: studio.safeUrl(details.reference), alt: "The picture that was matched", loading: "lazy" }) : h("p", { class: "lb-prompt" }, "The picture that was matched is not stored any more.")),
    h("dl", {}, ...[fact("Model", details.model), fact("Provider", details.provider), fact("Size", details.size), fact("Cost", details.cost), fact("Took", details.seconds ? `${details.seconds} s` : ""), fact("Made", details.created_at && new Date(details.created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }))].filter(Boolean)),
    details.negative && h("details", { class: "lb-more" }, h("summary", {}, "Negative prompt"), h("p", { class: "lb-prompt" }, details.negative)),
  ].filter(Boolean);
}

function action(tile, name, entry, details) {
  const price = name === "again" ? details?.again : null;
  const word = price ? `${entry.short} \u00b7 ${price.price}` : entry.short ?? entry.label;
  return h("button", { type: "button", class: `ps-button ps-small${entry.danger ? " ps-danger" : ""}`, "data-action": name, title: price ? `${entry.label}, with ${price.name}` : entry.label, onclick: () => entry.run(studio.grid.byId(tile.id)) }, icon(entry.icon), word);
}

function actions(tile, details) {
  const { grid } = studio;
  const names = ["primary", "again", "reference", "compare", "download"];
  const fits = (name) => grid.actions[name] && !grid.actions[name].unless?.(tile) && (studio.mayChange() || !grid.actions[name].changes);
  const first = names.filter(fits).map((name) => action(tile, name, grid.actions[name], details));
  const copies = tile.url ? Object.entries(grid.copies).map(([name, entry]) => action(tile, name, entry, details)) : [];
  return h("div", { class: "lb-actions" }, ...first, ...copies, fits("delete") && action(tile, "delete", grid.actions.delete, details));
}

function side(tile, details) {
  const all = studio.grid.portraits();
  return h("aside", { class: "lb-side" },
    h("header", {}, h("h2", {}, tile.title), h("span", { "data-testid": "lightbox-pos" }, `${all.findIndex((one) => one.id === tile.id) + 1} / ${studio.grid.total()}`)),
    tile.primary && h("p", { class: "lb-primary" }, icon("star"), "Primary portrait"),
    judging(tile), ...settings(details), actions(tile, details));
}

function fill() {
  const tile = studio.grid.byId(current);
  if (!tile) return close();
  const details = known.get(current) ?? null;
  const focused = box.contains(document.activeElement) ? marker(document.activeElement) : null;
  const scrolled = box.querySelector(".lb-side")?.scrollTop ?? 0;
  const same = box.dataset.id === current;
  const picture = same ? box.querySelector(".lb-stage img") : null;
  box.dataset.id = current;
  box.setAttribute("aria-label", tile.title);
  const frame = stage(tile, details);
  const fresh = frame.querySelector("img");
  if (picture && fresh && picture.src === fresh.src) (picture.classList.toggle("lb-soon", !details), fresh.replaceWith(picture)); // a picture that stands does not flicker
  box.replaceChildren(frame, side(tile, details));
  if (same) box.querySelector(".lb-side").scrollTop = scrolled;
  if (focused) (box.querySelector(focused) ?? box.querySelector(".lb-close"))?.focus();
}

/** How to find a button again after everything was drawn anew. */
function marker(node) {
  if (node.dataset.action) return `[data-action="${node.dataset.action}"]`;
  if (node.dataset.stars) return `[data-stars="${node.dataset.stars}"]`;
  return node.className ? `.${node.className.trim().split(/\s+/).join(".")}` : ".lb-close";
}

/* ---- keys and fingers ---- */

const KEYS = {
  Escape: close,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Home: () => open(studio.grid.portraits()[0].id),
  End: () => open(studio.grid.portraits().at(-1).id),
  Delete: () => studio.grid.remove([studio.grid.byId(current)]),
  f: () => studio.grid.favour(studio.grid.byId(current)),
  s: () => studio.grid.byId(current).primary || !studio.mayChange() || studio.grid.actions.primary.run(studio.grid.byId(current)),
  c: () => box.querySelector("[data-action=compare]")?.click(),
  d: () => studio.grid.download(studio.grid.byId(current)),
};

box.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const run = KEYS[event.key] ?? ("12345".includes(event.key) ? () => studio.grid.rate(studio.grid.byId(current), Number(event.key)) : null);
  if (!run) return studio.trapTab(event, box);
  event.preventDefault();
  event.stopPropagation();
  run();
});

let touchedAt = null;
box.addEventListener("touchstart", (event) => (touchedAt = event.touches.length === 1 ? event.touches[0].clientX : null), { passive: true });
box.addEventListener("touchend", (event) => {
  const by = touchedAt === null ? 0 : event.changedTouches[0].clientX - touchedAt;
  if (Math.abs(by) > 60 && event.target.closest(".lb-stage")) step(by > 0 ? -1 : 1);
});

studio.look = look;
studio.lightbox = { open, close, afterDelete, isOpen: () => current !== null };
studio.on("tiles", () => current !== null && fill());
watch("value", answered);
