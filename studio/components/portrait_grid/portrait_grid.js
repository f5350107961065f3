/* Portraits and the jobs that are becoming portraits. The value is {character_id, at, tiles}; an answer that is
   older than what is shown is not drawn. Fires 'act' {action, id, character, key}, 'order' {ids, character} and
   'stale' {character}. */
const studio = window.studio;
const { h, icon, desk } = studio;
const list = element.querySelector(".pg-list");
const empty = element.querySelector(".pg-empty");
const box = element.querySelector(".lb");
const UNDO_SECONDS = 10;
const drawn = new Map(); // id → {node, face}: a tile whose row did not change keeps its element, focus and picture
const gone = new Set(); // deleted here, and the rows do not say so yet
let shown = { character_id: null, at: 0, tiles: [] };
let current = null; // the portrait in the lightbox
let stale = false;
let dragged = null;
let looksUp = false; // new pictures were asked for here: they appear at the top

const tiles = () => shown.tiles.filter((tile) => !gone.has(tile.id));
const portraits = () => tiles().filter((tile) => tile.kind === "portrait");
const byId = (id) => shown.tiles.find((tile) => tile.id === id);
const seconds = (left) => (left < 60 ? `${Math.max(1, Math.round(left))} s` : `${Math.round(left / 60)} min`);

// one key for every press: a request that pays is never taken twice
function act(action, id, more = {}) {
  if (action === "again" || action === "retry") looksUp = true;
  trigger("act", { action, id, character: shown.character_id, key: studio.uuid(), ...more });
}

/* ---- what a person can do with a portrait ---- */

function download(tile) {
  const url = studio.safeUrl(tile.download_url || tile.full_url);
  if (!url) return studio.notice("This picture has no file to download.");
  const link = h("a", { href: url, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

function remove(tile) {
  const next = neighbour(tile.id, portraits().at(-1)?.id === tile.id ? -1 : 1);
  const inBox = current === tile.id;
  gone.add(tile.id);
  act("delete", tile.id);
  if (inBox) next && next.id !== tile.id ? show(next.id) : close();
  render();
  if (!inBox) list.querySelector(`[data-id="${CSS.escape(next.id)}"] .pg-open, .pg-add button`)?.focus();
  const undo = () => {
    gone.delete(tile.id);
    render();
    act("restore", tile.id, { primary: tile.primary });
  };
  studio.notice("Portrait deleted.", { action: "Undo", onAction: undo, seconds: UNDO_SECONDS });
}

function move(id, step) {
  const ids = portraits().map((tile) => tile.id);
  const from = ids.indexOf(id);
  place(id, ids[from + step], step > 0);
}

/** Put a portrait before (or after) another one, here at once and in the rows. */
function place(id, target, after) {
  const ids = portraits().map((tile) => tile.id).filter((other) => other !== id);
  if (!target || target === id) return;
  ids.splice(ids.indexOf(target) + (after ? 1 : 0), 0, id);
  const rank = new Map(ids.map((one, at) => [one, at]));
  const jobs = shown.tiles.filter((tile) => tile.kind !== "portrait");
  shown = { ...shown, tiles: [...jobs, ...shown.tiles.filter((tile) => tile.kind === "portrait").sort((a, b) => (rank.get(a.id) ?? 1e9) - (rank.get(b.id) ?? 1e9))] };
  render();
  trigger("order", { ids, character: shown.character_id });
}

const ACTIONS = {
  primary: { label: "Set as primary", icon: "star", unless: (tile) => tile.primary, run: (tile) => act("primary", tile.id) },
  again: { label: "Regenerate with this prompt", short: "Regenerate", icon: "redo", run: (tile) => act("again", tile.id) },
  copy: { label: "Copy prompt", icon: "copy", unless: (tile) => !tile.prompt, run: (tile) => studio.copyText(tile.prompt) },
  download: { label: "Download", icon: "download", run: download },
  earlier: { label: "Move earlier", icon: "earlier", unless: (tile) => portraits()[0]?.id === tile.id, run: (tile) => move(tile.id, -1) },
  later: { label: "Move later", icon: "later", unless: (tile) => portraits().at(-1)?.id === tile.id, run: (tile) => move(tile.id, 1) },
  delete: { label: "Delete", icon: "trash", danger: true, run: remove },
};
const possible = (tile) => Object.entries(ACTIONS).filter(([, action]) => !action.unless?.(tile));

/* ---- the menu of a tile ---- */

function closeMenu(giveFocusBack = false) {
  const menu = list.querySelector(".pg-menu");
  if (!menu) return;
  const button = menu.parentElement.querySelector(".pg-more");
  button.setAttribute("aria-expanded", "false");
  menu.remove();
  if (giveFocusBack) button.focus();
}

function openMenu(tile, node, button) {
  const item = ([name, action]) => h("button", { type: "button", role: "menuitem", "data-action": name, class: action.danger ? "pg-danger" : null, onclick: () => (closeMenu(true), action.run(byId(tile.id))) }, icon(action.icon), action.label);
  const menu = h("div", { class: "pg-menu", role: "menu", "aria-label": "What to do with this portrait" }, ...possible(byId(tile.id)).map(item));
  button.setAttribute("aria-expanded", "true");
  node.append(menu);
  const edge = menu.getBoundingClientRect();
  const room = list.closest("#stage-scroll")?.getBoundingClientRect() ?? document.body.getBoundingClientRect();
  if (edge.bottom > room.bottom) menu.classList.add("pg-up");
  if (edge.left < room.left) menu.classList.add("pg-right");
  menu.querySelector("button").focus({ preventScroll: true });
}

function toggleMenu(tile, node, button) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  closeMenu();
  if (!isOpen) openMenu(tile, node, button);
}

/* ---- tiles ---- */

function pictureFailed(event) {
  const frame = event.target.parentElement;
  event.target.remove();
  frame.append(h("span", { class: "pg-missing" }, icon("picture"), h("small", {}, "Picture not found")));
  if (!stale) ((stale = true), trigger("stale", { character: shown.character_id })); // its link may only have run out
}

function picture(tile) {
  const url = tile.url && studio.safeUrl(tile.url);
  const open = h("button", { type: "button", class: "pg-open", "aria-label": `Open ${tile.title}`, "data-testid": "tile-open", onclick: () => show(tile.id) });
  if (!url && tile.external) return elsewhere(tile);
  open.append(url ? h("img", { src: url, alt: tile.title, loading: "lazy", decoding: "async", draggable: "false", onerror: pictureFailed }) : h("span", { class: "pg-missing" }, icon("picture"), h("small", {}, "No picture")));
  return open;
}

/** A picture on another site: shown only when asked for, there, with its age. */
function elsewhere(tile) {
  const link = h("a", { class: "pg-missing", href: studio.safeUrl(tile.external), target: "_blank", rel: "noreferrer noopener" }, icon("picture"),
    h("small", {}, "Kept on another site"), h("small", {}, `since ${new Date(tile.created_at).toLocaleDateString()}`), h("b", {}, "Look there"));
  return link;
}

function portraitTile(tile) {
  const node = h("li", { class: "pg-tile", "data-id": tile.id, "data-testid": "tile", draggable: "true" }, picture(tile));
  const star = h("button", { type: "button", class: "pg-star", "aria-pressed": String(tile.primary), "aria-label": tile.primary ? "Primary portrait" : "Set as primary", title: tile.primary ? "Primary portrait" : "Set as primary", onclick: () => tile.primary || ACTIONS.primary.run(tile) }, icon("star"));
  const more = h("button", { type: "button", class: "pg-more", "aria-label": "Options", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => toggleMenu(tile, node, more) }, icon("more"));
  if (tile.primary) star.append(h("span", {}, "Primary"));
  node.append(star, more);
  return node;
}

function bar(tile) {
  const known = tile.fraction !== null && tile.fraction !== undefined;
  const moves = known ? "true" : tile.status === "queued" ? "waiting" : "false"; // what waits shows no movement
  const percent = known ? Math.round(tile.fraction * 100) : null;
  const fill = h("i", {});
  if (known) fill.style.width = `${percent}%`;
  return h("div", { class: "pg-bar", role: "progressbar", "aria-label": tile.stage_words, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent, "data-known": moves }, fill);
}

function jobFacts(tile) {
  const place = tile.queue_position > 0 && !tile.stage_words.includes("before it") ? `${tile.queue_position} before it` : null;
  const left = tile.seconds_left ? `about ${seconds(tile.seconds_left)} left` : null;
  return [place, left].filter(Boolean).join(" \u00b7 ");
}

function jobButton(tile, action, word, look = "") {
  const press = (event) => ((event.currentTarget.disabled = true), act(action, tile.id));
  return h("button", { type: "button", class: `ps-button ps-small ${look}`, onclick: press }, word);
}

function runningTile(tile) {
  return h("li", { class: "pg-tile pg-job", "data-id": tile.id, "data-testid": "tile-job", "data-status": tile.status },
    h("div", { class: "pg-glow", "aria-hidden": "true" }),
    h("div", { class: "pg-say" }, h("b", {}, tile.stage_words), h("small", {}, jobFacts(tile) || tile.model || "")),
    h("div", { class: "pg-foot" }, bar(tile), tile.can_cancel && jobButton(tile, "cancel", "Cancel")));
}

function unknownTile(tile) {
  return h("li", { class: "pg-tile pg-job pg-unknown", "data-id": tile.id, "data-testid": "tile-unknown" },
    h("div", { class: "pg-say" }, h("b", {}, icon("help"), tile.stage_words || "Outcome unknown"), h("small", {}, tile.error_words || "The request was sent, and no answer came. It may have been paid, so it is not sent again by itself. QA sees it too.")));
}

/** Where there is no pointer to hover with, pressing the shortened sentence shows it whole. */
function tellWhole(event) {
  const words = event.currentTarget;
  if (words.scrollHeight > words.clientHeight) studio.notice(words.textContent, { seconds: 12 });
}

/** As many lines as the tile has room for; the last one ends in an ellipsis. */
function fitWords() {
  for (const say of list.querySelectorAll(".pg-job .pg-say")) {
    const words = say.querySelector("small");
    const room = say.getBoundingClientRect().bottom - words.getBoundingClientRect().top;
    words.style.webkitLineClamp = Math.max(1, Math.floor(room / parseFloat(getComputedStyle(words).lineHeight)));
  }
}

function failedTile(tile) {
  const title = tile.status === "cancelled" ? "Cancelled" : "Not made";
  return h("li", { class: `pg-tile pg-job pg-failed${tile.status === "cancelled" ? " pg-calm" : ""}`, "data-id": tile.id, "data-testid": "tile-failed" },
    h("div", { class: "pg-say" }, h("b", {}, icon(tile.status === "cancelled" ? "close" : "alert"), title), h("small", { title: tile.error_words || null, onclick: tellWhole }, tile.error_words || "")),
    h("div", { class: "pg-foot pg-two" }, tile.can_retry && jobButton(tile, "retry", "Try again", "ps-primary"), jobButton(tile, "dismiss", "Dismiss")));
}

function build(tile) {
  if (tile.kind === "portrait") return portraitTile(tile);
  if (tile.is_unknown) return unknownTile(tile);
  return tile.status === "failed" || tile.status === "cancelled" ? failedTile(tile) : runningTile(tile);
}

function addTile() {
  const start = () => {
    studio.setView("portraits");
    document.querySelector("#f_own_words :is(input, textarea)")?.focus();
  };
  return h("li", { class: "pg-tile pg-add" }, h("button", { type: "button", "data-testid": "tile-add", onclick: start }, icon("add"), h("span", {}, "New portrait")));
}

/** Progress moves inside the tile that stands there; a new tile would restart its animation and lose focus. */
function refresh(tile, old) {
  if (tile.kind !== "job" || old.node.dataset.testid !== "tile-job" || tile.is_unknown || ["failed", "cancelled"].includes(tile.status)) return false;
  const cancel = old.node.querySelector(".ps-button");
  if (Boolean(cancel) !== Boolean(tile.can_cancel)) return false;
  old.node.querySelector("b").textContent = tile.stage_words;
  old.node.querySelector("small").textContent = jobFacts(tile) || tile.model || "";
  old.node.querySelector(".pg-bar").replaceWith(bar(tile));
  old.node.dataset.status = tile.status;
  return true;
}

function nodeOf(tile) {
  const face = JSON.stringify(tile);
  const old = drawn.get(tile.id);
  if (old?.face === face) return old.node;
  if (old && refresh(tile, old)) return (old.face = face), old.node;
  const node = build(tile);
  const hadFocus = old?.node.contains(document.activeElement);
  drawn.set(tile.id, { node, face });
  if (old) node.classList.add("pg-still");
  if (hadFocus) queueMicrotask(() => node.querySelector("button")?.focus());
  return node;
}

function renderEmpty() {
  const nobody = desk.id === null;
  const none = !tiles().length;
  empty.hidden = !(nobody || none) || !shown.at;
  list.hidden = !empty.hidden;
  if (empty.hidden) return;
  const start = h("button", { type: "button", class: "ps-button ps-primary", onclick: () => studio.announce("create") }, icon("add"), "New character");
  const typed = desk.typed;
  const step = (done, words) => h("li", { class: done ? "pg-done" : null }, icon(done ? "check" : "ring"), words);
  const steps = h("ol", { class: "pg-steps" }, step((typed.name ?? "").trim(), "Give the character a name"), step([...(typed.description ?? "").trim()].length >= 50, "Describe it in at least 50 characters"), step(false, "Choose a pose and press Generate"));
  empty.replaceChildren(h("span", { class: "pg-art", "aria-hidden": "true" }, icon(nobody ? "person" : "picture")),
    h("h2", {}, nobody ? "Start with a character" : "No portraits yet"),
    h("p", {}, nobody ? "A character has a name, a description and a look. Its portraits are made here and keep themselves in the library." : "Every portrait made here saves itself in the library."),
    nobody ? start : steps);
}

function render() {
  const all = tiles();
  const nodes = [...all.map(nodeOf), addTile()];
  const kept = new Set(all.map((tile) => tile.id));
  for (const id of drawn.keys()) if (!kept.has(id)) drawn.delete(id);
  list.setAttribute("aria-busy", "false");
  const old = [...list.children];
  if (old.length !== nodes.length || old.some((node, at) => node !== nodes[at] && !(at === old.length - 1 && node.classList.contains("pg-add")))) swap(nodes);
  renderEmpty();
  fitWords();
  if (current !== null) byId(current) ? fillBox() : close();
}

/** Bring the children in order without taking out those that stay: a moved picture would flicker. */
function swap(nodes) {
  const wanted = new Set(nodes);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => list.children[at] !== node && list.insertBefore(node, list.children[at] ?? null));
}

/* ---- the lightbox ---- */

let opener = null;

function neighbour(id, step) {
  const all = portraits();
  const at = all.findIndex((tile) => tile.id === id);
  return all.length ? all[(at + step + all.length) % all.length] : null;
}

function show(id) {
  if (current === null) opener = id;
  current = id;
  box.hidden = false;
  document.body.classList.add("ps-locked");
  fillBox();
  box.querySelector(".lb-close").focus();
}

function close() {
  if (current === null) return;
  const back = current;
  current = null;
  box.hidden = true;
  box.replaceChildren();
  document.body.classList.remove("ps-locked");
  (list.querySelector(`[data-id="${CSS.escape(back)}"] .pg-open`) ?? list.querySelector(`[data-id="${CSS.escape(opener ?? "")}"] .pg-open`))?.focus();
}

function step(by) {
  const next = neighbour(current, by);
  if (next) show(next.id);
}

function setting(title, value) {
  return value ? h("div", { class: "lb-fact" }, h("dt", {}, title), h("dd", {}, value)) : null;
}

function boxStage(tile) {
  const url = studio.safeUrl(tile.full_url || tile.url || "");
  const stage = h("div", { class: "lb-stage", onclick: (event) => event.target === event.currentTarget && close() });
  if (url) stage.append(h("img", { src: url, alt: tile.title, "data-testid": "lightbox-img" }));
  const many = portraits().length > 1;
  stage.append(h("button", { type: "button", class: "lb-round lb-close", "aria-label": "Close", onclick: close }, icon("close")));
  if (many) stage.append(h("button", { type: "button", class: "lb-round lb-prev", "aria-label": "Previous", onclick: () => step(-1) }, icon("back")), h("button", { type: "button", class: "lb-round lb-next", "aria-label": "Next", onclick: () => step(1) }, icon("forward")));
  return stage;
}

function boxSide(tile) {
  const all = portraits();
  const button = ([name, action]) => h("button", { type: "button", class: `ps-button ps-small${action.danger ? " ps-danger" : ""}`, "data-action": name, onclick: () => action.run(byId(tile.id)) }, icon(action.icon), action.short ?? action.label);
  const actions = possible(tile).filter(([name]) => name !== "earlier" && name !== "later");
  return h("aside", { class: "lb-side" },
    h("header", {}, h("h2", {}, tile.title), h("span", { "data-testid": "lightbox-pos" }, `${all.findIndex((one) => one.id === tile.id) + 1} / ${all.length}`)),
    tile.primary && h("p", { class: "lb-primary" }, icon("star"), "Primary portrait"),
    h("h3", {}, "Prompt"), h("p", { class: "lb-prompt" }, tile.prompt || "The prompt of this portrait is not known."),
    tile.own_words && h("h3", {}, "Own words"), tile.own_words && h("p", { class: "lb-prompt" }, tile.own_words),
    h("dl", {}, ...[setting("Model", tile.model), setting("Provider", tile.provider), setting("Size", tile.size), setting("Seed", tile.seed), setting("Made", tile.created_at && new Date(tile.created_at).toLocaleString())].filter(Boolean)),
    h("div", { class: "lb-actions" }, ...actions.map(button)));
}

function fillBox() {
  const tile = byId(current);
  const focused = box.contains(document.activeElement) ? document.activeElement.className : null;
  box.setAttribute("aria-label", tile.title);
  box.replaceChildren(boxStage(tile), boxSide(tile));
  if (focused) (box.querySelector(`.${focused.trim().split(/\s+/).join(".")}`) ?? box.querySelector(".lb-close"))?.focus();
}

let touchedAt = null;
box.addEventListener("touchstart", (event) => (touchedAt = event.touches.length === 1 ? event.touches[0].clientX : null), { passive: true });
box.addEventListener("touchend", (event) => {
  const by = touchedAt === null ? 0 : event.changedTouches[0].clientX - touchedAt;
  if (Math.abs(by) > 60 && event.target.closest(".lb-stage")) step(by > 0 ? -1 : 1);
});
box.addEventListener("keydown", (event) => {
  if (event.key === "Escape") (event.stopPropagation(), close());
  else if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else studio.trapTab(event, box);
});

/* ---- keys and dragging in the grid ---- */

function columns() {
  return getComputedStyle(list).gridTemplateColumns.split(" ").length;
}

function walk(event) {
  const menu = event.target.closest(".pg-menu");
  if (menu) return walkMenu(event, menu);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
  const cell = event.target.closest(".pg-tile");
  if (!by || !cell) return;
  const next = [...list.children][[...list.children].indexOf(cell) + by];
  if (next) (event.preventDefault(), next.querySelector("button")?.focus());
}

function walkMenu(event, menu) {
  if (event.key === "Escape") return (event.stopPropagation(), closeMenu(true));
  if (event.key === "Tab") return closeMenu(true);
  const items = [...menu.children];
  const next = studio.stopAfter(event.key, items.indexOf(document.activeElement), items.length);
  if (next !== null) (event.preventDefault(), items[next].focus());
}

list.addEventListener("keydown", walk);
document.addEventListener("pointerdown", (event) => event.target.closest?.(".pg-menu, .pg-more") || closeMenu());
list.addEventListener("dragstart", (event) => {
  const cell = event.target.closest(".pg-tile[draggable]");
  if (!cell) return;
  dragged = cell.dataset.id;
  cell.classList.add("pg-drag");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", dragged);
});
list.addEventListener("dragover", (event) => {
  const cell = event.target.closest(".pg-tile[draggable]");
  if (!dragged || !cell) return;
  event.preventDefault();
  list.querySelectorAll(".pg-over").forEach((other) => other !== cell && other.classList.remove("pg-over"));
  cell.classList.toggle("pg-over", cell.dataset.id !== dragged);
});
list.addEventListener("dragend", () => {
  dragged = null;
  list.querySelectorAll(".pg-over, .pg-drag").forEach((cell) => cell.classList.remove("pg-over", "pg-drag"));
});
list.addEventListener("drop", (event) => {
  event.preventDefault();
  const cell = event.target.closest(".pg-tile[draggable]");
  if (!dragged || !cell || cell.dataset.id === dragged) return;
  const all = portraits().map((tile) => tile.id);
  place(dragged, cell.dataset.id, all.indexOf(dragged) < all.indexOf(cell.dataset.id));
});

function receive() {
  const next = props.value;
  if (!next || !("tiles" in next)) return;
  const another = next.character_id !== shown.character_id;
  if (!another && next.at < shown.at) return;
  if (another) (drawn.clear(), gone.clear(), close());
  stale = stale && !another && !next.fresh;
  const hasNew = next.tiles.some((tile) => tile.kind === "job" && !byId(tile.id));
  shown = next;
  for (const id of [...gone]) if (!next.tiles.some((tile) => tile.id === id)) gone.delete(id);
  render();
  if (looksUp && hasNew) {
    looksUp = false;
    list.closest("#stage-scroll").scrollTop = 0;
  }
  studio.announce("face", { id: shown.character_id, url: portraits().find((tile) => tile.primary)?.url ?? null });
  document.querySelectorAll("[data-portrait-count]").forEach((node) => (node.textContent = portraits().length || ""));
}

studio.on("values", () => empty.hidden || renderEmpty());
studio.on("shown", renderEmpty);
studio.on("asked", () => (looksUp = true));
new ResizeObserver(fitWords).observe(list);
watch("value", receive);
receive();
