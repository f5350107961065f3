/* What will be sent and what it costs, before paying. Fires 'ask' for a preview and 'generate' with one key a picture. */
const studio = window.studio;
const { h, icon } = studio;
const toggle = element.querySelector(".fp-toggle");
const panel = element.querySelector(".fp-panel");
const price = element.querySelector(".fp-price");
const REST = 350; // ms after the last keystroke
const SHORTEST = 50; // characters of a description (SPEC "characters")
const AWAY = "The studio is away; nothing was asked for.";
let timer = null;
let busy = false;

const view = () => props.value ?? {};
const count = () => Number(document.querySelector("#count input:checked")?.value ?? 1);

function total() {
  const { price_words: words, price: each } = view();
  if (!words) return "";
  if (each === null || each === undefined || count() === 1 || Number(each) === 0) return count() > 1 && words !== "free" ? `${count()} \u00d7 ${words}` : words;
  return `${count()} \u00d7 ${words} = $${(Number(each) * count()).toFixed(4).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

function renderToggle() {
  const words = view().problem || view().prompt || "The final prompt appears here before you pay.";
  toggle.dataset.problem = Boolean(view().problem);
  toggle.replaceChildren(...[h("b", {}, view().problem ? "Not ready" : "Final prompt"), h("span", { class: "fp-line" }, words), (view().warnings ?? []).length && !view().problem ? warned() : null, icon("down")].filter(Boolean));
  price.textContent = view().problem ? "" : total();
}

/** That there is something to read before paying; the sentences stand in the panel. */
function warned() {
  const sentences = view().warnings.join(" ");
  const mark = h("span", { class: "fp-warned", role: "img", "aria-label": sentences, title: sentences }, icon("alert"));
  return mark;
}

function fact(title, text) {
  return text ? h("div", { class: "fp-fact" }, h("small", {}, title), h("p", {}, text)) : null;
}

function renderPanel() {
  const shown = view();
  const heading = h("header", {}, h("b", {}, "Final prompt"),
    shown.prompt && h("button", { type: "button", class: "ps-button ps-small", onclick: () => studio.copyText(shown.prompt) }, icon("copy"), "Copy"));
  panel.replaceChildren(...[heading,
    shown.problem ? h("p", { class: "fp-problem", role: "alert" }, icon("alert"), shown.problem) : h("p", { class: "fp-text", "data-testid": "final-prompt" }, shown.prompt || "Nothing yet."),
    ...(shown.warnings ?? []).map((warning) => h("p", { class: "fp-warning" }, icon("alert"), warning)),
    h("div", { class: "fp-facts" }, fact("Negative prompt", shown.negative), fact("Model", shown.model), fact("Why this model", shown.reason), fact("Price", shown.problem ? "" : total()))].filter(Boolean));
}

function render() {
  renderToggle();
  renderPanel();
}

function ask() {
  clearTimeout(timer);
  timer = setTimeout(() => studio.desk.id !== null && trigger("ask", { id: studio.desk.id }), REST);
}

/** The first field a picture cannot do without, and what to say about it. */
function missing() {
  const { name, description } = studio.desk.typed;
  if (!(name ?? "").trim()) return ["name", "Give the character a name first."];
  if ([...(description ?? "").trim()].length < SHORTEST) return ["description", `Describe the character first, in at least ${SHORTEST} characters.`];
  return null;
}

/** What stands in the way before anything is sent; true where it was said. */
function refuses() {
  const first = missing();
  if (first) (studio.lead(first[0]), studio.notice(first[1]));
  else if (studio.isAway()) studio.notice(AWAY);
  else return false;
  return true;
}

/** One click: everything typed is saved first, then asked for once, with keys that can never buy twice. */
async function generate() {
  if (busy || studio.desk.id === null || refuses()) return;
  busy = true;
  document.body.classList.add("ps-asking");
  const keys = Array.from({ length: count() }, () => studio.uuid());
  try {
    if (studio.isDirty() && !(await studio.flush())) return void studio.notice(studio.badge.isRefused() ? "No picture was asked for: correct the marked field first." : AWAY);
    studio.announce("asked");
    trigger("generate", { id: studio.desk.id, keys, limit: studio.grid.limit() });
  } finally {
    // the answer clears it sooner; without an answer the button must come back
    setTimeout(free, 8000);
    if (studio.isDirty()) free();
  }
}

function free() {
  busy = false;
  document.body.classList.remove("ps-asking");
}

studio.generate = generate;
studio.popover(toggle, panel);
for (const name of ["saved", "shown", "ask"]) studio.on(name, ask);
document.addEventListener("input", (event) => event.target.closest("#f_own_words") && ask());
document.addEventListener("change", (event) => (event.target.closest("#pose") ? ask() : event.target.closest("#count") && render()));
watch("value", () => {
  if (view().asked) free();
  render();
});
render();
