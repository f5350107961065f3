/* The queue: a drawer from the right with everything that waits or is made. Asked for again when a job changes. */
const studio = window.studio;
const { h, icon } = studio;
const { askOrSay, ask, soon, button, when } = studio.pages;
const panel = element.querySelector(".qp");
const CALM = { open: 250, closed: 2500 }; // ms between two questions
const STRANGERS = 10000; // ms: of strangers' pictures no message reaches this page
let line = null;
let whose = "mine";
let before = null;
const rows = new Map(); // id → row: a row that stands keeps its focus

const isOpen = () => !panel.hidden;
const mine = () => (line?.jobs ?? []).filter((job) => job.mine);
const shown = () => (whose === "mine" ? mine() : (line?.jobs ?? []));

async function read() {
  const found = await ask(server, "read").catch(() => null); // the page says elsewhere that the studio is away
  if (!found) return;
  take(found);
}

function take(found) {
  line = found;
  studio.announce("queue-count", { many: mine().length });
  if (isOpen()) render();
}

const readNow = soon(read, CALM.open);
const readLater = soon(read, CALM.closed);
const changed = () => (isOpen() ? readNow() : readLater());

async function cancel(job, press) {
  press.disabled = true;
  const found = await askOrSay(server, "cancel", { id: job.id });
  press.disabled = false;
  if (found) take(found);
}

function place(job) {
  if (job.place === 1) return "Next in line";
  return job.place ? `Number ${job.place} in line` : job.stage_words;
}

function bar(job) {
  if (job.place) return null;
  const known = job.fraction !== null && job.fraction !== undefined;
  const fill = h("i");
  if (known) fill.style.width = `${Math.round(job.fraction * 100)}%`;
  return h("div", { class: "qp-bar", "data-known": String(known), role: "progressbar", "aria-label": job.stage_words, "aria-valuenow": known ? Math.round(job.fraction * 100) : null, "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
}

function row(job) {
  const facts = [place(job), job.model, when(job.since)].filter(Boolean).join(" \u00b7 ");
  const words = h("div", { class: "qp-words" }, h("b", {}, job.title), h("small", {}, facts), job.prompt ? h("p", { title: job.prompt }, job.prompt) : null, bar(job));
  const stop = job.can_cancel ? h("button", { type: "button", class: "qp-stop", "aria-label": `Cancel ${job.title}`, title: "Cancel", onclick: (event) => cancel(job, event.currentTarget) }, icon("close")) : null;
  return h("li", { class: "qp-row", "data-id": job.id, "data-mine": String(job.mine) }, h("span", { class: "qp-face" }, icon(job.place ? "ring" : "spark")), words, stop);
}

function draw(job) {
  const face = JSON.stringify(job);
  const standing = rows.get(job.id);
  if (standing?.face === face) return standing.node;
  const node = row(job);
  if (standing?.node.contains(document.activeElement)) setTimeout(() => node.querySelector(".qp-stop")?.focus());
  rows.set(job.id, { face, node });
  return node;
}

function empty() {
  const many = (line?.jobs ?? []).length;
  if (line === null) return h("div", { class: "ps-empty" }, "Reading the queue\u2026");
  if (whose === "mine" && many) return h("div", { class: "ps-empty" }, icon("check"), h("b", {}, "None of yours is waiting"), h("p", {}, `${many} of your colleagues' ${many === 1 ? "picture is" : "pictures are"} in the line.`));
  return h("div", { class: "ps-empty" }, icon("check"), h("b", {}, "The queue is empty"), h("p", {}, "What you generate appears here until it is saved."));
}

/** The tabs stand for good, so that an answer that comes meanwhile takes the focus from none. */
function tab(key, label) {
  const count = h("span", {}, "0");
  const press = h("button", { type: "button", role: "tab", "data-whose": key, onclick: () => turnTo(key) }, label, count);
  return { press, count };
}

function turnTo(key) {
  whose = key;
  render();
  TABS[key].press.focus();
}

function renderTabs() {
  for (const [key, { press, count }] of Object.entries(TABS)) {
    press.setAttribute("aria-selected", String(whose === key));
    press.tabIndex = whose === key ? 0 : -1;
    count.textContent = String(key === "mine" ? mine().length : (line?.jobs ?? []).length);
  }
}

const TABS = { mine: tab("mine", "Mine"), all: tab("all", "Everybody's") };
const alone = h("p", { class: "qp-alone", hidden: true, role: "status" }, icon("alert"), h("span", {}, "No worker is running, so what is in the queue waits. Start one with ", h("code", {}, "python -m core.worker"), ", or ask an admin to."));
const tabs = h("div", { class: "qp-tabs", role: "tablist", "aria-label": "Whose pictures" }, TABS.mine.press, TABS.all.press);
const list = h("ul", { class: "qp-list", "aria-label": "Pictures in the queue" });
const blank = h("div", {});
panel.append(h("header", { class: "qp-head" }, h("h2", {}, "Queue"), h("button", { type: "button", class: "dg-x", "aria-label": "Close the queue", onclick: () => close() }, icon("close"))), tabs, alone, h("div", { class: "qp-scroll" }, list, blank));

function render() {
  alone.hidden = line === null || line.worker_lives;
  renderTabs();
  const found = shown();
  for (const id of rows.keys()) if (!found.some((job) => job.id === id)) rows.delete(id);
  list.hidden = !found.length;
  const nodes = found.map(draw);
  if (nodes.length !== list.children.length || nodes.some((node, at) => list.children[at] !== node)) list.replaceChildren(...nodes);
  blank.replaceChildren(...(found.length ? [] : [empty()]));
}

function open() {
  if (isOpen()) return close();
  before = document.activeElement;
  panel.hidden = false;
  render();
  panel.querySelector("[aria-selected=true]").focus();
  read();
}

function close() {
  panel.hidden = true;
  before?.isConnected && before.focus();
}

tabs.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  turnTo(whose === "mine" ? "all" : "mine");
});
panel.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), close()));
studio.on("queue", open);
studio.on("pushed", ({ type }) => (type === "job" || type === "resync") && changed());
studio.on("asked", () => changed());
setInterval(() => isOpen() && !document.hidden && read(), STRANGERS);
read();
