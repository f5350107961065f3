/* Who works on a character: its owner adds, changes and removes colleagues, a member leaves. And the note above the
   fields of a character that one may only look at: with what was typed to be copied or kept. Asks 'read', 'add',
   'change', 'remove' and 'leave'. */
const studio = window.studio;
const { ask } = studio.pages;
const { h, icon, desk } = studio;
const note = element.querySelector(".sg-note");
let dialog = null;
let known = null; // the last answer; null while the first is on its way
let problem = "";
let busy = false;
let look = false; // the page shows a character that may only be looked at

/* ---- the note, and fields that are only read ---- */

// Text stays to be selected and copied; everything else that would change something is switched off.
const CHANGING = "#rail :is(button, input, select, textarea):not(.sh, .sh *, .sg-note *), #promptbar :is(button, input, textarea):not(.fp *), .pg-star";
const isText = (control) => control.matches("textarea, input:not([type=checkbox], [type=radio], [type=file], [type=button])");

function close(control) {
  const attribute = isText(control) ? "readOnly" : "disabled";
  if (control[attribute]) return;
  control[attribute] = true;
  control.dataset.look = attribute;
}

function open(control) {
  control[control.dataset.look] = false;
  delete control.dataset.look;
}

const closeAll = () => document.querySelectorAll(CHANGING).forEach(close);
const watcher = new MutationObserver(closeAll); // parts draw their buttons anew

/** What was typed and is not saved, as text. */
function typed() {
  return Object.entries(studio.changes()).map(([field, value]) => `${studio.labels[field] ?? field}\n${studio.asText(value)}`).join("\n\n");
}

function press(name, words, run, kind = "") {
  return h("button", { type: "button", class: `ps-button ps-small ${kind}`, onclick: run }, icon(name), words);
}

function sentence() {
  const { lost, owner } = desk.facts;
  const kept = studio.isDirty() ? " What you typed is not saved; it is kept here." : "";
  return `${lost || `Shared by ${owner || "a colleague"}. You may look at it, and not change it: ask them for the right.`}${kept}`;
}

let drawn = "";
/** Drawn anew only where it says something else: a button that is replaced would lose the focus. */
function drawNote() {
  note.hidden = !look;
  const face = look ? sentence() : "";
  if (face === drawn) return;
  drawn = face;
  if (!look) return;
  if (!note.closest("#rail")) document.querySelector("#rail")?.prepend(note);
  const copy = studio.isDirty() ? press("copy", "Copy what I typed", () => studio.copyText(typed())) : null;
  note.replaceChildren(icon(desk.facts.lost ? "alert" : "lock"), h("div", {}, h("p", {}, face), h("div", { class: "sg-do" }, copy, studio.mayMake() ? press("duplicate", "Keep a copy as my own", () => studio.announce("keep-own")) : null)));
}

function turn() {
  const next = desk.id !== null && !studio.mayChange();
  if (next !== look) {
    look = next;
    document.body.classList.toggle("ps-look", look);
    watcher.disconnect();
    if (look) {
      closeAll();
      for (const box of document.querySelectorAll("#rail, #promptbar, .pg-list")) watcher.observe(box, { childList: true, subtree: true, attributeFilter: ["disabled", "readonly"] });
    } else {
      document.querySelectorAll("[data-look]").forEach(open);
      if (studio.isDirty()) studio.announce("dirty"); // one may again: what was typed is saved
    }
  }
  drawNote();
}

for (const event of ["facts", "shown", "values"]) studio.on(event, turn);
studio.on("withheld", (answer) => studio.withhold(answer.sentence));

/* ---- the dialog ---- */

async function put(what, details = {}) {
  busy = true;
  problem = "";
  draw();
  try {
    const answer = await ask(server, what, { character: desk.id, ...details });
    busy = false;
    return answer;
  } catch (error) {
    busy = false;
    problem = error.message;
    draw();
    return null;
  }
}

async function change(what, details) {
  const answer = await put(what, details);
  if (answer) ((known = answer), draw());
  return answer !== null;
}

async function leave() {
  const name = (desk.typed.name ?? "").trim() || "Untitled";
  if (!(await put("leave"))) return;
  dialog.close();
  studio.notice(`You left ${name}.`);
}

const RIGHTS = [[false, "May look"], [true, "May change"]];

function rights(chosen, label, run, extra = {}) {
  const box = h("select", { class: "sg-may", "aria-label": label, disabled: busy, ...extra, onchange: () => run(box.value === "true") }, ...RIGHTS.map(([value, words]) => h("option", { value: String(value) }, words)));
  box.value = String(chosen);
  return box;
}

function place(one) {
  if (one.is_owner) return h("span", { class: "sg-what" }, "Owner");
  if (!known.can_share || one.is_me) return h("span", { class: "sg-what" }, RIGHTS[Number(one.can_edit)][1]);
  return h("span", { class: "sg-acts" },
    rights(one.can_edit, `What ${one.name} may do`, (may) => change("change", { person: one.person, may_change: may })),
    h("button", { type: "button", class: "sg-out", "aria-label": `Remove ${one.name}`, title: "Remove", disabled: busy, onclick: () => change("remove", { person: one.person }) }, icon("close")));
}

function line(one) {
  const name = h("span", { class: "sg-name" }, h("b", {}, one.name), one.is_me ? " (you)" : null, one.has_role ? null : h("small", {}, "No editor at the moment, so they see nothing."));
  return h("li", { "data-testid": "member" }, h("span", { class: "sg-face", "aria-hidden": "true" }, [...one.name].slice(0, 1).join("").toUpperCase()), name, place(one));
}

function adding() {
  const email = studio.field("E-mail address of a colleague", { name: "email", placeholder: "ben@example.org" });
  email.box.type = "email";
  email.box.dataset.first = ""; // not the first member's choice
  const may = rights(true, "What they may do", () => {});
  const add = async () => {
    if (!email.value.trim()) return email.wrong("Enter the address they sign in with.");
    const words = email.value;
    const chosen = may.value;
    if (await change("add", { email: words, may_change: chosen === "true" })) return dialog.card.querySelector("[data-field=email] input")?.focus();
    const again = dialog.card.querySelector("[data-field=email] input"); // what was typed is not lost with the refusal
    again.value = words;
    dialog.card.querySelector(".sg-add .sg-may").value = chosen;
    again.focus();
  };
  email.box.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), add()));
  return h("div", { class: "sg-add" }, email.node, may, h("button", { type: "button", class: "ps-button ps-primary", disabled: busy, onclick: add }, icon("newcomer"), "Add"));
}

function explained() {
  if (known.everybody) return "The whole team sees and changes every character here. Whom you add matters only where that is switched off (TEAM_SHARING).";
  if (known.people.length > 1) return "Pictures that members make lie with the owner, and are paid from the budget of whoever asks.";
  return "Nobody else works on this character yet. Add a colleague who signs in here: they find it among their characters at once.";
}

function draw() {
  const name = (desk.typed.name ?? "").trim() || "Untitled";
  const body = known === null
    ? [h("p", { class: problem ? "sg-no" : "dg-none", role: problem ? "alert" : null }, problem || "Reading\u2026")]
    : [h("ul", { class: "sg-people", role: "list" }, ...known.people.map(line)), known.can_share ? adding() : null, problem ? h("p", { class: "sg-no", role: "alert" }, problem) : null, h("p", { class: "dg-hint" }, explained())].filter(Boolean);
  const foot = [known?.can_leave ? h("button", { type: "button", class: "ps-button dg-left", disabled: busy, onclick: leave }, "Leave this character") : null, h("button", { type: "button", class: "ps-button", onclick: () => dialog.close() }, "Close")];
  if (dialog?.isOpen()) return dialog.show({ body, foot });
  dialog = studio.dialog({ title: `Share ${name}`, body, foot, onClose: () => (dialog = null), testid: "sharing" });
}

async function read() {
  const answer = await put("read");
  if (answer && dialog?.isOpen()) ((known = answer), draw());
}

studio.on("open-sharing", () => {
  known = null;
  problem = "";
  draw();
  read();
});

/** Somebody shared a character with this person, or took it back. */
function told(message) {
  if (message.type !== "members") return;
  if (message.character_id === desk.id && dialog?.isOpen() && !busy) read();
  if (message.mine && message.op === "insert" && message.character_id !== desk.id) {
    studio.notice("A colleague shared a character with you.", { action: "Open it", onAction: () => studio.open(message.character_id), seconds: 12 });
  }
}
studio.on("push", told);
