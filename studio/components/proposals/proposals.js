/* Suggestions beside the form: what stands there, what is proposed, word by word; a person accepts or leaves each.
   An answer to an earlier question, or for another character, is dropped. Fires 'ask'. */
const studio = window.studio;
const { h, icon, desk } = studio;
const box = element.querySelector(".pp");
const head = box.querySelector(".pp-head");
const body = box.querySelector(".pp-body");
const foot = box.querySelector(".pp-foot");
const TAGS = ["appearance_tags", "clothing_tags"];
const PATIENCE = 90000; // ms: a chat model may think for a while
let asking = null; // {id, number, wanted}
let rows = []; // {field, proposed, state: open | accepted | left, before}
let said = { sentence: "", warnings: [], source: "", price: "" };
let turn = 0;
let watchdog = null;
let last = null;

const label = (field) => studio.labels[field] ?? field;
const now = (field) => desk.typed[field] ?? "";
const isTags = (row) => TAGS.includes(row.field);

/* ---- asking ---- */

function ask(wanted) {
  if (desk.id === null) return;
  if (box.hidden) last = document.activeElement;
  asking = { id: desk.id, number: studio.uuid(), wanted };
  rows = [];
  said = { sentence: "", warnings: [], source: "", price: "" };
  box.hidden = false;
  draw();
  const known = Object.fromEntries(Object.entries(studio.changes()));
  trigger("ask", { id: desk.id, version: desk.version, wanted, fields: known, turn: turn++, key: studio.uuid(), number: asking.number });
  clearTimeout(watchdog);
  watchdog = setTimeout(() => answered({ ...asking, sentence: "No answer came. Nothing of the character has changed; ask again." }), PATIENCE);
  head.querySelector("h2")?.focus();
}

function answered(answer) {
  if (!asking || answer.number !== asking.number) return;
  clearTimeout(watchdog);
  const { id, wanted } = asking;
  asking = null;
  if (id !== desk.id) return close(); // the answer is about somebody who is not on the desk any more
  said = { sentence: answer.sentence ?? "", warnings: answer.warnings ?? [], source: answer.source ?? "", price: answer.price ?? "" };
  rows = (answer.proposals ?? []).map(({ field, proposed }) => ({ field, proposed, state: "open", before: null, kept: null }));
  rows.filter(isTags).forEach((row) => (row.kept = sorted(row)));
  draw(wanted);
}

function close() {
  if (box.hidden) return;
  clearTimeout(watchdog);
  asking = null;
  box.hidden = true;
  markBusy();
  last?.focus?.();
}

/* ---- tags: each of the present and the proposed ones, kept or not ---- */

const sameTag = (one) => (other) => other.toLowerCase() === one.toLowerCase();

function sorted(row) {
  const present = now(row.field) || [];
  const fresh = row.proposed.filter((tag) => !present.some(sameTag(tag)));
  return [...present.map((tag) => ({ tag, fresh: false, kept: true })), ...fresh.map((tag) => ({ tag, fresh: true, kept: true }))];
}

function carry(row, one) {
  const other = TAGS.find((field) => field !== row.field);
  let target = rows.find((each) => each.field === other);
  if (!target) rows.splice(rows.indexOf(row) + 1, 0, (target = { field: other, proposed: [], state: "open", before: null, kept: null }));
  target.kept ??= sorted(target);
  row.kept = row.kept.filter((each) => each !== one);
  if (!target.kept.some(({ tag }) => sameTag(one.tag)(tag))) target.kept.push({ ...one, fresh: true });
  draw();
  focusRow(target);
}

function tagChip(row, one) {
  const press = () => ((one.kept = !one.kept), draw(), focusTag(row, one));
  const other = label(TAGS.find((field) => field !== row.field));
  return h("span", { class: `pp-tag${one.kept ? "" : " pp-off"}${one.fresh ? " pp-fresh" : ""}` },
    h("button", { type: "button", class: "pp-tag-word", "aria-pressed": String(one.kept), disabled: row.state === "accepted", onclick: press }, one.fresh ? "+ " : "", one.tag),
    row.state === "accepted" ? null : h("button", { type: "button", class: "pp-tag-move", title: `Move to ${other}`, onclick: () => carry(row, one) }, icon("swap"), h("span", { class: "ps-hidden" }, `Move ${one.tag} to ${other}`)));
}

/* ---- accepting ---- */

const chosen = (row) => (isTags(row) ? row.kept.filter((one) => one.kept).map((one) => one.tag) : row.proposed);

function accept(...accepted) {
  const values = Object.fromEntries(accepted.map((row) => [row.field, chosen(row)]));
  for (const row of accepted) Object.assign(row, { before: structuredClone(now(row.field)), state: "accepted" });
  studio.write(values);
  draw();
}

function undo(row) {
  studio.write({ [row.field]: row.before });
  row.state = "open";
  draw();
  focusRow(row);
}

function leave(row) {
  row.state = "left";
  draw();
  const next = rows.find((each) => each.state === "open");
  next ? focusRow(next) : foot.querySelector("button")?.focus();
}

const rowNode = (row) => body.querySelector(`[data-field="${row.field}"]`);
const focusRow = (row) => rowNode(row)?.querySelector(".pp-acts button")?.focus();
const focusTag = (row, one) => rowNode(row)?.querySelectorAll(".pp-tag-word")[row.kept.indexOf(one)]?.focus();

/* ---- drawing ---- */

function acts(row) {
  if (row.state === "accepted") return [h("span", { class: "pp-done" }, icon("check"), "Accepted"), h("button", { type: "button", class: "ps-button ps-small", onclick: () => undo(row) }, icon("undo"), "Undo")];
  if (row.state === "left") return [h("span", { class: "pp-done" }, "Left as it was"), h("button", { type: "button", class: "ps-button ps-small", onclick: () => ((row.state = "open"), draw(), focusRow(row)) }, "Look again")];
  return [h("button", { type: "button", class: "ps-button ps-small ps-primary", onclick: () => (accept(row), focusRow(row)) }, "Accept", h("span", { class: "ps-hidden" }, ` ${label(row.field)}`)),
    h("button", { type: "button", class: "ps-button ps-small", onclick: () => leave(row) }, "Leave", h("span", { class: "ps-hidden" }, ` ${label(row.field)}`))];
}

function texts(row) {
  const present = row.state === "accepted" ? row.before : now(row.field);
  const before = studio.asText(present);
  const after = studio.asText(row.proposed);
  const [gone, fresh] = studio.sideNodes(before, after);
  const side = (title, node) => h("div", { class: "pp-side" }, h("small", {}, title), node);
  const nothing = h("p", { class: "df pp-empty" }, "Nothing yet");
  return h("div", { class: "pp-sides" }, side("Now", before ? gone : nothing), side("Proposed", before ? fresh : h("p", { class: "df" }, after)));
}

function card(row) {
  const isFolded = row.state === "left";
  return h("article", { class: "pp-card", "data-field": row.field, "data-state": row.state, "data-testid": "proposal" },
    h("h3", {}, label(row.field)),
    isFolded ? null : isTags(row) ? h("div", { class: "pp-tags" }, ...row.kept.map((one) => tagChip(row, one))) : texts(row),
    h("div", { class: "pp-acts" }, ...acts(row)));
}

function waiting() {
  return h("div", { class: "pp-wait" }, h("span", { class: "pp-bar" }), h("p", {}, "Writing a suggestion\u2026"), h("small", {}, "Nothing changes until you accept it."));
}

function nothing() {
  return h("div", { class: "pp-wait" }, icon(said.sentence ? "alert" : "spark"), h("p", {}, said.sentence || "There is nothing to propose here."));
}

function drawHead() {
  const what = asking?.wanted ?? (rows.length === 1 ? rows[0].field : "all");
  const title = what === "all" ? "Suggestions" : `Suggestion: ${label(what)}`;
  const from = [said.source, said.price].filter(Boolean).join(", ");
  head.querySelector("h2").textContent = title;
  head.querySelector("p").textContent = from || "The proposal beside what stands there now.";
}

function drawFoot(wanted) {
  const open = rows.filter((row) => row.state === "open");
  const again = h("button", { type: "button", class: "ps-button", onclick: () => ask(wanted) }, icon("redo"), "Another one");
  const all = open.length > 1 ? h("button", { type: "button", class: "ps-button ps-primary", onclick: () => (accept(...open), foot.querySelector("button").focus()) }, `Accept all ${open.length}`) : null;
  foot.replaceChildren(...(asking ? [] : [again, all].filter(Boolean)));
}

function markBusy() {
  document.querySelectorAll(".fn-suggest").forEach((button) => {
    const field = button.closest("[id^=f_]").id.slice(2);
    button.setAttribute("aria-busy", String(asking !== null && [field, "all"].includes(asking.wanted)));
  });
}

let wantedLast = "all";
function draw(wanted = wantedLast) {
  wantedLast = asking?.wanted ?? wanted;
  drawHead();
  const warnings = said.warnings.map((words) => h("p", { class: "pp-warning" }, icon("alert"), words));
  const top = body.scrollTop;
  body.replaceChildren(...(asking ? [waiting()] : rows.length ? [...rows.map(card), ...warnings] : [nothing(), ...warnings]));
  body.scrollTop = top;
  drawFoot(wantedLast);
  markBusy();
}

// drawn once: the focus waits on the title while the answer is on its way
head.replaceChildren(h("div", {}, h("h2", { id: "pp-title", tabindex: "-1" }), h("p", {})),
  h("button", { type: "button", class: "dg-x", "aria-label": "Close suggestions", onclick: close }, icon("close")));
box.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), close()));
studio.on("suggest", ({ wanted }) => ask(wanted));
// a late answer, and what was proposed for somebody else, go with the character they were for
let whose = null;
studio.on("shown", () => (whose !== desk.id && close(), (whose = desk.id)));
watch("value", () => props.value?.number && answered(props.value));
