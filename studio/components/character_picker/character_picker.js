/* Which character is on the desk; finds others by name; makes a new one. Fires 'find' {search}. */
const studio = window.studio;
const { h, icon } = studio;
const button = element.querySelector(".cp-open");
const panel = element.querySelector(".cp-panel");
const search = panel.querySelector("input");
const list = panel.querySelector(".cp-list");
let timer = null;
let face = { id: null, url: null }; // the primary portrait as the grid shows it, fresher than the card
let pages = []; // what was found so far, page after page
let asked = null; // the card under which more were asked for
let wanted = null; // Enter was pressed on these words, and their answer is on its way

function avatar(url) {
  const safe = url && studio.safeUrl(url);
  const frame = h("span", { class: "cp-face" }, icon("person"));
  if (safe) frame.append(h("img", { src: safe, alt: "", loading: "lazy", onerror: (event) => event.target.remove() }));
  return frame;
}

function ago(iso) {
  const seconds = Math.max(0, (Date.now() - new Date(iso)) / 1000);
  const [amount, unit] = [[60, "second"], [3600, "minute"], [86400, "hour"], [Infinity, "day"]].find(([limit]) => seconds < limit);
  const size = { second: 1, minute: 60, hour: 3600, day: 86400 }[unit];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

function entry(card) {
  const open = () => (menu.close(true), card.id === studio.desk.id || studio.open(card.id));
  const words = h("span", { class: "cp-words" }, h("b", {}, card.name), h("small", {}, `${card.mine ? "" : `shared by ${card.owner_name || "a colleague"} \u00b7 `}changed ${ago(card.updated_at)}`));
  const mark = card.id === studio.desk.id ? icon("check") : null;
  return h("li", {}, h("button", { type: "button", class: "cp-entry", "aria-current": card.id === studio.desk.id ? "true" : null, onclick: open }, avatar(card.thumb_url), words, mark));
}

/** One more page under what is shown, or a first one. */
function takePage() {
  const page = props.value ?? {};
  if (!page.after) pages = page.cards ?? [];
  else if (page.after === pages.at(-1)?.id) pages = [...pages, ...page.cards];
  asked = null;
}

function askMore() {
  const last = pages.at(-1);
  const nearEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 400;
  if (!props.value?.more || !last || asked === last.id || !nearEnd || panel.hidden) return;
  asked = last.id;
  trigger("find", { search: search.value.trim(), after: last.id, at: last.updated_at });
}

function renderList() {
  const cards = pages;
  const nothing = search.value ? "No character has this in its name." : "No characters yet. The button below makes the first one.";
  list.replaceChildren(...(cards.length ? cards.map(entry) : [h("li", { class: "cp-none" }, nothing)]));
}

function renderButton() {
  const card = pages.find((one) => one.id === studio.desk.id);
  const typed = (studio.desk.typed.name ?? "").trim();
  const name = studio.desk.id === null ? "Choose a character" : typed || "Untitled";
  button.setAttribute("aria-label", studio.desk.id === null ? name : `Character: ${name}`);
  button.replaceChildren(avatar((face.id === studio.desk.id && face.url) || card?.thumb_url), h("span", { class: "cp-name" }, name), icon("down"));
  document.title = studio.desk.id === null ? "Portrait Studio" : `${name} \u00b7 Portrait Studio`;
}

function create() {
  menu.close();
  const make = () => studio.announce("create");
  studio.isDirty() ? studio.flush().then(make) : make();
}

const menu = studio.popover(button, panel, {
  onOpen: () => {
    search.value = "";
    trigger("find", { search: "" });
    search.focus();
  },
});
panel.querySelector(".cp-new").replaceChildren(icon("add"), "New character");
panel.querySelector(".cp-new").addEventListener("click", create);
panel.querySelector(".cp-from").replaceChildren(icon("layers"), "From a template");
panel.querySelector(".cp-from").addEventListener("click", () => (menu.close(true), studio.announce("open-templates")));

function takeFirst() {
  wanted = null;
  list.querySelector(".cp-entry")?.click();
}

search.addEventListener("keydown", (event) => {
  const words = search.value.trim();
  if (event.key !== "Enter" || event.isComposing || !words) return;
  event.preventDefault();
  clearTimeout(timer);
  if (props.value?.search === words) return takeFirst();
  wanted = words;
  trigger("find", { search: words });
});
search.addEventListener("input", () => {
  wanted = null;
  clearTimeout(timer);
  timer = setTimeout(() => trigger("find", { search: search.value.trim() }), 200);
});
list.addEventListener("scroll", askMore);
studio.walkWithArrows(panel, "input, .cp-entry, .cp-begin button");
studio.on("values", renderButton);
studio.on("shown", () => (renderButton(), renderList()));
studio.on("push", (message) => message.type === "members" && trigger("find", { search: search.value.trim() }));
studio.on("face", (next) => ((face = next), renderButton()));
watch("value", () => {
  const isTyped = props.value?.search === search.value.trim(); // else an answer to words that were typed over meanwhile
  if (isTyped) takePage();
  renderButton();
  if (!isTyped) return;
  renderList();
  if (wanted !== null) takeFirst();
});
renderButton();
