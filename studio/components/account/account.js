/* Who is signed in, and the ways out. What is typed is saved, or kept in this browser, before one goes. */
const studio = window.studio;
const { h, icon } = studio;
const button = element.querySelector(".ac-open");
const card = element.querySelector(".ac-card");
const ROLES = { editor: "Editor", qa: "QA", product: "Product", admin: "Admin" };
let account = null;

button.append(icon("person"));

const initials = (name) => name.split("@")[0].split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");

async function read() {
  const answer = await fetch("/account").catch(() => null);
  if (!answer?.ok) return;
  account = await answer.json();
  studio.knowRoles(account.roles);
  button.replaceChildren(initials(account.name) || icon("person"));
  button.title = `Signed in as ${account.name}`;
}

/** Only a form of this page, with what belongs to this session in it, signs anybody out. */
async function leave(path) {
  popover.close();
  await studio.flush();
  await read();
  if (!account) return studio.notice("The studio is away, so you are still signed in. Try again in a moment.");
  const form = h("form", { method: "post", action: path, hidden: true }, h("input", { type: "hidden", name: "form", value: account.form }));
  document.body.append(form);
  form.submit();
}

const act = (label, symbol, run, more = "") => h("button", { type: "button", class: `ac-act${more}`, onclick: run }, icon(symbol), label);
/** On a phone the top of the page has no room for a button of its own. */
const theme = () => act(studio.isDark() ? "Light theme" : "Dark theme", studio.isDark() ? "sun" : "moon", () => (popover.close(true), studio.toggleTheme()), " ac-narrow");

function draw() {
  const roles = (account?.roles ?? []).map((role) => h("li", {}, ROLES[role] ?? role));
  const who = account && h("div", { class: "ac-who" }, h("span", { class: "ac-name" }, account.name), h("ul", { class: "ac-roles", "aria-label": "Your roles" }, ...roles));
  card.replaceChildren(...[who, theme(), act("Sign out", "leave", () => leave("/sign-out")), act("Sign out everywhere", "everywhere", () => leave("/sign-out-everywhere"))].filter(Boolean));
}

const popover = studio.popover(button, card, {
  onOpen: () => {
    draw();
    [...card.querySelectorAll(".ac-act")].find((one) => one.offsetParent !== null)?.focus();
    if (!account) read().then(() => account && !card.hidden && draw());
  },
});
studio.walkWithArrows(card, ".ac-act");
studio.command({ id: "sign-out", label: "Sign out", group: "Account", icon: "leave", run: () => leave("/sign-out") });
read();
