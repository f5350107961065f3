/* Who else has this character open. Pages tell each other through the socket; who was not heard of for a while is
   gone. Nothing is stored. */
const studio = window.studio;
const { h, desk } = studio;
const BEAT = 20_000; // ms between two signs of life
const FORGET = 50_000;
const box = element.querySelector(".pc");
const faces = box.querySelector(".pc-faces");
const words = box.querySelector(".pc-words");
const pages = new Map(); // page → {name, mine, heard}

const tell = () => studio.announce("say", { type: "at", character_id: desk.id });
const letters = (name) => [...name.trim()].slice(0, 1).join("").toUpperCase() || "?";

/** One entry a person: two tabs of Ben are Ben. */
function people() {
  const found = new Map();
  for (const page of pages.values()) found.set(page.mine ? "" : page.name, page);
  return [...found.values()].sort((one, other) => Number(one.mine) - Number(other.mine));
}

function sentence(known) {
  const others = known.filter((one) => !one.mine).map((one) => one.name || "A colleague");
  if (!others.length) return "Open in another tab too";
  if (others.length === 1) return `${others[0]} has this open`;
  return others.length === 2 ? `${others[0]} and ${others[1]} have this open` : `${others[0]} and ${others.length - 1} others have this open`;
}

function render() {
  const known = people();
  box.hidden = !known.length;
  if (!known.length) return;
  faces.replaceChildren(...known.slice(0, 3).map((one) => h("i", { class: one.mine ? "pc-mine" : null }, one.mine ? "\u2026" : letters(one.name))));
  const next = sentence(known);
  if (words.textContent !== next) words.textContent = next;
  box.title = next;
}

function hear(message) {
  if (message.op === "left") pages.delete(message.page);
  else if (message.character_id === desk.id) pages.set(message.page, { name: message.name ?? "", mine: message.mine, heard: Date.now() });
  render();
}

function forget() {
  for (const [page, one] of pages) if (Date.now() - one.heard > FORGET) pages.delete(page);
  render();
}

let at = null;
studio.on("shown", () => {
  if (desk.id === at) return;
  at = desk.id;
  pages.clear();
  render();
  tell();
});
studio.on("push-open", tell);
studio.on("push", (message) => message.type === "presence" && hear(message));
setInterval(() => (tell(), forget()), BEAT);
