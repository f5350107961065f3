/* Everything saved. The address holds what is looked for; rows come in pages that follow one another by key and are
   asked for when the end of the list comes near. */
const studio = window.studio;
const { h, icon } = studio;
const { ask, askOrSay, soon, button, when, picture, save, home } = studio.pages;
const bar = element.querySelector(".lib-bar");
const chips = element.querySelector(".lib-on");
const list = element.querySelector(".lib-list");
const end = element.querySelector(".lib-end");
const many = element.querySelector(".lib-many");
const AHEAD = 1200; // px below what is seen that are read already
const AT_ONCE = 500; // pictures one question may name
const UNDO_SECONDS = 10;
const FIELDS = ["tab", "q", "tag", "model", "seed", "from", "to", "of"];
const LABELS = { tag: "Tag", model: "Model", seed: "Seed", from: "From", to: "Until", of: "Character" };
const EMPTY = { tab: "all", q: "", tag: "", model: "", seed: "", from: "", to: "", of: "" };

let query = { ...EMPTY };
let view = localStorage.getItem("studio:library-view") === "list" ? "list" : "grid";
let items = [];
let next = "";
let number = 0; // of the last question about rows: a late answer to an older one is not drawn
let loading = false;
let failed = "";
let models = [];
let ofName = "";
let large = null; // the item that is shown large
let anchor = null; // where a selection with Shift begins
const chosen = new Set();
const gone = new Set(); // deleted here, and an answer on its way may still have them
const nodes = new Map(); // id → {face, node}

const shown = () => items.filter((item) => !gone.has(item.id));
const byId = (id) => items.find((item) => item.id === id);
const modelName = (key) => models.find((one) => one.key === key)?.name ?? key; // one that is no longer offered keeps its key
const inBin = () => query.tab === "bin";
const isNarrowed = () => FIELDS.some((field) => field !== "tab" && query[field]);

/* ---- the address ---- */

function readAddress() {
  const said = new URLSearchParams(location.search);
  query = { ...EMPTY, ...Object.fromEntries(FIELDS.filter((field) => said.get(field)).map((field) => [field, said.get(field)])) };
  if (!["all", "characters", "bin"].includes(query.tab)) query.tab = "all";
  if (["grid", "list"].includes(said.get("view"))) view = said.get("view");
}

function writeAddress(step) {
  const said = new URLSearchParams(FIELDS.filter((field) => query[field] && query[field] !== EMPTY[field]).map((field) => [field, query[field]]));
  if (view === "list") said.set("view", view);
  history[step ? "pushState" : "replaceState"]({}, "", said.size ? `${location.pathname}?${said}` : location.pathname); // the page has a <base> of its own
}

/* ---- asking ---- */

function look({ step = true } = {}) {
  writeAddress(step);
  chosen.clear();
  gone.clear();
  anchor = null;
  fetchFirst();
  renderBar();
}

async function fetchFirst({ keep = false } = {}) {
  const mine = ++number;
  loading = true;
  list.setAttribute("aria-busy", "true");
  if (!keep && !items.length) renderList();
  const counted = ask(server, "count", query).catch(() => ({ words: "" }));
  try {
    const page = await ask(server, "page", { ...query, cursor: "" });
    if (mine !== number) return;
    failed = "";
    [items, next] = keep ? merged(page) : [page.items, page.next];
    if (!keep) document.querySelector("#room").scrollTop = 0;
  } catch (problem) {
    if (mine !== number) return;
    failed = problem.message;
    if (!keep) [items, next] = [[], ""];
  }
  loading = false;
  list.setAttribute("aria-busy", "false");
  render();
  studio.ready();
  const { words } = await counted;
  if (mine === number) studio.announce("heading", { words: words && `${words} ${words === "1" ? "picture" : "pictures"}` });
}

/** The first page as it is now, and what was read below it before. */
function merged(page) {
  if (!page.next) return [page.items, ""];
  const ids = new Set(page.items.map((item) => item.id));
  const last = items.findLastIndex((item) => ids.has(item.id));
  const below = items.slice(last + 1).filter((item) => !ids.has(item.id));
  return last < 0 || !below.length ? [page.items, page.next] : [[...page.items, ...below], next];
}

async function fetchMore() {
  if (loading || !next || failed) return;
  const mine = number;
  loading = true;
  renderEnd();
  try {
    const page = await ask(server, "page", { ...query, cursor: next });
    if (mine !== number) return;
    const there = new Set(items.map((item) => item.id));
    items = [...items, ...page.items.filter((item) => !there.has(item.id))];
    next = page.next;
  } catch (problem) {
    if (mine !== number) return;
    failed = problem.message;
  }
  loading = false;
  render();
}

const refresh = soon(() => fetchFirst({ keep: true }), 400);

async function fetchChoices() {
  const found = await ask(server, "choices", query).catch(() => ({ models: [], character: "" }));
  models = found.models;
  ofName = found.character;
  renderBar();
  if (items.length) renderList();
}

/* ---- what is done with pictures ---- */

async function inParts(what, ids, details = {}) {
  const done = [];
  let missing = 0;
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const answer = await askOrSay(server, what, { ids: ids.slice(at, at + AT_ONCE), ...details });
    if (!answer) break;
    done.push(...answer.done);
    missing += answer.missing.length;
  }
  if (missing) studio.notice(`${pictures(missing)} stayed as ${missing === 1 ? "it was: it is" : "they were: they are"} gone by now, or a colleague's that only they may change.`, { seconds: 9 });
  return done;
}

const pictures = (count) => `${count} ${count === 1 ? "picture" : "pictures"}`;

async function remove(ids) {
  ids.forEach((id) => (gone.add(id), chosen.delete(id)));
  const neighbour = shown()[Math.max(0, items.findIndex((item) => item.id === ids[0]) - 1)];
  render();
  nodes.get(neighbour?.id)?.node.querySelector(".lib-open")?.focus({ preventScroll: true });
  const done = await inParts("delete", ids);
  ids.filter((id) => !done.includes(id)).forEach((id) => gone.delete(id));
  render();
  if (done.length) studio.notice(`${pictures(done.length)} moved to the bin.`, { action: "Undo", onAction: () => putBack(done), seconds: UNDO_SECONDS });
}

async function putBack(ids) {
  const done = await inParts("restore", ids);
  done.forEach((id) => (gone.delete(id), chosen.delete(id)));
  if (inBin()) done.forEach((id) => gone.add(id));
  await fetchFirst({ keep: true });
  if (inBin() && done.length) studio.notice(`${pictures(done.length)} restored to the library.`);
}

async function retag(ids, { added = [], removed = [] }, { quiet = false } = {}) {
  const changes = ids.filter((id) => {
    const tags = byId(id)?.tags ?? [];
    return added.some((tag) => !tags.includes(tag)) || removed.some((tag) => tags.includes(tag));
  });
  if (!changes.length) return studio.notice("Nothing to change: these pictures are tagged like that already.");
  const before = new Map(changes.map((id) => [id, byId(id)?.tags ?? []]));
  const done = await inParts("retag", changes, { added, removed });
  items = items.map((item) => (done.includes(item.id) ? { ...item, tags: [...item.tags.filter((tag) => !removed.includes(tag)), ...added.filter((tag) => !item.tags.includes(tag))] } : item));
  render();
  if (large) showLarge(large);
  if (!done.length || quiet) return;
  const words = added.length ? `Tagged ${pictures(done.length)} with ${added.join(", ")}.` : `Took ${removed.join(", ")} off ${pictures(done.length)}.`;
  studio.notice(words, { action: "Undo", onAction: () => untag(done, before, { added, removed }), seconds: UNDO_SECONDS });
}

/** Each picture gets back the tags it had: one that had a tag before keeps it. */
async function untag(ids, before, { added, removed }) {
  const alike = new Map();
  for (const id of ids) {
    const had = before.get(id);
    const back = { added: removed.filter((tag) => had.includes(tag)), removed: added.filter((tag) => !had.includes(tag)) };
    const key = JSON.stringify(back);
    alike.set(key, { back, ids: [...(alike.get(key)?.ids ?? []), id] });
  }
  for (const { back, ids: these } of alike.values()) await retag(these, back, { quiet: true });
}

function askForTag() {
  const ids = [...chosen];
  const input = h("input", { class: "gx-input", type: "text", maxlength: 120, "data-first": true, autocomplete: "off", placeholder: "sea, golden hour", "aria-label": "Tags to add" });
  const go = () => {
    const added = input.value.split(",").map((tag) => tag.trim().replace(/\s+/g, " ")).filter(Boolean);
    if (!added.length) return input.focus();
    shut.close();
    retag(ids, { added: [...new Set(added)] });
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && go());
  const shut = studio.dialog({
    title: `Tag ${pictures(ids.length)}`,
    body: [h("label", { class: "gx-field" }, h("span", {}, "Tags"), input, h("small", {}, "Several with commas. Tags they have already stay."))],
    foot: [button("Cancel", () => shut.close()), button("Add tags", go, { kind: "ps-primary" })],
  });
}

function askForUntag() {
  const ids = [...chosen];
  const found = new Map();
  for (const id of ids) for (const tag of byId(id)?.tags ?? []) found.set(tag, (found.get(tag) ?? 0) + 1);
  const tags = [...found].sort((a, b) => b[1] - a[1]).slice(0, 60);
  const take = (tag) => (shut.close(), retag(ids, { removed: [tag] }));
  const choices = tags.map(([tag, count]) => h("button", { type: "button", class: "ps-chip", onclick: () => take(tag) }, tag, h("span", { class: "lib-times" }, count)));
  const shut = studio.dialog({
    title: `Take a tag off ${pictures(ids.length)}`,
    body: tags.length ? [h("p", {}, "Choose the tag to take off. The number says how many of them have it."), h("div", { class: "lib-tags" }, ...choices)] : [h("p", {}, "None of these pictures has a tag.")],
    foot: [button("Cancel", () => shut.close())],
  });
}

/* ---- choosing pictures ---- */

function choose(id, event) {
  if (!studio.mayMake()) return; // all that is done with several changes them
  const ids = shown().map((item) => item.id);
  if (event?.shiftKey && anchor && ids.includes(anchor)) {
    const [from, to] = [ids.indexOf(anchor), ids.indexOf(id)].sort((a, b) => a - b);
    ids.slice(from, to + 1).forEach((one) => chosen.add(one));
  } else {
    chosen.has(id) ? chosen.delete(id) : chosen.add(id);
    anchor = id;
  }
  mark();
}

function mark() {
  for (const [id, { node }] of nodes) {
    const on = chosen.has(id);
    node.classList.toggle("lib-chosen", on);
    node.querySelector(".lib-pick").setAttribute("aria-checked", String(on));
  }
  list.classList.toggle("lib-choosing", chosen.size > 0);
  many.hidden = !chosen.size;
  if (!chosen.size) return;
  const ids = [...chosen];
  const act = (words, symbol, run, kind = "") => button(words, run, { symbol, kind: `ps-small ${kind}` });
  const acts = !studio.mayMake() ? [] : inBin()
    ? [act("Restore", "undo", () => putBack(ids), "ps-primary")]
    : [act("Tag", "tag", askForTag), act("Untag", "untag", askForUntag), act("Delete", "trash", () => remove(ids), "ps-danger")];
  const held = many.contains(document.activeElement) ? document.activeElement.textContent : null;
  many.replaceChildren(h("b", { role: "status" }, `${chosen.size} selected`), ...acts, act("All shown", "check", () => (shown().forEach((item) => chosen.add(item.id)), mark()), "lib-all"), h("button", { type: "button", class: "dg-x", "aria-label": "Clear the selection", onclick: clear }, icon("close")));
  if (held !== null) [...many.querySelectorAll("button")].find((one) => one.textContent === held)?.focus();
}

function clear() {
  chosen.clear();
  anchor = null;
  mark();
}

/* ---- the list ---- */

function row(item) {
  const name = item.character_name || "No character";
  const label = `${name}, ${when(item.created_at)}`;
  const open = h("button", { type: "button", class: "lib-open", "aria-label": `Open ${label}`, "data-testid": "library-open", onclick: (event) => (chosen.size || event.shiftKey || event.ctrlKey || event.metaKey ? choose(item.id, event) : showLarge(item.id)) }, picture(item.thumbnail_url, ""));
  const pick = h("button", { type: "button", class: "lib-pick", role: "checkbox", "aria-checked": String(chosen.has(item.id)), "aria-label": `Select ${label}`, onclick: (event) => choose(item.id, event) }, icon("check"));
  const words = h("div", { class: "lib-words" },
    h("b", {}, name), h("p", {}, item.prompt || "No prompt was kept."),
    h("span", { class: "lib-model" }, modelName(item.model)), h("span", { class: "lib-seed" }, item.seed && `Seed ${item.seed}`), h("span", { class: "lib-when" }, when(item.created_at)));
  return h("li", { class: `lib-item${chosen.has(item.id) ? " lib-chosen" : ""}`, "data-id": item.id, "data-testid": "library-item" }, open, pick, words);
}

function draw(item) {
  const face = JSON.stringify({ ...item, cursor: "", model: modelName(item.model) });
  const standing = nodes.get(item.id);
  if (standing?.face === face) return standing.node;
  const node = row(item);
  nodes.set(item.id, { face, node });
  return node;
}

function emptyWords() {
  if (failed) return [icon("alert"), h("b", {}, "The library could not be read"), h("p", {}, failed), button("Try again", () => ((failed = ""), fetchFirst()))];
  if (isNarrowed()) return [icon("search"), h("b", {}, "Nothing matches"), h("p", {}, "No saved picture has all of this. Try fewer words, or take a filter away."), button("Clear search and filters", () => ((query = { ...EMPTY, tab: query.tab }), look()))];
  if (inBin()) return [icon("trash"), h("b", {}, "The bin is empty"), h("p", {}, "Deleted pictures stay here for at least 7 days, and can be restored.")];
  if (query.tab === "characters") return [icon("person"), h("b", {}, "No portraits yet"), h("p", {}, "Portraits of characters appear here by themselves once they are generated."), h("a", { class: "ps-button ps-primary ps-begin", href: "/studio/create" }, "Create a character")];
  return [icon("library"), h("b", {}, "Nothing saved yet"), h("p", {}, "Every picture you generate is kept here by itself."), h("a", { class: "ps-button ps-primary ps-begin", href: "/studio/create" }, "Create a character")];
}

function renderList() {
  const found = shown();
  list.dataset.view = view;
  const there = new Set(found.map((item) => item.id));
  for (const id of nodes.keys()) if (!there.has(id)) (nodes.delete(id), chosen.delete(id));
  if (!found.length && loading && !failed) return list.replaceChildren(...Array.from({ length: 12 }, () => h("li", { class: "lib-item lib-bone", "aria-hidden": "true" })));
  const wanted = found.map(draw);
  wanted.forEach((node, at) => list.children[at] !== node && list.insertBefore(node, list.children[at] ?? null));
  while (list.children.length > wanted.length) list.lastElementChild.remove();
}

function renderEnd() {
  const found = shown();
  if (!found.length && !loading) return end.replaceChildren(h("div", { class: "ps-empty" }, ...emptyWords()));
  if (failed) return end.replaceChildren(h("div", { class: "ps-empty" }, h("p", {}, failed), button("Try again", () => ((failed = ""), fetchMore()))));
  if (next) return end.replaceChildren(h("div", { class: "lib-more" }, loading ? "Reading more\u2026" : button("Show more", fetchMore)));
  end.replaceChildren(found.length > 24 ? h("div", { class: "lib-more" }, inBin() ? "That is everything in the bin." : "That is everything.") : "");
}

/** The observer tells only when the end comes or goes: on a wide screen a page may not reach beyond it at all. */
function fetchIfNear() {
  const room = document.querySelector("#room").getBoundingClientRect();
  if (end.getBoundingClientRect().top < room.bottom + AHEAD) fetchMore();
}

function render() {
  renderList();
  renderEnd();
  mark();
  requestAnimationFrame(fetchIfNear);
  if (large && !byId(large)) closeLarge();
}

/* ---- the bar: tabs, words, filters ---- */

const TABS = [["all", "All"], ["characters", "Characters"], ["bin", "Bin"]];
const tabs = h("div", { class: "lib-tabs", role: "tablist", "aria-label": "What to show" });
const search = h("input", { type: "text", class: "lib-search", enterkeyhint: "search", autocomplete: "off", placeholder: "Search prompts, characters, tags, models, seeds", "aria-label": "Search the library" });
const wipe = h("button", { type: "button", class: "lib-wipe", "aria-label": "Clear the search", hidden: true, onclick: () => ((search.value = ""), typed(), search.focus()) }, icon("close"));
const filterButton = h("button", { type: "button", class: "ps-button lib-filter", "aria-label": "Filters", title: "Filters", "aria-haspopup": "dialog", "aria-expanded": "false" }, icon("filter"), h("span", {}, "Filters"));
const panel = h("div", { class: "lib-panel", role: "dialog", "aria-label": "Filters", hidden: true });
const views = h("div", { class: "lib-views", role: "group", "aria-label": "View" });
bar.append(tabs, h("div", { class: "lib-find" }, icon("search"), search, wipe), h("div", { class: "lib-narrow" }, filterButton, panel), views);

let timer = null;
function typed() {
  clearTimeout(timer);
  wipe.hidden = !search.value;
  timer = setTimeout(() => {
    if (search.value.trim() === query.q) return;
    query.q = search.value.trim().slice(0, 300);
    look({ step: false });
  }, 180);
}
search.addEventListener("input", typed);
search.addEventListener("keydown", (event) => event.key === "Escape" && search.value && (event.stopPropagation(), (search.value = ""), typed()));

function setTab(key) {
  if (query.tab === key) return;
  query.tab = key;
  items = [];
  look();
  tabs.querySelector("[aria-selected=true]").focus();
}

function setView(key) {
  view = key;
  localStorage.setItem("studio:library-view", key);
  writeAddress(false);
  renderBar();
  renderList();
}

function tab([key, label]) {
  const on = query.tab === key;
  return h("button", { type: "button", role: "tab", "aria-selected": String(on), tabindex: on ? 0 : -1, onclick: () => setTab(key) }, label);
}
tabs.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) setTab(TABS[(TABS.findIndex(([key]) => key === query.tab) + step + TABS.length) % TABS.length][0]);
});

function field(name, input, more = null) {
  input.value = query[name];
  input.dataset.field = name;
  input.addEventListener("change", () => {
    if (query[name] === input.value.trim()) return;
    query[name] = input.value.trim();
    look();
  });
  return h("label", { class: "gx-field" }, h("span", {}, LABELS[name]), input, more);
}

function renderPanel() {
  const known = models.some((one) => one.key === query.model) || !query.model ? models : [...models, { key: query.model, name: query.model }];
  const model = h("select", { class: "gx-select" }, h("option", { value: "" }, "Any model"), ...known.map((one) => h("option", { value: one.key }, one.name)));
  panel.replaceChildren(
    field("model", model),
    field("tag", h("input", { class: "gx-input", type: "text", placeholder: "portrait", maxlength: 200, autocomplete: "off" })),
    field("seed", h("input", { class: "gx-input", type: "text", inputmode: "numeric", pattern: "[0-9]*", placeholder: "Any", maxlength: 20, autocomplete: "off" })),
    h("div", { class: "lib-days" }, field("from", h("input", { class: "gx-input", type: "date" })), field("to", h("input", { class: "gx-input", type: "date" }))),
  );
}
const menu = studio.popover(filterButton, panel, { onOpen: () => (renderPanel(), panel.querySelector("select").focus()) });
panel.addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("input") && (event.target.dispatchEvent(new Event("change")), menu.close(true)));

const said = (name) => (name === "of" ? ofName || "one character" : name === "model" ? modelName(query.model) : query[name]);

function chip(name) {
  const drop = () => {
    query[name] = "";
    look();
    (chips.querySelector("button") ?? search).focus();
  };
  return h("span", { class: "lib-chip", "data-filter": name }, h("small", {}, LABELS[name]), h("b", {}, said(name)), h("button", { type: "button", "aria-label": `Take the filter ${LABELS[name]} away`, onclick: drop }, icon("close")));
}

function renderBar() {
  tabs.replaceChildren(...TABS.map(tab));
  if (search.value.trim() !== query.q) search.value = query.q;
  wipe.hidden = !search.value;
  const on = Object.keys(LABELS).filter((name) => query[name]);
  chips.hidden = !on.length;
  chips.replaceChildren(...on.map(chip), on.length > 1 ? h("button", { type: "button", class: "lib-all-off", onclick: () => ((query = { ...EMPTY, tab: query.tab, q: query.q }), look(), search.focus()) }, "Clear all") : "");
  filterButton.classList.toggle("lib-filtered", on.length > 0);
  views.replaceChildren(...[["grid", "library", "Grid"], ["list", "rows", "List"]].map(([key, symbol, label]) => h("button", { type: "button", "aria-pressed": String(view === key), "aria-label": label, title: label, onclick: () => (setView(key), views.querySelector("[aria-pressed=true]").focus()) }, icon(symbol))));
}

/* ---- one picture, large, with its settings ---- */

const box = h("div", { class: "lv", role: "dialog", "aria-modal": "true", "aria-label": "Picture", hidden: true });
home().append(box);

function fact(name, value) {
  return value ? [h("dt", {}, name), h("dd", {}, value)] : [];
}

function tagList(item) {
  const input = h("input", { class: "lv-tag-input", type: "text", placeholder: "Add a tag", maxlength: 40, "aria-label": "Add a tag" });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") return closeLarge();
    if (event.key !== "Enter" || event.isComposing || !input.value.trim()) return;
    retag([item.id], { added: [input.value.trim().replace(/\s+/g, " ")] }, { quiet: true }).then(() => box.querySelector(".lv-tag-input")?.focus());
  });
  const one = (tag) => h("span", { class: "lv-tag" }, tag, inBin() || !studio.mayMake() ? null : h("button", { type: "button", "aria-label": `Remove ${tag}`, onclick: () => retag([item.id], { removed: [tag] }, { quiet: true }) }, icon("close")));
  return h("div", { class: "lv-tags" }, ...item.tags.map(one), inBin() || !studio.mayMake() ? null : input);
}

function largeActions(item) {
  const open = item.character_id && !inBin() && h("a", { class: "ps-button ps-primary", href: studio.pages.editorOf(item.character_id) }, icon("pen"), "Open character");
  const more = item.character_id && !inBin() && query.of !== item.character_id && button("More of this character", () => ((query = { ...EMPTY, of: item.character_id }), closeLarge(), (items = []), look(), fetchChoices()), { symbol: "library" });
  return h("div", { class: "lv-acts" }, open,
    item.url && button("Download", () => save(`${item.url}&download=true`), { symbol: "download" }),
    item.prompt && button("Copy prompt", () => studio.copyText(item.prompt), { symbol: "copy" }), more,
    studio.mayMake() && (inBin() ? button("Restore", () => (closeLarge(), putBack([item.id])), { symbol: "undo", kind: "ps-primary" }) : button("Delete", () => removeLarge(item.id), { symbol: "trash", kind: "ps-danger" })));
}

function removeLarge(id) {
  const found = shown();
  const at = found.findIndex((item) => item.id === id);
  const following = found[at + 1] ?? found[at - 1];
  remove([id]);
  following ? showLarge(following.id) : closeLarge();
}

function showLarge(id) {
  const item = byId(id);
  if (!item) return;
  const found = shown();
  const at = found.findIndex((one) => one.id === id);
  const focused = box.contains(document.activeElement) ? document.activeElement.className : null;
  large = id;
  const step = (by, symbol, label, kind) => h("button", { type: "button", class: `lv-step ${kind}`, "aria-label": label, disabled: !found[at + by], onclick: () => go(by) }, icon(symbol));
  box.hidden = false;
  box.replaceChildren(
    h("div", { class: "lv-stage", onclick: (event) => event.target === event.currentTarget && closeLarge() }, picture(item.url, item.prompt || "Saved picture", { lazy: false }), step(-1, "back", "Previous", "lv-prev"), step(1, "forward", "Next", "lv-next")),
    h("aside", { class: "lv-side" },
      h("header", { class: "lv-head" }, h("h2", {}, item.character_name || "No character"), h("button", { type: "button", class: "dg-x lv-x", "aria-label": "Close", onclick: closeLarge }, icon("close"))),
      h("p", { class: "lv-prompt" }, item.prompt || "No prompt was kept with this picture."),
      h("dl", { class: "lv-facts" }, ...fact("Model", modelName(item.model)), ...fact("Seed", item.seed), ...fact("Size", item.size), ...fact("Saved", when(item.created_at)), ...fact("Owner", item.mine ? "" : "A colleague")),
      tagList(item), largeActions(item)));
  const keep = focused && [...box.querySelectorAll("button, input")].find((one) => one.className === focused && !one.disabled);
  (keep ?? box.querySelector(".lv-x")).focus();
  if (at > found.length - 8) fetchMore();
}

function go(by) {
  const found = shown();
  const target = found[found.findIndex((item) => item.id === large) + by];
  if (target) showLarge(target.id);
}

function closeLarge() {
  if (large === null) return;
  const id = large;
  large = null;
  box.hidden = true;
  box.replaceChildren();
  const node = nodes.get(id)?.node;
  node?.scrollIntoView({ block: "nearest" });
  node?.querySelector(".lib-open").focus();
}

box.addEventListener("keydown", (event) => {
  studio.trapTab(event, box);
  if (event.key === "Escape") (event.stopPropagation(), closeLarge());
  else if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
  else if (event.key === "Delete" && !inBin() && studio.mayMake()) removeLarge(large);
});

/* ---- keys in the list ---- */

function columns() {
  const [first] = list.children;
  return [...list.children].filter((node) => node.offsetTop === first?.offsetTop).length || 1;
}

list.addEventListener("keydown", (event) => {
  const id = event.target.closest(".lib-item")?.dataset.id;
  if (!id) return;
  const found = shown();
  const at = found.findIndex((item) => item.id === id);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
  const target = step && found[at + step];
  if (target) (event.preventDefault(), nodes.get(target.id).node.querySelector(".lib-open").focus());
  if (event.key === "x") choose(id, event);
  if (event.key === "Delete" && !inBin() && studio.mayMake()) remove(chosen.size ? [...chosen] : [id]);
  if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), found.forEach((item) => chosen.add(item.id)), mark());
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen.size && large === null && !document.querySelector(".dg-shade, .qp:not([hidden])")) clear();
  if (event.key === "/" && !event.target.matches("input, textarea, select") && large === null) (event.preventDefault(), search.focus());
});

new IntersectionObserver(([entry]) => entry.isIntersecting && fetchMore(), { root: document.querySelector("#room"), rootMargin: `${AHEAD}px` }).observe(end);
window.addEventListener("popstate", () => (readAddress(), renderBar(), gone.clear(), (items = []), fetchFirst(), fetchChoices()));
studio.on("pushed", ({ type }) => (type === "library" || type === "resync") && refresh());
readAddress();
renderBar();
fetchFirst();
fetchChoices();
