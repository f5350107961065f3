/* What the character was: who changed which field from what to what, and the way to have an old text back. What is
   brought back is an edit like any other: it saves itself, and can be undone. Fires 'read' {id, before}. */
const studio = window.studio;
const { h, icon, desk } = studio;
let dialog = null;
let versions = null; // the newest first; null while the first page is on its way
let more = false;

const label = (field) => studio.labels[field] ?? { is_public: "Public", match_reference: "Match the reference" }[field] ?? field;
const isOurs = (field) => desk.fields.includes(field);
const asValue = (field, value) => (Array.isArray(desk.saved[field]) ? value ?? [] : value ?? "");

function bringBack(values, what) {
  const differs = Object.entries(values).filter(([field, value]) => isOurs(field) && !studio.same(asValue(field, value), desk.typed[field]));
  dialog.close();
  if (!differs.length) return studio.notice("It stands like this already.");
  studio.writeUndoably(Object.fromEntries(differs.map(([field, value]) => [field, asValue(field, value)])), what);
}

/** The fields as they were before that version: of all later ones too, the oldest "before" wins. */
function before(version) {
  const values = {};
  for (const each of versions.slice(0, versions.indexOf(version) + 1)) for (const change of each.changes) values[change.field] = change.before;
  return values;
}

function change(version, { field, before: was, after }) {
  const text = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : studio.asText(value));
  const back = isOurs(field) ? h("button", { type: "button", class: "ps-button ps-small", onclick: () => bringBack({ [field]: was }, `${label(field)} is as it was.`) }, icon("undo"), "Bring back", h("span", { class: "ps-hidden" }, ` the old ${label(field)}`)) : null;
  const [gone, fresh] = studio.sideNodes(text(was), text(after));
  const side = (title, node) => h("div", { class: "pp-side" }, h("small", {}, title), node);
  const nothing = () => h("p", { class: "df pp-empty" }, "Nothing");
  return h("div", { class: "sy-change", "data-field": field }, h("div", { class: "sy-line" }, h("h4", {}, label(field)), back),
    h("div", { class: "pp-sides" }, side("Before", text(was) ? gone : nothing()), side("After", text(after) ? (text(was) ? fresh : h("p", { class: "df" }, text(after))) : nothing())));
}

function entry(version) {
  const when = new Date(version.at).toLocaleString([], { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  const all = version.changes.length > 1 || version !== versions[0];
  return h("article", { class: "sy-version", "data-testid": "version" },
    h("header", {}, h("span", { class: "sy-dot" }), h("b", {}, version.who), h("time", { datetime: version.at }, when),
      all ? h("button", { type: "button", class: "sy-all", onclick: () => bringBack(before(version), "Everything is as it was before that.") }, "Back to before this") : null),
    ...version.changes.map((one) => change(version, one)));
}

function draw() {
  const empty = versions === null ? "Reading\u2026" : "No changes yet. Every edit is kept here, with what stood there before.";
  const list = versions?.length ? versions.map(entry) : [h("p", { class: "dg-none" }, empty)];
  const next = more ? h("button", { type: "button", class: "ps-button sy-more", onclick: () => trigger("read", { id: desk.id, before: versions.at(-1).id }) }, "Show older ones") : null;
  const body = [h("div", { class: "sy-list" }, ...list, next)];
  if (dialog?.isOpen()) return dialog.show({ body });
  dialog = studio.dialog({ title: "History", sentence: "Edits of one person within ten minutes stand together.", body, isWide: true, testid: "story" });
}

studio.on("open-story", async () => {
  versions = null;
  more = false;
  draw();
  await studio.flush(); // what is typed now belongs to the story
  trigger("read", { id: desk.id, before: null });
});
watch("value", () => {
  const page = props.value;
  if (!dialog?.isOpen() || page?.id !== desk.id) return;
  if (page.before && versions?.at(-1)?.id !== page.before) return;
  versions = page.before ? [...versions, ...page.versions] : page.versions;
  more = page.more;
  draw();
  dialog.card.querySelector(page.before ? ".sy-more" : ".dg-x")?.focus();
});
