/* How the next picture is taken: expression, outfit, camera, and its seed. The value is {expression, outfit, camera,
   seed, keep}; a choice is the catalogue's key or free words. This tab remembers it for each character. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".sh");
const LONGEST = 200; // characters of own words (SPEC "Prompt")
const MOST_SEED = 2 ** 31 - 1;
const NOTHING = { expression: "", outfit: "", camera: "", seed: "", keep: false };
const faces = new Map(); // kind → {button, word, panel, menu}
let of = null;

const value = () => ({ ...NOTHING, ...props.value });
const storeKey = () => `studio:shot:${studio.desk.id}`;
const poses = () => [...document.querySelectorAll("#pose input[type=radio]")];
const pose = () => poses().find((one) => one.checked)?.value ?? "";
const labelOf = (kind, key) => props.kinds_.find((one) => one.kind === kind)?.choices.find((one) => one.key === key)?.label ?? key;

function set(next, { quiet = false } = {}) {
  props.value = { ...value(), ...next };
  keep();
  render();
  if (!quiet) studio.announce("ask");
}

function keep() {
  if (of !== null) sessionStorage.setItem(storeKey(), JSON.stringify({ ...value(), pose: pose() }));
}

function giveBack() {
  if (studio.desk.id === of) return;
  of = studio.desk.id;
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(storeKey()) ?? "{}");
  } catch {
    kept = {}; // not ours, or cut short: nothing is chosen
  }
  const { pose: posed, ...rest } = kept;
  props.value = { ...NOTHING, ...rest };
  requestAnimationFrame(() => posed && choosePose(posed)); // the radio stands once the page has drawn it
  studio.announce("ask");
  render();
}

function choosePose(key) {
  const radio = poses().find((one) => one.value === key || one.closest("label")?.textContent.trim() === labelOf("pose", key));
  if (radio && !radio.checked) radio.click();
  return Boolean(radio);
}

/* ---- taking over parts of a picture's making, each by itself ---- */

function recallWords(words) {
  const field = document.querySelector("#f_own_words :is(input, textarea)");
  const letters = [...words];
  field.value = letters.slice(0, LONGEST).join("");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  if (letters.length > LONGEST) studio.notice(`Own words take ${LONGEST} characters; the last ${letters.length - LONGEST} of these were left out.`);
}

function recallPresets(presets) {
  if (presets.pose && !choosePose(presets.pose)) studio.notice("Its pose is none of this studio's, so the present one stays.");
  set({ expression: presets.expression ?? "", outfit: presets.outfit ?? "", camera: presets.camera ?? "" });
}

studio.recall = ({ words = null, seed = null, presets = null }) => {
  studio.setView("portraits");
  if (words !== null) recallWords(words);
  if (seed !== null) set({ seed: String(seed), keep: false });
  if (presets !== null) recallPresets(presets);
};

/* ---- the chips ---- */

function face(kind, title, fill) {
  const word = h("span", {});
  const button = h("button", { type: "button", class: "sh-open", "aria-haspopup": "dialog", "aria-expanded": "false", "data-kind": kind }, word, icon("down"));
  const panel = h("div", { class: "sh-panel", role: "dialog", "aria-label": title, hidden: true });
  const part = h("div", { class: "sh-part" }, button, panel);
  const menu = studio.popover(button, panel, { onOpen: () => (fill(panel), panel.querySelector("[aria-pressed=true], button, input")?.focus()) });
  studio.walkWithArrows(panel, "button, input[type=radio]");
  faces.set(kind, { button, word, title, menu, panel });
  box.append(part);
}

function fillChoices(panel, { kind, label, choices }) {
  const press = (key) => () => (faces.get(kind).menu.close(true), set({ [kind]: value()[kind] === key ? "" : key }));
  const chip = (key, words, hint) => h("button", { type: "button", class: "ps-chip", "aria-pressed": String(value()[kind] === key), title: hint, onclick: press(key) }, words);
  const own = value()[kind] && !choices.some((one) => one.key === value()[kind]) ? [chip(value()[kind], value()[kind], "Free words")] : [];
  panel.replaceChildren(h("b", {}, label), h("div", { class: "sh-chips" }, ...own, ...choices.map((one) => chip(one.key, one.label, one.words))),
    value()[kind] && h("button", { type: "button", class: "ps-button ps-small", onclick: press(value()[kind]) }, icon("close"), `No ${label.toLowerCase()}`));
}

function fillSeed(panel) {
  const locked = studio.likeness?.seed ?? "";
  const now = value().seed !== "" ? "certain" : value().keep ? "keep" : "new";
  const way = (key, words, hint, off = false) => h("label", { class: "sh-way", "data-off": String(off) }, h("input", { type: "radio", name: "sh-seed", value: key, checked: now === key, disabled: off, onchange: () => choose(key) }), h("span", {}, h("b", {}, words), h("small", {}, hint)));
  const number = h("input", { type: "text", inputmode: "numeric", maxlength: 10, "aria-label": "Seed", placeholder: "A number", value: value().seed, oninput: () => typed(number, wrong) });
  const wrong = h("small", { class: "sh-wrong", role: "alert" });
  const choose = (key) => {
    if (key === "certain") return number.focus();
    set({ seed: "", keep: key === "keep" });
    number.value = "";
    wrong.textContent = "";
  };
  panel.replaceChildren(h("b", {}, "Seed"), way("new", "A new one each time", "Every picture is another."),
    way("keep", "Keep the character\u2019s seed", locked ? `${locked}: pictures stay closer to each other.` : "The first portrait brings it.", !locked),
    way("certain", "A certain one", "The same words and seed make nearly the same picture."), number, wrong);
}

function typed(number, wrong) {
  const words = number.value.trim();
  const fits = /^\d*$/.test(words) && Number(words) <= MOST_SEED;
  wrong.textContent = fits ? "" : `A seed is a whole number up to ${MOST_SEED.toLocaleString("en")}.`;
  number.setAttribute("aria-invalid", String(!fits));
  const radio = faces.get("seed").panel.querySelector(`input[value=${words ? "certain" : "new"}]`);
  if (radio) radio.checked = true;
  if (fits) set({ seed: words, keep: false });
}

function render() {
  for (const [kind, { button, word, title }] of faces) {
    const on = kind === "seed" ? value().seed !== "" || value().keep : value()[kind] !== "";
    const words = kind !== "seed" ? labelOf(kind, value()[kind]) || title : value().seed !== "" ? `Seed ${value().seed}` : value().keep ? "Seed kept" : title;
    button.dataset.on = String(on);
    button.setAttribute("aria-label", on && kind !== "seed" ? `${title}: ${words}` : words);
    word.textContent = words;
  }
}

for (const kind of props.kinds_.filter((one) => one.kind !== "pose")) face(kind.kind, kind.label, (panel) => fillChoices(panel, kind));
face("seed", "Seed", fillSeed);
studio.on("shown", giveBack);
document.addEventListener("change", (event) => event.target.closest("#pose") && keep());
watch("value", render);
render();
