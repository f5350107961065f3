/* The picture a character is to look like: uploaded (file, drop, paste), picked, used from the grid; and whether it is
   matched. The value is {character_id, version, was, url, match, words, count, seed, shelf}. Fires 'choose' {kind, id,
   character}, 'remove' {character}, 'match' {on, character}, 'fresh' {character} and 'shelf' {character, search}. */
const studio = window.studio;
const { h, icon } = studio;
const button = element.querySelector(".rf-open");
const panel = element.querySelector(".rf-panel");
const input = element.querySelector(".rf-file");
const RIGHTS = "I have the rights to this picture, and it shows no real person who did not agree.";
const TYPES = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/avif"];
const MOST_BYTES = 20 * 1024 * 1024;
let view = "now"; // now | offered | shelf
let offered = null; // {file, url, told, sending, refused}
let shelf = { search: "", items: null };
let timer = null;

const now = () => (props.value?.character_id === studio.desk.id ? props.value : {});
const ask = (name, more = {}) => trigger(name, { character: studio.desk.id, ...more });

/* ---- a file that a person brings ---- */

function kindOf(file) {
  if (TYPES.includes(file.type)) return file.type;
  return /\.(heic|heif|avif)$/i.test(file.name) ? "application/octet-stream" : null;
}

function offer(file) {
  if (!file || studio.desk.id === null) return;
  if (!kindOf(file)) return studio.notice("This is no picture the studio takes. Choose a PNG, JPEG, WebP, HEIC or AVIF.");
  if (file.size > MOST_BYTES) return studio.notice("This picture is larger than 20 MB. Make it smaller, and try again.");
  forget();
  offered = { file, url: URL.createObjectURL(file), told: null };
  view = "offered";
  studio.setView("portraits");
  menu.open();
  draw();
  panel.querySelector("input[type=checkbox]").focus();
  tell(offered);
}

function forget() {
  if (offered) URL.revokeObjectURL(offered.url);
  offered = null;
}

/** What the picture tells of its making, to be looked at before any of it is taken. */
async function tell(mine) {
  try {
    const answer = await fetch("/recipes", { method: "POST", headers: { "Content-Type": kindOf(mine.file) }, body: mine.file });
    if (answer.ok) mine.told = (await answer.json()).found;
  } catch {
    return; // a picture without readable settings is as good a reference
  }
  if (offered === mine && mine.told) redraw();
}

async function send() {
  const mine = offered;
  mine.sending = true;
  mine.refused = "";
  draw();
  const query = new URLSearchParams({ characterId: studio.desk.id, fileName: mine.file.name.slice(0, 255), rightsConfirmed: "true", use: "true" });
  let answer = null;
  try {
    const response = await fetch(`/references?${query}`, { method: "POST", headers: { "Content-Type": kindOf(mine.file) }, body: mine.file });
    answer = await response.json();
  } catch {
    answer = { success: false, error: "The studio did not answer. Nothing was kept; try again." };
  }
  mine.sending = false;
  if (!answer.success) return void ((mine.refused = answer.error), offered === mine && redraw());
  if (offered === mine) (forget(), (view = "now"));
  ask("fresh");
  for (const note of answer.notes ?? []) studio.notice(note.sentence);
  offerMatch("The picture is this character\u2019s reference now.");
}

let stopOffer = null;

function offerMatch(sentence) {
  stopOffer?.();
  if (now().match) return studio.notice(sentence);
  stopOffer = studio.notice(`${sentence} New portraits follow it once image match is on.`, { action: "Match it", onAction: () => ask("match", { on: true }), seconds: 10 });
}

/* ---- what the panel shows ---- */

function head(words, back = false) {
  const leave = h("button", { type: "button", class: "cm-close", "aria-label": "Close", onclick: () => menu.close(true) }, icon("close"));
  const arrow = back && h("button", { type: "button", class: "cm-close", "aria-label": "Back", onclick: () => (forget(), (view = "now"), draw(), panel.querySelector("button")?.focus()) }, icon("back"));
  return h("header", {}, arrow, h("b", {}, words), leave);
}

function ways() {
  return h("div", { class: "rf-ways" },
    h("button", { type: "button", class: "ps-button ps-small", onclick: () => input.click() }, icon("upload"), "Upload"),
    h("button", { type: "button", class: "ps-button ps-small", onclick: openShelf }, icon("picture"), "Library"),
    now().url && h("button", { type: "button", class: "ps-button ps-small ps-danger", onclick: () => ask("remove") }, icon("trash"), "Remove"));
}

function matching() {
  const toggle = h("button", { type: "button", class: "rf-switch", role: "switch", "aria-checked": String(Boolean(now().match)), disabled: !now().url, onclick: () => ask("match", { on: !now().match }) }, h("i"));
  toggle.setAttribute("aria-label", "Image match");
  return h("div", { class: "rf-match" }, h("span", {}, h("b", {}, "Image match"), h("small", { "data-none": String(now().count === 0) }, now().url ? now().words : "Choose a picture first.")), toggle);
}

function drawNow() {
  const url = now().url && studio.safeUrl(now().url);
  const picture = url ? h("img", { class: "rf-picture", src: url, alt: "The reference picture" }) : h("button", { type: "button", class: "rf-drop", onclick: () => input.click() }, icon("upload"), h("b", {}, "Drop a picture here"), h("small", {}, "or paste it, or press to choose a file"));
  return [head("Reference picture"), picture, now().missing && h("p", { class: "rf-bad", role: "alert" }, "The reference lies on another site or is not stored any more. Choose another one."), ways(), matching()];
}

function taker(words, run) {
  return h("button", { type: "button", class: "lb-take", onclick: () => (run(), studio.notice("Taken. Nothing else was changed.")) }, icon("earlier"), words);
}

function review(told) {
  const row = (title, words, take) => words && h("div", { class: "rf-row" }, h("small", {}, title), h("p", {}, words), take);
  const presets = Object.entries(told.presets ?? {});
  return h("section", { class: "rf-told", "aria-label": "Settings in this picture" }, h("b", {}, `It tells how it was made (${told.program})`),
    row("Prompt", told.prompt, taker("Take the words", () => studio.recall({ words: told.prompt }))),
    row("Seed", told.seed, taker("Take the seed", () => studio.recall({ seed: told.seed }))),
    presets.length ? row("Presets", presets.map(([, words]) => words).join(", "), taker("Take the presets", () => studio.recall({ presets: told.presets }))) : null,
    row("Model", told.model), row("Size", told.size));
}

function drawOffered() {
  const { file, url, told, sending, refused } = offered;
  const use = h("button", { type: "button", class: "ps-button ps-primary", disabled: true, onclick: send }, sending ? "Uploading\u2026" : "Use as reference");
  const rights = h("input", { type: "checkbox", disabled: Boolean(sending), checked: Boolean(offered.agreed), onchange: () => ((offered.agreed = rights.checked), (use.disabled = !rights.checked || sending)) });
  use.disabled = !offered.agreed || Boolean(sending);
  const picture = h("img", { class: "rf-picture", src: url, alt: "The picture you chose", onerror: (event) => event.target.replaceWith(h("p", { class: "rf-name" }, icon("picture"), file.name)) });
  return [head("Use this picture?", true), picture, h("label", { class: "rf-rights" }, rights, h("span", {}, RIGHTS)), refused && h("p", { class: "rf-bad", role: "alert" }, icon("alert"), refused), use, told && review(told)];
}

function openShelf() {
  view = "shelf";
  draw();
  panel.querySelector("input").focus();
  ask("shelf", { search: shelf.search });
}

function drawShelf() {
  const search = h("input", { type: "search", placeholder: "Search your library", "aria-label": "Search your library", maxlength: 80, value: shelf.search, oninput: () => {
    shelf.search = search.value;
    clearTimeout(timer);
    timer = setTimeout(() => ask("shelf", { search: shelf.search }), 250);
  } });
  return [head("From the library", true), search, h("div", { class: "rf-shelf" })];
}

function drawShelfItems() {
  const box = panel.querySelector(".rf-shelf");
  if (!box || shelf.items === null) return;
  const pick = (one) => () => ((view = "now"), draw(), ask("choose", { kind: one.kind, id: one.id }), menu.close(true), offerMatch("The picture is this character\u2019s reference now."));
  const item = (one) => h("button", { type: "button", class: "rf-item", "aria-label": `Use ${one.title}`, title: one.title, onclick: pick(one) }, h("img", { src: studio.safeUrl(one.url), alt: "", loading: "lazy" }));
  box.replaceChildren(...(shelf.items.length ? shelf.items.map(item) : [h("p", { class: "bn-none" }, shelf.search ? "No picture of yours matches these words." : "Your library is empty so far. Upload a picture instead.")]));
}

function draw() {
  panel.replaceChildren(...(view === "offered" && offered ? drawOffered() : view === "shelf" ? drawShelf() : drawNow()).filter(Boolean));
  drawShelfItems();
}

function render() {
  const url = now().url && studio.safeUrl(now().url);
  button.dataset.match = String(Boolean(now().match));
  button.title = now().match ? `Image match is on. ${now().words}.` : "A picture to look like";
  const state = now().match ? ` Image match is on. ${now().words}` : url ? ", image match is off" : ", none";
  button.replaceChildren(...[url ? h("img", { src: url, alt: "" }) : icon("likeness"), h("span", {}, now().match ? "Matched" : "Reference"), now().match && h("i", { class: "rf-badge", "data-none": String(now().count === 0) }, String(now().count)), h("span", { class: "ps-hidden" }, state)].filter(Boolean));
  document.body.classList.toggle("ps-match", Boolean(now().match));
  if (!panel.hidden && view === "now") redraw();
}

function redraw() {
  const stops = () => [...panel.querySelectorAll("button, input")];
  const at = stops().indexOf(document.activeElement);
  draw();
  if (at >= 0) (stops()[at] ?? stops()[0])?.focus();
}

function receive() {
  const value = props.value;
  studio.likeness = now();
  if (now().match) stopOffer?.(); // there is nothing to offer any more
  if (value?.shelf) ((shelf.items = value.shelf), drawShelfItems());
  // image match is a field of the character: its own step must not look like somebody else's edit
  if (value?.character_id === studio.desk.id && value.was === studio.desk.version) studio.desk.version = value.version;
  render();
  studio.announce("likeness", now());
  studio.announce("ask");
}

const menu = studio.popover(button, panel, { onOpen: () => ((view = offered ? "offered" : "now"), draw(), panel.querySelector("button")?.focus()) });
input.addEventListener("change", () => (offer(input.files[0]), (input.value = "")));

/* ---- dropping and pasting anywhere on the stage ---- */

const stage = () => document.querySelector("#stage");
const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
let inside = null;
document.addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault(); // else a dropped file would replace the page
  stage()?.classList.toggle("rf-over", studio.desk.id !== null);
  clearTimeout(inside);
  inside = setTimeout(() => stage()?.classList.remove("rf-over"), 250);
});
document.addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  stage()?.classList.remove("rf-over");
  offer(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  if (file) (event.preventDefault(), offer(file));
});

studio.on("use-portrait", ({ id }) => (ask("choose", { kind: "portrait", id }), offerMatch("This portrait is the character\u2019s reference now.")));
studio.on("open-reference", () => menu.open());
studio.on("character", () => studio.desk.id !== null && ask("fresh"));
let of = null;
studio.on("shown", () => {
  if (studio.desk.id !== of) (menu.close(), forget(), (shelf = { search: "", items: null }));
  of = studio.desk.id;
  studio.likeness = now();
  render();
});
watch("value", receive);
receive();
