/* A character in one form. What is typed is kept in this browser at every key, and in the rows on Save; the address
   names the character once it is saved, so a reload goes on where one was. */
const studio = window.studio;
const { h, icon } = studio;
const { ask, askOrSay, soon, button, lasting, picture } = studio.pages;
const bar = element.querySelector(".cr-bar");
const side = element.querySelector(".cr-portrait");
const form = element.querySelector(".cr-form");
const FIELDS = props.fields_;
const byName = Object.fromEntries(FIELDS.map((field) => [field.name, field]));
const PARTS = [["basics", "Basics"], ["looks", "Looks"], ["tags", "Tags and reference"], ["greetings", "Greetings"], ["voice", "Personality and use"]];
const START = Object.fromEntries(FIELDS.map((field) => [field.name, { tags: [], list: [], switch: false }[field.kind] ?? (field.name === "gender" ? "unspecified" : field.name === "content_rating" ? "sfw" : "")]));
const sides = "studio:create-choices";
const AGAIN = 4000; // ms until a studio that was away is asked for the character once more

const page = { id: new URLSearchParams(location.search).get("character"), version: 0, saved: structuredClone(START), typed: structuredClone(START), reference: "", has_reference: false, match: false };
const notes = {}; // field → the node under it
const refused = {}; // field → what the last save said of it
const shows = {}; // field → shows its value in its control
let saving = null;
let groups = [];
let models = [];
let tiles = [];
let priced = null;
let choices = readChoices();

const draftKey = () => `studio:create:${page.id ?? "new"}`;
const length = (text) => [...text].length;
const changes = () => Object.fromEntries(FIELDS.map(({ name }) => name).filter((name) => !studio.same(page.typed[name], page.saved[name])).map((name) => [name, page.typed[name]]));
const isDirty = () => Object.keys(changes()).length > 0;

/* ---- what is typed is kept ---- */

function keep() {
  studio.keepForm(draftKey(), isDirty() ? { version: page.version, values: changes() } : null);
}

/** What this tab had typed before it was loaded anew; else, where nothing is typed yet, what a closed one left. */
async function giveBack() {
  const of = page.id;
  const own = studio.ownForm(draftKey());
  if (own) return wearDraft(own);
  const left = await studio.leftForm(draftKey(), () => of === page.id && !isDirty() && !saving);
  if (!left) return;
  wearDraft(left);
  showAll();
}

function wearDraft(draft) {
  Object.assign(page.typed, Object.fromEntries(Object.entries(draft.values).filter(([name]) => name in byName)));
  if (page.id && draft.version < page.version) page.version = draft.version; // typed over that version: a newer row is a conflict
  if (isDirty()) studio.notice("We put back what you typed and had not saved yet.", { action: "Discard it", onAction: discard, seconds: 10 });
}

function discard() {
  page.typed = structuredClone(page.saved);
  studio.keepForm(draftKey(), null);
  page.id ? open() : showAll();
}

function readChoices() {
  try {
    return { model: "", presets: {}, ...JSON.parse(localStorage.getItem(sides) || "{}") };
  } catch {
    return { model: "", presets: {} };
  }
}

function edited(name, value) {
  page.typed[name] = value;
  delete refused[name];
  keep();
  note(name);
  if (name.endsWith("_tags")) renderLooks();
  renderBar();
  renderGo();
}

/* ---- reading and saving ---- */

function take(row) {
  Object.assign(page, row, { saved: structuredClone(row.values), typed: { ...structuredClone(row.values), ...sinceThen(row) } });
}

/** What was typed while a save was on its way stays typed. */
function sinceThen(row) {
  if (!saving) return {};
  return Object.fromEntries(Object.entries(page.typed).filter(([name, value]) => !studio.same(value, saving[name]) && !studio.same(value, row.values[name])));
}

async function open() {
  try {
    const row = await ask(server, "open", { id: page.id });
    Object.assign(page, row, { saved: structuredClone(row.values), typed: structuredClone(row.values) });
  } catch (refusal) {
    studio.notice(refusal.message, { seconds: 9 });
    if (refusal.code === "AWAY") return void setTimeout(open, AGAIN);
    page.id = null;
    history.replaceState({}, "", location.pathname);
  }
  giveBack();
  showAll();
  readPortraits();
}

async function save({ version = page.version } = {}) {
  if (saving) return false;
  const values = changes();
  if (page.id && !Object.keys(values).length) return true;
  const key = draftKey();
  saving = structuredClone(page.typed);
  renderBar();
  try {
    const row = await ask(server, "save", { id: page.id, version, values });
    const isNew = !page.id;
    take(row);
    studio.keepForm(key, null);
    saving = null;
    keep();
    if (isNew) history.replaceState({}, "", `${location.pathname}?character=${encodeURIComponent(page.id)}`);
    showAll();
    return true;
  } catch (refusal) {
    saving = null;
    renderBar();
    if (refusal.code === "CONFLICT") return settle();
    if (refusal.field && byName[refusal.field]) return (refused[refusal.field] = refusal.message), note(refusal.field), lead(refusal.field), false;
    studio.notice(refusal.message, { seconds: 9 });
    return false;
  }
}

/** Somebody else saved meanwhile: theirs, or mine over it; a person decides. */
async function settle() {
  const theirs = await askOrSay(server, "open", { id: page.id });
  if (!theirs) return false;
  const names = Object.keys(changes()).filter((name) => !studio.same(theirs.values[name], page.saved[name]));
  return new Promise((resolve) => {
    const mine = () => (box.close(), save({ version: theirs.version }).then(resolve));
    const take_ = () => (studio.keepForm(draftKey(), null), Object.assign(page, theirs, { saved: structuredClone(theirs.values), typed: structuredClone(theirs.values) }), box.close(), showAll(), resolve(false));
    const words = names.length ? `You both changed ${names.map((name) => byName[name].label.toLowerCase()).join(", ")}.` : "You changed other fields than they did, so both can stand.";
    const box = studio.dialog({ title: "Somebody else saved this character", body: [h("p", {}, words), h("p", {}, "Save yours over it: your changes are written, their other fields stay. Take theirs: what you typed here is dropped.")], foot: [button("Take theirs", take_), button("Save mine over it", mine, { kind: "ps-primary" })], onClose: () => resolve(false) });
  });
}

async function toEditor() {
  if ((isDirty() || !page.id) && !(await save())) return;
  location.assign(studio.pages.editorOf(page.id));
}

function lead(name) {
  const control = form.querySelector(`[data-field="${CSS.escape(name)}"] :is(input, textarea, button)`);
  control?.scrollIntoView({ block: "center" });
  control?.focus();
}

/* ---- the bar that stays ---- */

const state = h("span", { class: "cr-state", role: "status", "data-testid": "create-state" });
const saveButton = button("Save", () => save(), { kind: "ps-primary", "data-testid": "create-save" });
const goOn = button("On to the editor", toEditor, { symbol: "forward" });
bar.append(state, goOn, saveButton);
studio.on("roles", renderBar);

function renderBar() {
  const name = (page.typed.name ?? "").trim();
  studio.announce("heading", { title: page.id ? `Edit ${name || "Untitled"}` : "Create a character" });
  const looks = page.may_change === false || !studio.mayMake();
  state.dataset.state = looks ? "look" : saving ? "saving" : isDirty() ? "unsaved" : page.id ? "saved" : "new";
  document.body.classList.toggle("ps-create-look", looks); // what begins or pays is not offered
  state.textContent = { look: "You may look at this, and not change it.", saving: "Saving\u2026", unsaved: "Not saved yet, kept in this browser", saved: "Saved", new: "" }[state.dataset.state];
  saveButton.disabled = Boolean(saving) || (page.id ? !isDirty() : false);
}

/* ---- fields ---- */

function judge(field) {
  const value = page.typed[field.name];
  if (refused[field.name]) return [refused[field.name], true];
  if (typeof value !== "string") return [field.hint ?? "", false];
  const long = length(value.trim());
  if (field.kind !== "choice" && field.most && long > field.most) return [`${long - field.most} too many. Shorten it.`, true];
  if (field.least && long < field.least) return [long ? `${field.least - long} more to go` : `${field.least} to ${field.most} characters, needed for a portrait.`, false];
  if (field.needed && !long) return ["Needed for a portrait.", false];
  return [field.hint ?? "", false];
}

function note(name) {
  const field = byName[name];
  const [words, wrong] = judge(field);
  const node = notes[name];
  if (!node) return;
  node.dataset.wrong = String(wrong);
  node.querySelector(".fn-text").textContent = words;
  const counts = ["line", "text"].includes(field.kind) && field.most;
  node.querySelector(".fn-count").textContent = counts ? `${length((page.typed[name] ?? "").trim())} / ${field.most}` : "";
  form.querySelector(`[data-field="${CSS.escape(name)}"] :is(input, textarea)`)?.setAttribute("aria-invalid", String(wrong));
}

function under(name) {
  return (notes[name] = h("div", { class: "fn", id: `cr-note-${name}` }, h("span", { class: "fn-text", "aria-live": "polite" }), h("span", { class: "fn-count" })));
}

function control(field) {
  return { line: lineControl, text: textControl, choice: choiceControl, tags: tagsControl, list: listControl, switch: switchControl }[field.kind](field);
}

function titled(field, inside, { group = false } = {}) {
  const label = h(group ? "span" : "label", { class: "cr-label", id: `cr-label-${field.name}`, for: group ? null : `cr-${field.name}` }, field.label, field.needed ? h("i", { "aria-hidden": "true" }, " *") : null);
  return h("div", { class: `cr-field cr-${field.kind}`, "data-field": field.name, role: group ? "group" : null, "aria-labelledby": group ? `cr-label-${field.name}` : null }, label, inside, under(field.name));
}

function lineControl(field) {
  const input = h("input", { type: "text", id: `cr-${field.name}`, placeholder: field.placeholder, autocomplete: "off", "aria-describedby": `cr-note-${field.name}`, "aria-required": field.needed ? "true" : null });
  input.addEventListener("input", () => edited(field.name, input.value));
  shows[field.name] = () => input.value !== page.typed[field.name] && (input.value = page.typed[field.name]);
  return titled(field, input);
}

function textControl(field) {
  const area = h("textarea", { id: `cr-${field.name}`, rows: field.rows, placeholder: field.placeholder, "aria-describedby": `cr-note-${field.name}`, "aria-required": field.needed ? "true" : null });
  area.addEventListener("input", () => edited(field.name, area.value));
  shows[field.name] = () => area.value !== page.typed[field.name] && (area.value = page.typed[field.name]);
  return titled(field, area);
}

function choiceControl(field) {
  const closed = (value) => field.name === "content_rating" && value === "nsfw" && props.safe_only_;
  const one = ([label, value]) => h("label", { class: "cr-pill" }, h("input", { type: "radio", name: `cr-${field.name}`, value, disabled: closed(value), onchange: () => edited(field.name, value) }), h("span", {}, label));
  const box = h("div", { class: "cr-pills" }, ...field.choices.map(one));
  shows[field.name] = () => box.querySelectorAll("input").forEach((input) => {
    input.checked = input.value === page.typed[field.name];
    input.disabled = closed(input.value) && !input.checked;
  });
  if (field.name === "content_rating" && props.safe_only_) field.hint = "This studio makes safe pictures only.";
  return titled(field, box, { group: true });
}

function tagsControl(field) {
  const input = h("input", { class: "tc-input", type: "text", id: `cr-${field.name}`, autocomplete: "off", placeholder: "Add a tag, press Enter" });
  const tags = h("span", { class: "tc-tags" });
  const drop = (tag) => edited(field.name, page.typed[field.name].filter((other) => other !== tag));
  const add = () => {
    const typed = input.value.split(",").map((tag) => tag.trim().replace(/\s+/g, " ")).filter(Boolean);
    const long = typed.find((tag) => length(tag) > field.longest);
    if (long) return (refused[field.name] = `A tag takes at most ${field.longest} characters; this has ${length(long)}.`), note(field.name);
    const next = [...page.typed[field.name]];
    for (const tag of typed) if (!next.some((other) => other.toLowerCase() === tag.toLowerCase()) && next.length < field.most) next.push(tag);
    input.value = "";
    if (next.length !== page.typed[field.name].length) (edited(field.name, next), shows[field.name]());
  };
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") add();
    else if (event.key === "Enter" || event.key === ",") (event.preventDefault(), add());
    else if (event.key === "Backspace" && !input.value && page.typed[field.name].length) (drop(page.typed[field.name].at(-1)), shows[field.name]());
  });
  input.addEventListener("blur", add);
  window.addEventListener("pagehide", add); // a word nobody finished with Enter is typed all the same
  shows[field.name] = () => {
    const full = page.typed[field.name].length >= field.most;
    tags.replaceChildren(...page.typed[field.name].map((tag) => h("span", { class: "tc-chip" }, h("span", { class: "tc-word" }, tag), h("button", { type: "button", "aria-label": `Remove ${tag}`, onclick: () => (drop(tag), shows[field.name](), input.focus()) }, icon("close")))));
    input.disabled = full;
    input.placeholder = full ? `${field.most} tags is the most` : page.typed[field.name].length ? "Add" : "Add a tag, press Enter";
  };
  return titled(field, h("div", { class: "tc-box", onpointerdown: (event) => event.target.closest("button, input") || setTimeout(() => input.focus()) }, tags, input));
}

function listControl(field) {
  const box = h("div", { class: "cr-lines" });
  const more = button("Add a greeting", () => (edited(field.name, [...page.typed[field.name], ""]), shows[field.name](), box.querySelector(".cr-one:last-child textarea").focus()), { symbol: "add", kind: "ps-small" });
  const line = (text, at) => {
    const area = h("textarea", { rows: 2, placeholder: field.placeholder, "aria-label": `${field.label} ${at + 1}` });
    area.value = text;
    area.addEventListener("input", () => edited(field.name, page.typed[field.name].with(at, area.value)));
    return h("div", { class: "cr-one" }, area, h("button", { type: "button", class: "dg-x", "aria-label": `Remove greeting ${at + 1}`, onclick: () => (edited(field.name, page.typed[field.name].filter((_, other) => other !== at)), shows[field.name](), more.focus()) }, icon("close")));
  };
  shows[field.name] = () => {
    if (box.contains(document.activeElement) && box.children.length === page.typed[field.name].length) return;
    box.replaceChildren(...page.typed[field.name].map(line));
    more.disabled = page.typed[field.name].length >= field.most;
  };
  return titled(field, h("div", {}, box, more), { group: true });
}

function switchControl(field) {
  const input = h("input", { type: "checkbox", role: "switch", id: `cr-${field.name}`, onchange: () => edited(field.name, input.checked) });
  shows[field.name] = () => (input.checked = page.typed[field.name] === true);
  return titled(field, h("span", { class: "cr-toggle" }, input));
}

/* ---- looks: picture cards that set appearance tags ---- */

const looks = h("div", { class: "cr-looks" });
const has = (tag) => page.typed.appearance_tags.some((other) => other.toLowerCase() === tag.toLowerCase());
const isWorn = (look) => look.tags.length > 0 && look.tags.every(has);
const style = () => (groups[0]?.looks.find(isWorn) ?? groups[0]?.looks[0])?.value;

function wear(group, look) {
  const words = new Set(group.looks.flatMap((one) => one.tags).map((tag) => tag.toLowerCase()));
  const bare = page.typed.appearance_tags.filter((tag) => !words.has(tag.toLowerCase()));
  const next = isWorn(look) ? bare : [...bare, ...look.tags];
  if (next.length > byName.appearance_tags.most) return studio.notice(`${byName.appearance_tags.most} physical tags is the most. Take one out first.`);
  edited("appearance_tags", next);
  shows.appearance_tags();
}

/** Where product approved no picture of a kind yet, its names stand alone: no wall of empty frames. */
const hasPictures = (group) => group.looks.some((look) => Object.keys(look.pictures).length > 0);

function card(group, look) {
  const on = isWorn(look);
  const url = look.pictures[group.key === "style" ? look.value : style()];
  const press = h("button", { type: "button", class: "cr-card", "aria-pressed": String(on), "data-look": `${group.key}/${look.value}`, title: look.tags.join(", "), onclick: () => wear(group, look) }, h("span", { class: "cr-face" }, url ? picture(url, "") : h("span", { class: "no-picture" }, icon("person"))), h("span", { class: "cr-name" }, look.label));
  return press;
}

function renderLooks() {
  const held = looks.contains(document.activeElement) ? document.activeElement.dataset.look : null;
  looks.replaceChildren(...groups.map((group) => h("div", { class: "cr-group", role: "group", "aria-label": group.label }, h("span", { class: "cr-label" }, group.label), h("div", { class: `cr-cards${hasPictures(group) ? "" : " cr-bare"}` }, ...group.looks.map((look) => card(group, look))))));
  if (held) looks.querySelector(`[data-look="${CSS.escape(held)}"]`)?.focus();
}

/* ---- the reference ---- */

const reference = h("div", { class: "cr-reference" });
const TYPES = "image/png,image/jpeg,image/webp,image/heic,image/heif,image/avif,.heic,.heif";

function askForReference() {
  const file = h("input", { type: "file", accept: TYPES, class: "cr-file", "aria-label": "Picture" });
  const rights = h("input", { type: "checkbox", id: "cr-rights" });
  const wrong = h("p", { class: "am-wrong", role: "alert", hidden: true });
  const go = button("Use this picture", () => send(), { kind: "ps-primary" });
  const say = (words) => ((wrong.hidden = false), (wrong.textContent = words));
  async function send() {
    if (!file.files.length) return say("Choose a picture first.");
    if (!rights.checked) return say("Confirm that you have the rights to this picture.");
    go.disabled = true;
    const [chosen] = file.files;
    if (!page.id && !(await save())) return box.close();
    const said = new URLSearchParams({ characterId: page.id, fileName: chosen.name, rightsConfirmed: "true", use: "true" });
    try {
      const answer = await fetch(`/references?${said}`, { method: "POST", headers: { "Content-Type": chosen.type || "application/octet-stream" }, body: chosen }).catch(() => {
        throw new Error("The studio does not answer, so the picture was not sent. Try again in a moment.");
      });
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error ?? "The picture was not taken. Try another one.");
      box.close();
      await readRow();
    } catch (refusal) {
      go.disabled = false;
      say(refusal.message);
    }
  }
  const box = studio.dialog({ title: "A reference picture", body: [h("p", {}, "PNG, JPEG, WebP, HEIC or AVIF, at most 20 MB. Portraits can be made to match the person in it."), file, h("label", { class: "cr-check" }, rights, h("span", {}, "I have the rights to this picture, and it shows no real person who did not agree.")), wrong], foot: [button("Cancel", () => box.close()), go] });
}

/** What a colleague saved is shown at once where nothing is typed here; else it waits for the save, which asks. */
async function readRow() {
  const row = await askOrSay(server, "open", { id: page.id });
  if (!row) return;
  if (!isDirty()) {
    Object.assign(page, row, { saved: structuredClone(row.values), typed: structuredClone(row.values) });
    return showAll();
  }
  const { reference: url, has_reference, reference_is_auto, match } = row; // the version stays: saving over theirs is a choice
  Object.assign(page, { reference: url, has_reference, reference_is_auto, match });
  renderReference();
}

function renderReference() {
  const change = async (what, details = {}) => {
    const row = await askOrSay(server, what, { id: page.id, ...details });
    if (row?.version === page.version + 1) page.version = row.version; // this change of one's own is no conflict
    await readRow();
  };
  const match = h("input", { type: "checkbox", role: "switch", id: "cr-match", onchange: () => change("match", { on: match.checked }) });
  match.checked = page.match;
  const words = page.has_reference ? (page.reference_is_auto ? "The first portrait serves as the reference." : "Your own reference.") : "Without one, every portrait is made from words alone.";
  reference.replaceChildren(h("span", { class: "cr-label" }, "Reference picture"), h("div", { class: "cr-ref" },
    h("span", { class: "cr-ref-face" }, picture(page.reference, "The reference picture")),
    h("div", { class: "cr-ref-words" }, h("p", {}, words),
      page.has_reference ? h("label", { class: "cr-check" }, h("span", { class: "cr-toggle" }, match), h("span", {}, "Match this picture")) : null,
      h("div", { class: "cr-ref-acts" }, button(page.has_reference ? "Replace" : "Upload a picture", askForReference, { kind: "ps-small", symbol: "picture" }), page.has_reference ? button("Remove", () => change("unreference"), { kind: "ps-small" }) : null))));
}

/* ---- the portrait beside the form ---- */

const frame = h("div", { class: "cr-preview" });
const strip = h("div", { class: "cr-strip" });
const cost = h("small", { class: "cr-cost", role: "status" });
const go = button("Generate portrait", () => generate(), { kind: "ps-primary cr-go", symbol: "spark", "data-testid": "create-generate" });
const modelSelect = h("select", { class: "gx-select", "aria-label": "Model", onchange: () => (choose({ model: modelSelect.value }), priceSoon()) });
const presetSelects = props.presets_.map((preset) => {
  const select = h("select", { class: "gx-select", onchange: () => (choose({ presets: { ...choices.presets, [preset.name]: select.value } }), priceSoon()) }, h("option", { value: "" }, "Any"), ...preset.choices.map(([label, key]) => h("option", { value: key }, label)));
  select.value = choices.presets[preset.name] ?? "";
  return h("label", { class: "gx-field" }, h("span", {}, preset.label), select);
});
side.append(h("div", { class: "cr-card-box" }, frame, strip, h("div", { class: "cr-presets" }, ...presetSelects), h("label", { class: "gx-field" }, h("span", {}, "Model"), modelSelect), go, cost));

function choose(more) {
  choices = { ...choices, ...more };
  localStorage.setItem(sides, JSON.stringify(choices));
}

const saved = () => tiles.filter((tile) => tile.kind === "portrait");
const jobs = () => tiles.filter((tile) => tile.kind === "job");
const order = () => ({ id: page.id, presets: choices.presets, model: choices.model });

function lacking() {
  const name = (page.typed.name ?? "").trim();
  const long = length((page.typed.description ?? "").trim());
  if (!name) return "name";
  return long < 50 || long > 500 ? "description" : null;
}

function renderGo() {
  const missing = lacking();
  go.disabled = Boolean(saving);
  cost.dataset.wrong = "false";
  cost.textContent = missing ? `Needs ${missing === "name" ? "a name" : "a description of 50 to 500 characters"} first.` : (priced ?? "");
}

async function price() {
  if (!page.id || lacking()) return renderGo();
  try {
    const seen = await ask(server, "price", order());
    priced = `${seen.model} \u00b7 ${seen.price}`;
  } catch (refusal) {
    priced = refusal.message;
  }
  renderGo();
}
const priceSoon = soon(price, 200);

async function generate() {
  const missing = lacking();
  if (missing) return lead(missing);
  go.disabled = true;
  if ((isDirty() || !page.id) && !(await save())) return (go.disabled = false);
  const said = await askOrSay(server, "generate", { ...order(), key: studio.uuid() });
  go.disabled = false;
  if (!said) return;
  said.warnings.forEach((words) => studio.notice(words, { seconds: 8 }));
  studio.announce("asked");
  readPortraits();
  priceSoon();
}

async function readPortraits() {
  if (!page.id) return renderPortrait();
  const found = await ask(server, "portrait", { id: page.id }).catch(() => null);
  if (found) tiles = found.tiles;
  renderPortrait();
}
const readSoon = soon(readPortraits, 250);

function busy(job) {
  const known = job.fraction !== null && job.fraction !== undefined;
  const fill = h("i");
  if (known) fill.style.width = `${Math.round(job.fraction * 100)}%`;
  const left = job.seconds_left ? ` \u00b7 about ${lasting(job.seconds_left)} left` : "";
  const failed = job.status === "failed";
  return h("div", { class: `cr-busy${failed ? " cr-failed" : ""}`, role: "status" }, failed ? icon("alert") : h("i", { class: "cr-glow" }), h("b", {}, failed ? "That one did not work" : job.stage_words || "Waiting"), h("small", {}, failed ? job.error_words : `${job.model}${left}`),
    failed ? null : h("div", { class: "qp-bar", "data-known": String(known) }, fill),
    job.can_cancel ? button("Cancel", async (event) => ((event.currentTarget.disabled = true), await askOrSay(server, "cancel", { id: page.id, job: job.id }), readPortraits()), { kind: "ps-small" }) : null);
}

function renderPortrait() {
  const newest = saved().find((tile) => tile.primary) ?? saved()[0];
  const job = jobs().find((one) => !["failed", "cancelled"].includes(one.status)) ?? (newest ? null : jobs().find((one) => one.status === "failed"));
  const blank = h("div", { class: "cr-blank" }, icon("person"), h("p", {}, "The first portrait appears here."));
  const url = newest && (newest.full_url || newest.url);
  const shownNow = frame.querySelector("img")?.getAttribute("src");
  if (!(url && shownNow === url)) frame.replaceChildren(url ? picture(url, `Portrait of ${page.typed.name}`, { lazy: false }) : blank);
  frame.querySelector(".cr-busy")?.remove();
  if (job) frame.append(busy(job));
  strip.hidden = saved().length < 2;
  strip.replaceChildren(...saved().slice(0, 5).map((tile) => h("span", { class: "cr-thumb", "data-primary": String(tile.primary) }, picture(tile.url, tile.title))));
}

/* ---- together ---- */

function showAll() {
  for (const { name } of FIELDS) (shows[name](), note(name));
  renderLooks();
  renderReference();
  renderBar();
  renderGo();
  priceSoon();
}

function section([key, title]) {
  const fields = FIELDS.filter((field) => field.part === key).map(control);
  if (key === "looks") fields.push(looks);
  if (key === "tags") fields.push(reference);
  return fields.length ? h("section", { class: "cr-section", "aria-label": title }, h("h2", {}, title), h("div", { class: "cr-fields" }, ...fields)) : null;
}

form.append(...PARTS.map(section).filter(Boolean));
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey)) return;
  if (event.key.toLowerCase() === "s") (event.preventDefault(), save());
  if (event.key === "Enter") (event.preventDefault(), generate());
});
studio.on("pushed", ({ type, character_id: of }) => {
  if (type === "resync" || (of === page.id && ["job", "portraits"].includes(type))) readSoon();
  if (of === page.id && type === "character" && page.id && !saving) readRow();
});

async function start() {
  const asked = [ask(server, "looks").then((found) => (groups = found.groups)), ask(server, "models").then((found) => (models = found.models))];
  if (page.id) await open();
  else (giveBack(), showAll(), renderPortrait());
  await Promise.allSettled(asked);
  modelSelect.replaceChildren(h("option", { value: "" }, "Automatic"), ...models.map((one) => h("option", { value: one.id }, `${one.name} \u00b7 ${one.price}`)));
  modelSelect.value = models.some((one) => one.id === choices.model) ? choices.model : "";
  renderLooks();
  studio.ready();
}
start();
