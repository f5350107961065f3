/* Portraits and the jobs that are becoming portraits. The value is {character_id, at, limit, total, in_bin, tiles}:
   the beginning of the grid, of which scrolling asks for more; an answer that is older than what is shown is not
   drawn. Fires 'act' {action, id, character, key, …} and 'order' {ids, character}. Asks 'read', 'running', 'every',
   'delete' and 'restore'. */
const studio = window.studio;
const { askOrSay } = studio.pages;
const { h, icon, desk } = studio;
const list = element.querySelector(".pg-list");
const empty = element.querySelector(".pg-empty");
const bulk = element.querySelector(".pg-bulk");
const UNDO_SECONDS = 10;
const STEP = 240; // portraits that scrolling adds at least: as many as are there, so that thousands come in few answers
const MOST = 5000; // portraits one request may name (studio.portraits.MOST_PORTRAITS)
const PATIENCE = 3000; // ms until what got no answer is asked again
const drawn = new Map(); // id → {node, face}: a tile whose row did not change keeps its element, focus and picture
const gone = new Map(); // id of what was deleted here → when that was done, 0 before: what is read later says it itself
const thought = new Map(); // id → what a person just said of it, until the rows say so too
const chosen = new Set(); // ids, while several are being chosen
let shown = { character_id: null, at: 0, total: 0, limit: 0, tiles: [] };
let stale = false;
let looksUp = false; // new pictures were asked for here: they appear at the top
let selecting = false;
let lastChosen = null; // where a range begins
let starred = null; // the primary, as it was when all were chosen: it may not have come yet
let askedFor = 0; // how many portraits were asked for last
let offered = ""; // the models a failed picture can be tried with

const withThought = (tile) => (thought.has(tile.id) ? { ...tile, ...thought.get(tile.id) } : tile);
const tiles = () => shown.tiles.filter((tile) => !gone.has(tile.id)).map(withThought);
const portraits = () => tiles().filter((tile) => tile.kind === "portrait");
const byId = (id) => tiles().find((tile) => tile.id === id);
const limit = () => Math.max(shown.limit ?? 0, askedFor);
const total = () => Math.max(0, (shown.total ?? 0) - gone.size);
const seconds = (left) => (left < 60 ? `${Math.max(1, Math.round(left))} s` : `${Math.round(left / 60)} min`);
const cellOf = (id) => list.querySelector(`[data-id="${CSS.escape(id)}"]`);

/** True, and said, while the studio is away: nothing is shown as done that nobody heard of. */
function isCut() {
  if (studio.isAway()) studio.notice("The studio is away; nothing was changed. Try again when it is back.");
  return studio.isAway();
}

// one key for every press: a request that pays is never taken twice
function act(action, id, more = {}) {
  if (isCut()) return;
  if (action === "again" || action === "retry") looksUp = true;
  trigger("act", { action, id, character: shown.character_id, key: studio.uuid(), limit: limit(), ...more });
}

/* ---- what a person can do with a portrait ---- */

function save(address) {
  const link = h("a", { href: address, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

const download = (tile, kind = "original") => save(`/downloads/portraits/${tile.id}?kind=${kind}`);

function neighbour(id, step) {
  const all = portraits();
  const at = all.findIndex((tile) => tile.id === id);
  return all.length ? all[(at + step + all.length) % all.length] : null;
}

let binned = Promise.resolve();
let binning = 0; // questions about the bin that are under way: they are asked one after the other, an undo last

/** The answer to `what` about these portraits, null where it was refused or none came. */
function inTurn(what, details) {
  binning += 1;
  const answer = binned.then(() => askOrSay(server, what, details));
  binned = answer.then(() => ((binning -= 1), readAll()));
  return answer;
}

/** Into the bin, at once here; the notice brings them back. */
const remove = (ones) => discard(ones.map((tile) => tile.id));

function discard(ids) {
  if (!ids.length || !studio.mayChange() || isCut()) return;
  const of = { character: shown.character_id, ids: ids.slice(0, MOST) };
  const next = neighbour(ids[0], portraits().at(-1)?.id === ids[0] ? -1 : 1);
  const star = [primary()?.id, starred].find((id) => ids.includes(id)) ?? null;
  of.ids.forEach((id) => (gone.set(id, 0), chosen.delete(id)));
  inTurn("delete", of).then((answer) => settle(of.ids, answer));
  const inBox = studio.lightbox?.afterDelete(ids[0], next && !ids.includes(next.id) ? next.id : null);
  render();
  if (!inBox) list.querySelector(`[data-id="${CSS.escape(next?.id ?? "")}"] .pg-open, .pg-add button`)?.focus();
  const undo = () => {
    if (isCut()) return;
    of.ids.forEach((id) => gone.delete(id));
    render();
    inTurn("restore", { ...of, star });
  };
  studio.notice(ids.length === 1 ? "Portrait deleted." : `${of.ids.length.toLocaleString("en")} portraits deleted.`, { action: "Undo", onAction: undo, seconds: UNDO_SECONDS + Math.floor(ids.length / 100) }); // many take their time
}

/** What was deleted is out of sight for good with the next reading; what was not shows as it stands. */
function settle(ids, answer) {
  for (const id of ids) if (gone.has(id)) answer ? gone.set(id, answer.at) : gone.delete(id);
  if (!answer) render();
}

function say(tile, what) {
  if (isCut()) return;
  thought.set(tile.id, { ...thought.get(tile.id), ...what });
  render();
  act("rate", tile.id, what);
}

const favour = (tile) => say(tile, { favourite: !tile.favourite });
const rate = (tile, stars) => say(tile, { stars: tile.stars === stars ? 0 : stars });

function move(id, step) {
  const ids = portraits().map((tile) => tile.id);
  const from = ids.indexOf(id);
  place(id, ids[from + step], step > 0);
}

/** Put a portrait before (or after) another one, here at once and in the rows. */
function place(id, target, after) {
  if (!studio.mayChange()) return;
  const ids = portraits().map((tile) => tile.id).filter((other) => other !== id);
  if (!target || target === id || isCut()) return;
  ids.splice(ids.indexOf(target) + (after ? 1 : 0), 0, id);
  const rank = new Map(ids.map((one, at) => [one, at]));
  const jobs = shown.tiles.filter((tile) => tile.kind !== "portrait");
  shown = { ...shown, tiles: [...jobs, ...shown.tiles.filter((tile) => tile.kind === "portrait").sort((a, b) => (rank.get(a.id) ?? 1e9) - (rank.get(b.id) ?? 1e9))] };
  render();
  trigger("order", { ids, character: shown.character_id, limit: limit() });
}

const primary = () => portraits().find((tile) => tile.primary);
const ACTIONS = {
  primary: { label: "Set as primary", icon: "star", changes: true, unless: (tile) => tile.primary, run: (tile) => act("primary", tile.id) },
  again: { label: "Regenerate with this prompt", short: "Regenerate", icon: "redo", changes: true, run: (tile) => act("again", tile.id) },
  reference: { label: "Use as reference", icon: "likeness", changes: true, unless: (tile) => !tile.url, run: (tile) => studio.announce("use-portrait", { id: tile.id }) },
  favourite: { label: "Add to favourites", icon: "heart", unless: (tile) => tile.favourite, run: favour },
  plain: { label: "Remove from favourites", icon: "heart", unless: (tile) => !tile.favourite, run: favour },
  compare: { label: "Compare with the primary", short: "Compare", icon: "compare", unless: (tile) => tile.primary || !primary(), run: (tile) => studio.compare?.([primary().id, tile.id]) },
  download: { label: "Download", icon: "download", unless: (tile) => !tile.url, run: (tile) => download(tile) },
  copies: { label: "Download as\u2026", icon: "files", unless: (tile) => !tile.url, more: "copies" },
  earlier: { label: "Move earlier", icon: "earlier", changes: true, unless: (tile) => portraits()[0]?.id === tile.id, run: (tile) => move(tile.id, -1) },
  later: { label: "Move later", icon: "later", changes: true, unless: (tile) => portraits().at(-1)?.id === tile.id, run: (tile) => move(tile.id, 1) },
  delete: { label: "Delete", icon: "trash", changes: true, danger: true, run: (tile) => remove([tile]) },
};
const COPIES = {
  settings: { label: "Picture with its settings", short: "With settings", icon: "picture", run: (tile) => download(tile, "settings") },
  share: { label: "Picture to share, without them", short: "To share", icon: "share", run: (tile) => download(tile, "share") },
  card: { label: "Character card (PNG)", short: "As a card", icon: "person", run: (tile) => (desk.typed.name?.trim() ? download(tile, "card") : studio.notice("Give the character a name first: other programs hide a card without one.")) },
};
const possible = (tile, actions = ACTIONS) => Object.entries(actions).filter(([, action]) => !action.unless?.(tile) && (studio.mayChange() || !action.changes));

/* ---- the menu of a tile ---- */

function closeMenu(giveFocusBack = false) {
  const menu = list.querySelector(".pg-menu");
  if (!menu) return;
  const button = menu.parentElement.querySelector(".pg-more");
  button.setAttribute("aria-expanded", "false");
  menu.remove();
  if (giveFocusBack) button.focus();
}

function menuItem(name, action, onclick) {
  return h("button", { type: "button", role: "menuitem", tabindex: -1, "data-action": name, class: action.danger ? "pg-danger" : null, onclick }, icon(action.icon), h("span", {}, action.label), action.more && icon("forward"), action.price && h("small", {}, action.price));
}

function fillMenu(menu, tile, actions) {
  const press = (action) => () => (action.more ? fillMenu(menu, tile, COPIES) : (closeMenu(true), action.run(byId(tile.id) ?? tile)));
  menu.replaceChildren(...possible(tile, actions).map(([name, action]) => menuItem(name, action, press(action))));
  placeMenu(menu);
  menu.querySelector("button").focus({ preventScroll: true });
}

function placeMenu(menu) {
  menu.classList.remove("pg-up", "pg-right");
  const room = list.closest("#stage-scroll")?.getBoundingClientRect() ?? document.body.getBoundingClientRect();
  const edge = menu.getBoundingClientRect();
  if (edge.bottom > room.bottom) menu.classList.add("pg-up");
  if (menu.getBoundingClientRect().top < room.top) menu.classList.remove("pg-up");
  if (edge.left < room.left) menu.classList.add("pg-right");
}

function openMenu(tile, node, button, actions) {
  const menu = h("div", { class: "pg-menu", role: "menu", "aria-label": "What to do with this picture" });
  button.setAttribute("aria-expanded", "true");
  node.append(menu);
  fillMenu(menu, tile, actions);
}

function toggleMenu(tile, node, button, actions = ACTIONS) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  closeMenu();
  if (!isOpen) openMenu(byId(tile.id) ?? tile, node, button, actions);
}

/** What else can be done with a failed picture: any other model that is ready, each with its price. */
function retries(tile) {
  const others = (studio.models?.() ?? []).filter((one) => one.available && one.name !== tile.model);
  const found = others.map((one) => [one.id, { label: `Try ${one.name}`, icon: "spark", price: one.price, run: () => act("retry", tile.id, { model: one.id }) }]);
  const prompt = tile.prompt ? [["copy", { label: "Copy its prompt", icon: "copy", run: () => studio.copyText(tile.prompt) }]] : [];
  return Object.fromEntries([...found, ...prompt]);
}

/* ---- tiles ---- */

function pictureFailed(event) {
  const frame = event.target.parentElement;
  event.target.remove();
  frame.append(h("span", { class: "pg-missing" }, icon("picture"), h("small", {}, "Picture not found")));
  if (!stale) ((stale = true), readAll()); // its link may only have run out
}

function picture(tile) {
  const url = tile.url && studio.safeUrl(tile.url);
  const open = h("button", { type: "button", class: "pg-open", "aria-label": `Open ${tile.title}`, "data-testid": "tile-open", onclick: (event) => pressed(event, tile.id) });
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

function stars(tile) {
  return tile.stars ? h("span", { class: "pg-rated", role: "img", "aria-label": `${tile.stars} of 5 stars` }, icon("star"), String(tile.stars)) : null;
}

function portraitTile(tile) {
  const node = h("li", { class: "pg-tile", "data-id": tile.id, "data-testid": "tile", draggable: String(studio.mayChange()) }, picture(tile));
  const star = h("button", { type: "button", class: "pg-star", "aria-pressed": String(tile.primary), "aria-label": tile.primary ? "Primary portrait" : "Set as primary", title: tile.primary ? "Primary portrait" : "Set as primary", onclick: () => tile.primary || ACTIONS.primary.run(tile) }, icon("star"));
  const heart = h("button", { type: "button", class: "pg-heart", "aria-pressed": String(tile.favourite), "aria-label": tile.favourite ? "Favourite" : "Add to favourites", title: tile.favourite ? "Favourite" : "Add to favourites", onclick: () => favour(byId(tile.id)) }, icon("heart"));
  const more = h("button", { type: "button", class: "pg-more", "aria-label": "Options", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => toggleMenu(tile, node, more) }, icon("more"));
  if (tile.primary) star.append(h("span", {}, "Primary"));
  node.append(star, h("span", { class: "pg-marks" }, heart, stars(tile)), more, h("span", { class: "pg-check", "aria-hidden": "true" }, icon("check")));
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
  const press = (event) => ((event.currentTarget.disabled = !studio.isAway()), act(action, tile.id));
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
  const hasMore = tile.can_retry && studio.mayChange() && Object.keys(retries(tile)).length > 0;
  const more = h("button", { type: "button", class: "pg-more", "aria-label": "Options", title: "Try another model", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => toggleMenu(tile, node, more, retries(tile)) }, icon("more"));
  const node = h("li", { class: `pg-tile pg-job pg-failed${tile.status === "cancelled" ? " pg-calm" : ""}`, "data-id": tile.id, "data-testid": "tile-failed" },
    h("div", { class: "pg-say" }, h("b", {}, icon(tile.status === "cancelled" ? "close" : "alert"), title), h("small", { title: tile.error_words || null, onclick: tellWhole }, tile.error_words || (tile.status === "cancelled" ? "Nothing more is made for this one." : ""))),
    h("div", { class: "pg-foot pg-two" }, tile.can_retry && jobButton(tile, "retry", "Try again", "ps-primary"), tile.can_dismiss && jobButton(tile, "dismiss", "Dismiss")),
    hasMore && more);
  return node;
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
  const none = !tiles().length && !total();
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
    ...(studio.mayChange() ? [nobody ? start : steps] : []));
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
  renderChosen();
  fitWords();
  watchEnd();
  document.querySelectorAll("[data-portrait-count]").forEach((node) => (node.textContent = total() || ""));
  studio.announce("tiles");
}

/** Bring the children in order without taking out those that stay: a moved picture would flicker. */
function swap(nodes) {
  const wanted = new Set(nodes);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => list.children[at] !== node && list.insertBefore(node, list.children[at] ?? null));
}

/* ---- more of them: the last tiles coming into sight ask for what follows ---- */

const end = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more(), { root: list.closest("#stage-scroll"), rootMargin: "900px" });
let watched = null;

function watchEnd() {
  const last = list.lastElementChild;
  if (watched === last) return;
  if (watched) end.unobserve(watched);
  watched = last;
  if (last) end.observe(last);
}

function more() {
  const loaded = shown.tiles.filter((tile) => tile.kind === "portrait").length;
  if (loaded >= (shown.total ?? 0) || askedFor > loaded) return;
  askedFor = loaded + Math.max(STEP, loaded);
  readAll();
}

/* ---- reading again: one question at a time, so that no answer overtakes another ---- */

let owed = false; // the whole grid, since a tile came, ended or changed its place; stays until that was read
let moved = false; // a running tile went on: it alone is asked for
let reading = false;

const isOnDesk = () => desk.id !== null && desk.id !== desk.leaving;
const readAll = () => ((owed = true), read());
const readRunning = () => ((moved = true), read());

async function read() {
  if (reading || binning) return;
  reading = true;
  try {
    while ((owed || moved) && !binning && isOnDesk()) if (!(await (owed ? readWhole() : readMoving()))) break;
  } finally {
    reading = false;
  }
}

/** The answer about the character on the desk; null where none came, and then the question is asked again later. */
async function question(what, details = {}) {
  const answer = await server.answer({ what, character: desk.id, ...details }).catch(() => null);
  if (answer?.tiles) return answer;
  if (answer?.problem) studio.notice(answer.problem);
  else setTimeout(() => studio.isAway() || read(), PATIENCE);
  return null;
}

async function readWhole() {
  owed = moved = false;
  const answer = await question("read", { limit: limit() });
  if (answer?.character_id === desk.id) take(answer);
  owed ||= !answer || answer.limit > shown.limit;
  return Boolean(answer);
}

async function readMoving() {
  moved = false;
  const answer = await question("running");
  if (answer && answer.character_id === shown.character_id && answer.at > shown.at) follow(answer.tiles);
  moved ||= !answer;
  return Boolean(answer);
}

const isRunning = (tile) => tile.kind === "job" && !["failed", "cancelled"].includes(tile.status);

/** Running tiles go on where they stand; where others run now, or in another order, the whole grid is read. */
function follow(rows) {
  const known = shown.tiles.filter(isRunning);
  if (known.length !== rows.length || known.some((tile, at) => tile.id !== rows[at].id)) return void (owed = true);
  const news = new Map(rows.map((row) => [row.id, row]));
  shown = { ...shown, tiles: shown.tiles.map((tile) => (news.has(tile.id) ? { ...tile, ...news.get(tile.id) } : tile)) };
  for (const { id } of rows) {
    const old = drawn.get(id)?.node;
    const node = nodeOf(byId(id));
    if (old !== node) (old?.replaceWith(node), fitWords());
  }
}

/* ---- several at once ---- */

function pressed(event, id) {
  if (!selecting) return studio.lightbox.open(id);
  event.shiftKey && lastChosen ? chooseRange(lastChosen, id) : chosen.has(id) ? chosen.delete(id) : chosen.add(id);
  lastChosen = id;
  renderChosen();
}

function chooseRange(from, to) {
  const ids = portraits().map((tile) => tile.id);
  const [first, last] = [ids.indexOf(from), ids.indexOf(to)].sort((a, b) => a - b);
  ids.slice(Math.max(first, 0), last + 1).forEach((id) => chosen.add(id));
}

function setSelecting(on, first = null) {
  selecting = on;
  chosen.clear();
  lastChosen = first;
  if (first) chosen.add(first);
  element.querySelector(".pg").classList.toggle("pg-selecting", on);
  studio.announce("selecting", { on });
  renderChosen();
}

function renderChosen() {
  for (const cell of list.querySelectorAll("[data-testid=tile]")) {
    const on = selecting && chosen.has(cell.dataset.id);
    cell.classList.toggle("pg-chosen", on);
    const open = cell.querySelector(".pg-open");
    selecting ? open?.setAttribute("aria-pressed", String(on)) : open?.removeAttribute("aria-pressed");
  }
  bulk.hidden = !selecting;
  if (selecting) renderBulk();
}

/** The chosen ones, in the order of the grid as far as it has come. */
function picked() {
  const here = portraits().filter((tile) => chosen.has(tile.id)).map((tile) => tile.id);
  const known = new Set(here);
  return [...here, ...[...chosen].filter((id) => !known.has(id))];
}

/** Every portrait of the character, those too that have not come yet. */
async function chooseAll() {
  if (isCut()) return;
  const every = await askOrSay(server, "every", { character: shown.character_id });
  if (!every || !selecting || every.character_id !== shown.character_id) return;
  starred = every.primary;
  for (const id of every.ids) if (!gone.has(id)) chosen.add(id);
  if (every.ids.length < shown.total) studio.notice(`The first ${every.ids.length.toLocaleString("en")} are selected: as many as can be changed at once.`);
  renderChosen();
}

function downloadChosen(kind) {
  if (chosen.size > 200) return studio.notice("One archive holds at most 200 portraits. Choose fewer.");
  chosen.size === 1 ? download({ id: picked()[0] }, kind) : save(`/downloads/portraits?kind=${kind}&ids=${picked().join(",")}`);
}

function bulkButton(word, name, run, { off = chosen.size === 0, danger = false } = {}) {
  return h("button", { type: "button", class: `ps-button ps-small${danger ? " ps-danger" : ""}`, "data-bulk": word, disabled: off, onclick: run }, icon(name), h("span", {}, word));
}

function renderBulk() {
  const focused = bulk.contains(document.activeElement) ? document.activeElement.dataset.bulk : null;
  bulk.replaceChildren(
    h("b", { "aria-live": "polite", "data-testid": "chosen-count" }, `${chosen.size.toLocaleString("en")} selected`),
    bulkButton("All", "check", chooseAll, { off: chosen.size >= total() }),
    bulkButton("Compare", "compare", () => studio.compare?.(picked()), { off: chosen.size !== 2 }),
    bulkButton("Download", "download", () => downloadChosen("original")),
    bulkButton("With settings", "files", () => downloadChosen("settings")),
    studio.mayChange() ? bulkButton("Delete", "trash", () => discard(picked()), { danger: true }) : "",
    h("button", { type: "button", class: "ps-button ps-small ps-primary", "data-bulk": "Done", onclick: () => setSelecting(false) }, "Done"));
  if (focused) bulk.querySelector(`[data-bulk="${focused}"]:not(:disabled)`)?.focus();
}

/* ---- keys and dragging in the grid ---- */

function columns() {
  return getComputedStyle(list).gridTemplateColumns.split(" ").length;
}

function walk(event) {
  const menu = event.target.closest(".pg-menu");
  if (menu) return studio.walkMenu(event, menu, closeMenu);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
  const cell = event.target.closest(".pg-tile");
  const tile = cell?.dataset.id && cell.dataset.testid === "tile" ? byId(cell.dataset.id) : null;
  if (tile && keyed(event, tile, by)) return event.preventDefault();
  if (!by || !cell) return;
  const next = [...list.children][[...list.children].indexOf(cell) + by];
  if (next) (event.preventDefault(), next.querySelector("button")?.focus());
}

/** What a key does with the portrait that has the focus; true where it did something. */
function keyed(event, tile, by) {
  if (event.ctrlKey || event.metaKey) return false;
  if (event.altKey) return Boolean(by) && (shift(tile, by), true);
  const run = {
    Delete: () => discard(selecting && chosen.size ? picked() : [tile.id]),
    f: () => favour(tile),
    s: () => tile.primary || !studio.mayChange() || ACTIONS.primary.run(tile),
    x: () => (selecting ? pressed(event, tile.id) : setSelecting(true, tile.id)),
  }[event.key];
  const amount = "12345".includes(event.key) ? Number(event.key) : 0;
  if (amount) rate(tile, amount);
  run?.();
  return Boolean(run || amount);
}

/** With Alt the arrows move the portrait itself; the focus goes with it, and a screen reader hears where it stands. */
function shift(tile, by) {
  const all = portraits();
  const to = Math.min(all.length - 1, Math.max(0, all.findIndex((one) => one.id === tile.id) + by));
  if (all[to].id === tile.id) return;
  place(tile.id, all[to].id, by > 0);
  cellOf(tile.id)?.querySelector(".pg-open")?.focus();
  element.querySelector(".pg-said").textContent = `Moved to place ${to + 1} of ${total()}.`;
}

list.addEventListener("keydown", walk);
element.addEventListener("keydown", (event) => selecting && event.key === "Escape" && !event.target.closest(".pg-menu") && (event.stopPropagation(), setSelecting(false)));
document.addEventListener("pointerdown", (event) => event.target.closest?.(".pg-menu, .pg-more") || closeMenu());
studio.dragToOrder(list, ".pg-tile", { ids: () => portraits().map((tile) => tile.id), place });

const receive = () => props.value?.tiles && take(props.value);

function take(next) {
  const another = next.character_id !== shown.character_id;
  for (const id of next.refused ?? []) (gone.delete(id), thought.delete(id)); // it was not done: it shows as it stands
  if (!another && next.at < shown.at) return next.refused?.length && render();
  if (another) (drawn.clear(), gone.clear(), thought.clear(), (starred = null), studio.lightbox?.close(), selecting && setSelecting(false));
  if (another || next.limit >= askedFor) askedFor = 0;
  stale = stale && !another && !next.fresh;
  const hasNew = next.tiles.some((tile) => tile.kind === "job" && !byId(tile.id));
  shown = next;
  for (const [id, done] of gone) if (done && next.at > done) gone.delete(id);
  settleThoughts(next.tiles);
  render();
  if (looksUp && hasNew) {
    looksUp = false;
    list.closest("#stage-scroll").scrollTop = 0;
  }
  studio.announce("face", { id: shown.character_id, url: portraits().find((tile) => tile.primary)?.url ?? null });
  studio.announce("bin-count", { count: next.in_bin ?? 0 });
}

/** What a person said of a portrait is forgotten here as soon as its row says the same. */
function settleThoughts(rows) {
  for (const [id, said] of thought) {
    const row = rows.find((tile) => tile.id === id);
    if (!row || Object.entries(said).every(([name, value]) => (row[name] || 0) == (value || 0))) thought.delete(id);
  }
}

studio.grid = {
  tiles, portraits, byId, more, neighbour, act, favour, rate, remove, download, possible, total,
  actions: ACTIONS, copies: COPIES, character: () => shown.character_id, limit: () => shown.limit,
  select: () => setSelecting(!selecting), isSelecting: () => selecting,
  focus: (id) => cellOf(id)?.querySelector(".pg-open")?.focus(),
};
studio.on("values", () => empty.hidden || renderEmpty());
studio.on("shown", renderEmpty);
for (const event of ["facts", "roles"]) studio.on(event, () => (empty.hidden || renderEmpty(), selecting && renderBulk()));
studio.on("asked", () => (looksUp = true));
studio.on("read-tiles", readAll);
studio.on("read-running", readRunning);
studio.on("models", () => {
  const ready = JSON.stringify(studio.models().map((one) => [one.id, one.available, one.price]));
  if (ready === offered) return;
  offered = ready;
  for (const tile of tiles()) if (tile.kind === "job" && tile.can_retry) drawn.delete(tile.id); // what else can be tried changed
  render();
});
new ResizeObserver(fitWords).observe(list);
watch("value", receive);
receive();
