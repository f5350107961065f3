/* What can be done with the whole character. On a narrow page everything is in the menu. */
const studio = window.studio;
const { h, icon, desk } = studio;
const row = element.querySelector(".dm-row");
const button = element.querySelector(".dm-open");
const menu = element.querySelector(".dm-menu");
button.append(icon("more"));

function duplicate() {
  studio.flush().then(() => studio.announce("duplicate"));
}

async function remove() {
  const { id } = desk;
  const open = Boolean(desk.facts.public);
  const name = (desk.typed.name ?? "").trim() || "Untitled";
  await studio.flush();
  if (desk.id !== id) return;
  studio.announce("remove");
  studio.notice(`${name} was deleted${open ? " and is no longer public" : ""}.`, { action: "Undo", onAction: () => studio.announce("bring-back", { id, open }), seconds: 10 });
}

const ACTIONS = [
  { label: "Preview", icon: "eye", place: "row", run: () => studio.announce("open-preview") },
  { label: "Start chat", icon: "chat", place: "row", unless: () => !props.chat_, run: () => studio.visit(props.chat_) },
  { label: "Suggest all", long: "Suggest every field", icon: "spark", unless: () => !studio.mayChange(), run: () => studio.announce("suggest", { wanted: "all" }) },
  { label: "Sort out tags", long: "Suggest tags", icon: "swap", unless: () => !studio.mayChange(), run: () => studio.announce("suggest", { wanted: "tags" }) },
  { label: "Start from a template", icon: "layers", always: true, unless: () => !studio.mayMake(), run: () => studio.announce("open-templates") },
  { label: "Import cards", long: "Import character cards", icon: "download", always: true, unless: () => !studio.mayMake(), run: () => studio.announce("import-cards") },
  { label: "Export", long: "Export character card", icon: "upload", run: () => studio.announce("export-card") },
  { label: "Share", long: "Share\u2026", icon: "share", unless: () => !props.shares_ || desk.facts.lost, run: () => studio.announce("open-sharing") },
  { label: "History", icon: "clock", run: () => studio.announce("open-story") },
  { label: "Duplicate", icon: "duplicate", unless: () => desk.facts.lost || !studio.mayMake(), run: duplicate },
  { label: "Delete", icon: "trash", danger: true, unless: () => desk.facts.may_remove === false, run: remove },
];

const shown = () => ACTIONS.filter((action) => (action.always || desk.id !== null) && !action.unless?.());
const turns = () => (studio.mayChange() ? [publishing()] : []);
const publishing = () => ({ label: desk.facts.public ? "Public" : "Publish", icon: "globe", place: "row", main: !desk.facts.public, run: () => studio.announce("open-publishing") });

let drawn = "";
/** Drawn anew only where it says something else: a button that is replaced would lose the focus. */
function drawRow() {
  const actions = desk.id === null ? shown().map((action) => ({ ...action, place: "row" })) : [...shown().filter((action) => action.place === "row"), ...turns()];
  const face = JSON.stringify([desk.id === null, actions.map((action) => action.label)]);
  if (face === drawn) return;
  drawn = face;
  button.hidden = desk.id === null; // the one thing that can be done stands beside it
  row.classList.toggle("dm-alone", desk.id === null);
  row.replaceChildren(...actions.map((action) => h("button", { type: "button", class: `ps-button ps-small${action.main ? " ps-primary" : ""}`, onclick: action.run }, icon(action.icon), action.label)));
}

function item(action) {
  const run = () => (popover.close(true), action.run());
  return h("button", { type: "button", role: "menuitem", tabindex: "-1", class: `${action.danger ? "dm-danger" : ""}${action.place === "row" ? " dm-narrow" : ""}`, onclick: run }, icon(action.icon), action.long ?? action.label);
}

function drawMenu() {
  const actions = desk.id === null ? shown() : [...turns(), ...shown()];
  menu.replaceChildren(...actions.map(item));
}

const popover = studio.popover(button, menu, {
  onOpen: () => {
    drawMenu();
    [...menu.children].find((one) => one.offsetParent !== null)?.focus();
  },
});
menu.addEventListener("keydown", (event) => {
  const stops = [...menu.children].filter((one) => one.offsetParent !== null);
  const next = studio.stopAfter(event.key, stops.indexOf(document.activeElement), stops.length);
  if (next !== null) (event.preventDefault(), stops[next].focus());
  if (event.key === "Tab") popover.close();
});
studio.on("facts", drawRow);
studio.on("roles", drawRow);
studio.on("shown", drawRow);
drawRow();
