/* Two portraits, one over the other with an edge that moves, and what differs in their making. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".cm");
const FACTS = [["own_words", "Own words"], ["model", "Model"], ["seed", "Seed"], ["size", "Size"], ["cost", "Cost"], ["negative", "Negative prompt"]];
const KINDS = [["pose", "Pose"], ["expression", "Expression"], ["outfit", "Outfit"], ["camera", "Camera"]];
let last = null;
let pair = null;

async function open(ids) {
  if (box.hidden) last = document.activeElement;
  const found = await studio.look(ids);
  if (found.some((one) => !one)) return studio.notice("One of these portraits is gone, so there is nothing to compare.");
  pair = found;
  box.hidden = false;
  document.body.classList.add("ps-locked");
  draw();
  box.querySelector("input").focus();
}

function close() {
  box.hidden = true;
  box.replaceChildren();
  if (!studio.lightbox.isOpen()) document.body.classList.remove("ps-locked");
  last?.isConnected ? last.focus() : studio.grid.focus(pair?.[0].id ?? "");
}

const preset = (details, kind) => details.presets.find((one) => one.kind === kind)?.label ?? "";

/** What is not the same in both: [title, left, right]. */
function differences([one, other]) {
  const rows = [...FACTS.map(([name, title]) => [title, one[name] ?? "", other[name] ?? ""]), ...KINDS.map(([kind, title]) => [title, preset(one, kind), preset(other, kind)])];
  rows.push(["Image match", one.matched ? "on" : "off", other.matched ? "on" : "off"]);
  return rows.filter(([, left, right]) => left !== right);
}

function words(details) {
  return (details.prompt || "").split(",").map((part) => part.trim()).filter(Boolean);
}

/** The prompts, part by part: what only one of them has is marked. */
function prompt(details, other) {
  const there = new Set(words(other));
  return h("p", { class: "cm-prompt" }, ...words(details).flatMap((part, at, all) => [there.has(part) ? part : h("mark", {}, part), at < all.length - 1 ? ", " : ""]));
}

function picture(details, name) {
  return h("img", { class: name, src: studio.safeUrl(details.full_url || details.url || ""), alt: details.title, draggable: "false" });
}

function name(details) {
  return h("span", {}, details.primary && icon("star"), new Date(details.created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
}

function slider() {
  const [one, other] = pair;
  const frame = h("div", { class: "cm-frame", style: "--at: 50%" }, picture(one, "cm-under"), picture(other, "cm-over"), h("span", { class: "cm-edge", "aria-hidden": "true" }, icon("compare")));
  const range = h("input", { type: "range", min: 0, max: 100, step: 1, value: 50, "aria-label": "How much of each portrait is shown", oninput: () => (frame.style.setProperty("--at", `${range.value}%`), range.setAttribute("aria-valuetext", `${range.value} % of the left one`)) });
  frame.append(range);
  return h("div", { class: "cm-stage" }, frame, h("div", { class: "cm-names" }, name(one), name(other)));
}

function table() {
  const rows = differences(pair);
  if (!rows.length) return h("p", { class: "cm-same" }, "Their settings are the same.");
  const row = ([title, left, right]) => h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, left || "\u2013"), h("td", {}, right || "\u2013"));
  return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "ps-hidden" }, "Setting")), h("th", { scope: "col" }, "Left"), h("th", { scope: "col" }, "Right"))), h("tbody", {}, ...rows.map(row)));
}

/** Both prompts, or one where nothing differs. */
function prompts([one, other]) {
  if (one.prompt === other.prompt) return [h("h3", {}, "Prompt of both"), prompt(one, other)];
  return [h("h3", {}, "Prompt, left"), prompt(one, other), h("h3", {}, "Prompt, right"), prompt(other, one)];
}

function draw() {
  const [one, other] = pair;
  box.replaceChildren(h("section", { class: "cm-card" },
    h("header", {}, h("h2", { id: "cm-title" }, "Compare two portraits"),
      h("button", { type: "button", class: "ps-button ps-small", onclick: () => ((pair = [other, one]), draw(), box.querySelector("input").focus()) }, icon("compare"), "Swap"),
      h("button", { type: "button", class: "cm-close", "aria-label": "Close", onclick: close }, icon("close"))),
    h("div", { class: "cm-body" }, slider(), h("div", { class: "cm-side" }, h("h3", {}, "What differs"), table(), ...prompts(pair)))));
}

box.addEventListener("keydown", (event) => {
  if (event.key === "Escape") (event.stopPropagation(), close());
  else studio.trapTab(event, box);
});
box.addEventListener("pointerdown", (event) => event.target === box && close());
studio.compare = open;
