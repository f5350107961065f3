/* Portraits that were deleted and are not erased yet. The value is {character_id, items, asked}; fires 'look'
   {character} and 'restore' {ids, character, limit}. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".bn");
const chosen = new Set();
let last = null;
let waits = false;

const items = () => (props.value?.character_id === studio.desk.id ? props.value?.items ?? [] : []);
const days = (left) => (left === 1 ? "Last day" : `${left} days left`);

function open() {
  last = document.activeElement;
  chosen.clear();
  waits = true;
  box.hidden = false;
  document.body.classList.add("ps-locked");
  draw();
  box.querySelector(".bn-close").focus();
  trigger("look", { character: studio.desk.id });
}

function close() {
  if (box.hidden) return;
  box.hidden = true;
  box.replaceChildren();
  document.body.classList.remove("ps-locked");
  last?.focus?.();
}

function restore(ids) {
  ids.forEach((id) => chosen.delete(id));
  props.value = { ...props.value, items: items().filter((one) => !ids.includes(one.id)) };
  draw();
  box.querySelector(".bn-tile, .bn-close")?.focus();
  trigger("restore", { ids, character: studio.desk.id, limit: studio.grid.limit() });
}

function tile(one) {
  const url = one.url && studio.safeUrl(one.url);
  const mark = () => (chosen.has(one.id) ? chosen.delete(one.id) : chosen.add(one.id), draw(), box.querySelector(`[data-id="${CSS.escape(one.id)}"]`)?.focus());
  return h("li", {}, h("button", { type: "button", class: "bn-tile", "data-id": one.id, "data-testid": "bin-tile", "aria-pressed": String(chosen.has(one.id)), "aria-label": `${one.title}, deleted ${new Date(one.deleted_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}, ${days(one.days_left)}`, onclick: mark },
    url ? h("img", { src: url, alt: "", loading: "lazy" }) : icon("picture"), h("small", {}, days(one.days_left)), h("span", { class: "pg-check", "aria-hidden": "true" }, icon("check"))));
}

function body() {
  if (items().length) return h("ul", { class: "bn-list", role: "list" }, ...items().map(tile));
  if (waits) return h("p", { class: "bn-none" }, "Looking\u2026");
  return h("p", { class: "bn-none" }, icon("trash"), h("b", {}, "The bin is empty"), h("span", {}, "A deleted portrait stays here for at least seven days, and then it is erased."));
}

function draw() {
  const focused = box.contains(document.activeElement) ? document.activeElement.className : "";
  const ids = items().map((one) => one.id);
  box.replaceChildren(h("section", { class: "bn-card" },
    h("header", {}, h("h2", { id: "bn-title" }, "Bin"), h("span", {}, ids.length ? "Kept for at least seven days after deleting." : ""), h("button", { type: "button", class: "cm-close bn-close", "aria-label": "Close", onclick: close }, icon("close"))),
    body(),
    ids.length && studio.mayChange() ? h("footer", {}, h("span", { "aria-live": "polite" }, chosen.size ? `${chosen.size} selected` : "Press the ones you want back."),
      h("button", { type: "button", class: "ps-button", onclick: () => restore(ids) }, "Restore all"),
      h("button", { type: "button", class: "ps-button ps-primary", disabled: chosen.size === 0, onclick: () => restore([...chosen]) }, "Restore")) : ""));
  if (focused && !box.contains(document.activeElement)) box.querySelector(".bn-close").focus();
}

box.addEventListener("keydown", (event) => {
  if (event.key === "Escape") (event.stopPropagation(), close());
  else studio.trapTab(event, box);
});
box.addEventListener("pointerdown", (event) => event.target === box && close());
watch("value", () => ((waits = false), box.hidden || draw()));
studio.openBin = open;
