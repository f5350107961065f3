/* The scenes of a character. The value is {character_id, at, scenes, outfits, limits, answer}; an answer that is
   older than what is shown is not drawn. Fires 'read' {character} and 'act' {action, character, number, …}. */
const studio = window.studio;
const { h, icon, desk } = studio;
const list = element.querySelector(".sn-list");
const empty = element.querySelector(".sn-empty");
const UNDO_SECONDS = 10;
const CALM = 150; // ms: a burst of messages becomes one question
const gone = new Set(); // deleted here, and the rows do not say so yet
const waiting = new Map(); // number → what to do with its answer
let shown = { character_id: null, at: 0, scenes: [], outfits: [], limits: {} };
let timer = null;
let picturing = null; // the open picture dialog

const scenes = () => shown.scenes.filter((scene) => !gone.has(scene.id));
const byId = (id) => shown.scenes.find((scene) => scene.id === id);

function act(action, more, then = null) {
  const number = studio.uuid();
  if (then) waiting.set(number, then);
  trigger("act", { action, character: shown.character_id, number, ...more });
}

function read() {
  if (desk.id !== null) trigger("read", { character: desk.id });
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(read, CALM);
}

/* ---- what a person can do with a scene ---- */

function move(id, step) {
  const ids = scenes().map((scene) => scene.id);
  place(id, ids[ids.indexOf(id) + step], step > 0);
}

function place(id, target, after) {
  if (!studio.mayChange()) return;
  const ids = scenes().map((scene) => scene.id).filter((other) => other !== id);
  if (!target || target === id) return;
  ids.splice(ids.indexOf(target) + (after ? 1 : 0), 0, id);
  shown = { ...shown, scenes: ids.map(byId) };
  render();
  list.querySelector(`[data-id="${CSS.escape(id)}"] .sn-open`)?.focus();
  act("order", { ids });
}

function remove(scene) {
  const at = scenes().indexOf(scene);
  gone.add(scene.id);
  act("delete", { scene: scene.id });
  render();
  (list.querySelectorAll(".sn-open")[Math.max(0, at - 1)] ?? empty.querySelector("button"))?.focus();
  const undo = () => {
    gone.delete(scene.id);
    act("restore", { scene: scene.id });
  };
  studio.notice("Scene deleted.", { action: "Undo", onAction: undo, seconds: UNDO_SECONDS });
}

const isFirst = (scene) => scenes()[0]?.id === scene.id;
const isLast = (scene) => scenes().at(-1)?.id === scene.id;
const ACTIONS = [
  { name: "edit", label: "Edit", icon: "layers", run: (scene) => edit(scene) },
  { name: "picture", label: "New picture", icon: "spark", run: (scene) => picture(scene) },
  { name: "earlier", label: "Move earlier", icon: "earlier", unless: isFirst, run: (scene) => move(scene.id, -1) },
  { name: "later", label: "Move later", icon: "later", unless: isLast, run: (scene) => move(scene.id, 1) },
  { name: "delete", label: "Delete", icon: "trash", danger: true, run: remove },
];

function closeMenu(giveFocusBack = false) {
  const menu = list.querySelector(".sn-menu");
  if (!menu) return;
  const button = menu.parentElement.querySelector(".sn-more");
  button.setAttribute("aria-expanded", "false");
  menu.remove();
  if (giveFocusBack) button.focus();
}

function toggleMenu(scene, button) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  closeMenu();
  if (isOpen) return;
  const item = (action) => h("button", { type: "button", role: "menuitem", "data-action": action.name, class: action.danger ? "sn-danger" : null, onclick: () => (closeMenu(true), action.run(byId(scene.id))) }, icon(action.icon), action.label);
  const menu = h("div", { class: "sn-menu", role: "menu", "aria-label": "What to do with this scene" }, ...ACTIONS.filter((action) => !action.unless?.(scene)).map(item));
  button.setAttribute("aria-expanded", "true");
  button.closest(".sn-card").append(menu);
  menu.querySelector("button").focus({ preventScroll: true });
}

/* ---- the dialog: create and edit ---- */

const draftKey = (id) => `studio:scene:${shown.character_id}:${id ?? "new"}`;

const dropDraft = (id) => studio.keepForm(draftKey(id), null);
const only = (names, values) => Object.fromEntries(names.map((name) => [name, values[name]]));

/** The dialog, with what this tab (or one that is gone) had typed into it and not saved. */
async function edit(scene = null) {
  const draft = studio.ownForm(draftKey(scene?.id)) ?? (await studio.leftForm(draftKey(scene?.id), () => true));
  openDialog(scene && byId(scene.id) ? byId(scene.id) : scene, draft);
}

/** The openers of a chat, one line each: added with Enter, moved and removed by buttons. */
function startersEditor(values, onChange) {
  const { most_starters: most, scene_starter: longest } = shown.limits;
  const rows = h("ol", { class: "sn-starters" });
  const box = h("input", { type: "text", placeholder: "Another way the chat can begin", "aria-label": "New starter", autocomplete: "off" });
  const add = h("button", { type: "button", class: "ps-button ps-small", onclick: () => take() }, icon("add"), "Add");
  const wrong = h("p", { class: "dg-wrong", role: "alert", hidden: true });
  const say = (sentence) => ((wrong.textContent = sentence), (wrong.hidden = !sentence));
  let texts = [...values];
  const tell = (next) => ((texts = next), draw(), onChange(texts));
  const swap = (at, to) => tell(texts.map((text, place) => (place === at ? texts[to] : place === to ? texts[at] : text)));
  const press = (word, name, run) => h("button", { type: "button", class: "sn-mini", "aria-label": word, title: word, onclick: run }, icon(name));

  function row(text, at) {
    const line = h("input", { type: "text", "aria-label": `Starter ${at + 1}`, maxlength: longest });
    line.value = text;
    line.addEventListener("input", () => ((texts[at] = line.value), onChange(texts)));
    return h("li", {}, line, at > 0 ? press("Move up", "up", () => swap(at, at - 1)) : h("span", { class: "sn-mini" }), press("Remove", "close", () => tell(texts.filter((_, place) => place !== at))));
  }

  function draw() {
    rows.replaceChildren(...texts.map(row));
    add.disabled = box.disabled = texts.length >= most;
    box.placeholder = texts.length >= most ? `${most} starters are as many as a scene takes` : "Another way the chat can begin";
  }

  function take() {
    const text = box.value.trim();
    if (!text) return box.focus();
    if ([...text].length > longest) return say(`A starter takes at most ${longest} characters.`);
    say("");
    box.value = "";
    tell([...texts, text]);
    box.focus();
  }

  box.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && (event.preventDefault(), take()));
  box.addEventListener("input", () => onChange(texts)); // what is not added yet is kept as well
  draw();
  const node = h("fieldset", { class: "dg-field", "data-field": "scene_starters" }, h("legend", { class: "dg-label" }, "Starters"), rows, h("div", { class: "sn-add-line" }, box, add), wrong);
  return { node, wrong: say, put: (next) => ((texts = [...next]), draw()), get value() { return box.value.trim() ? [...texts, box.value.trim()] : texts; } };
}

const EMPTY = { scene_name: "", scene_description: "", scene_prompt: "", scene_starters: [], system_prompt: "" };

function openDialog(scene, draft) {
  const stands = Object.fromEntries(Object.keys(EMPTY).map((name) => [name, scene?.[name] ?? EMPTY[name]]));
  const was = { ...stands, ...draft?.was }; // what the fields are typed over: a colleague may have saved since
  const start = { ...stands, ...draft?.values };
  const limits = shown.limits;
  const fields = {};
  const values = () => Object.fromEntries(Object.keys(EMPTY).map((name) => [name, fields[name].value]));
  const mine = () => Object.keys(EMPTY).filter((name) => !studio.same(fields[name].value, was[name]));
  const changed = () => mine().length > 0;
  const keep = () => studio.keepForm(draftKey(scene?.id), changed() ? { values: only(mine(), values()), was: only(mine(), was) } : null);
  const text = (name, label, more) => (fields[name] = studio.field(label, { name, value: start[name], most: limits[name], onInput: keep, ...more })).node;
  const nodes = [
    text("scene_name", "Name", { placeholder: "The night ferry" }),
    text("scene_description", "Description", { rows: 4, placeholder: "Where it is, what happens there, how it feels." }),
    text("scene_prompt", "Words for the picture", { rows: 2, hint: "Empty: the picture is made from the description." }),
    (fields.scene_starters = startersEditor(start.scene_starters, keep)).node,
    text("system_prompt", "System prompt", { rows: 3, hint: "What the chat model is told in this scene." }),
  ];
  const save = h("button", { type: "button", class: "ps-button ps-primary", onclick: () => send() }, scene ? "Save scene" : "Create scene");
  const cancel = h("button", { type: "button", class: "ps-button", onclick: () => leave() }, "Cancel");
  const drop = scene && h("button", { type: "button", class: "ps-button ps-danger dg-left", onclick: () => (dropDraft(scene.id), opened.close(), remove(byId(scene.id))) }, icon("trash"), "Delete");
  const foot = studio.mayChange() ? [drop, cancel, save].filter(Boolean) : [];
  const opened = studio.dialog({ title: studio.mayChange() ? (scene ? "Edit scene" : "New scene") : scene.scene_name, body: nodes, foot, mayClose: () => (changed() && studio.notice("What you typed is kept here until you open this scene again."), true), testid: "scene-dialog" });
  if (draft) studio.notice("We put back what you had typed and not saved.", { action: "Discard it", onAction: () => (dropDraft(scene?.id), opened.close(), edit(scene && byId(scene.id))) });

  if (!studio.mayChange()) for (const box of opened.card.querySelectorAll(".dg-body :is(input, textarea, button)")) box.matches("button") ? (box.disabled = true) : (box.readOnly = true);

  function leave() {
    dropDraft(scene?.id);
    opened.close();
  }

  /** A colleague saved meanwhile: what only they changed is taken; of what both changed a person sees both. */
  function meet(answer) {
    const both = mine().filter((name) => !studio.same(answer.theirs[name], was[name]) && !studio.same(answer.theirs[name], fields[name].value));
    for (const name of Object.keys(EMPTY).filter((one) => !mine().includes(one))) fields[name].put(answer.theirs[name]);
    Object.assign(was, answer.theirs);
    keep();
    for (const name of both) showTheirs(name, answer.theirs[name]);
    const [first] = both.length ? both : ["scene_name"];
    fields[first].node.scrollIntoView({ block: "nearest" });
    fields[first].node.querySelector(".sn-theirs button, input, textarea").focus();
  }

  function showTheirs(name, theirs) {
    const field = fields[name];
    field.node.querySelector(".sn-theirs")?.remove();
    const take = h("button", { type: "button", class: "ps-button ps-small", onclick: () => (field.put(theirs), note.remove(), keep(), (field.box ?? field.node.querySelector("input")).focus()) }, "Take theirs");
    const note = h("div", { class: "sn-theirs", role: "alert" }, h("p", {}, "Somebody else saved this meanwhile. Saving again keeps yours."), h("p", { class: "df" }, studio.asText(theirs) || "(empty)"), take);
    field.node.append(note);
  }

  function told(answer) {
    save.disabled = false;
    if (answer.state === "ok") return (dropDraft(scene?.id), opened.close());
    if (answer.state === "conflict") return meet(answer);
    const field = fields[answer.field] ?? fields.scene_name;
    field.wrong(answer.sentence);
    field.node.scrollIntoView({ block: "nearest" });
    field.box?.focus();
  }

  function send() {
    if (!fields.scene_name.value.trim()) return (fields.scene_name.wrong("Give the scene a name."), fields.scene_name.box.focus());
    const over = opened.card.querySelector("[aria-invalid]");
    if (over) return over.focus();
    save.disabled = true;
    if (scene && !changed()) return leave();
    act("save", scene ? { scene: scene.id, values: only(mine(), values()), was: only(mine(), was) } : { scene: null, values: values() }, told);
    setTimeout(() => (save.disabled = false), 8000); // the answer may be lost with the line; what was typed is kept
  }

  opened.card.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    send();
  });
}

/* ---- the dialog of a picture: what will be sent, what it costs, and only then the money ---- */

function picture(scene) {
  let outfit = "";
  const say = h("div", { class: "sn-plan", "aria-live": "polite" }, h("p", { class: "dg-lead" }, "Putting the prompt together …"));
  const price = h("span", { class: "sn-price dg-left", "data-testid": "scene-price" });
  const pay = h("button", { type: "button", class: "ps-button ps-primary", disabled: true, onclick: () => order() }, icon("spark"), "Generate");
  const chips = [["", "Usual outfit"], ...shown.outfits.map((one) => [one.key, one.label])].map(([key, label]) =>
    h("button", { type: "button", class: "ps-chip", "data-key": key, "aria-pressed": String(key === outfit), onclick: () => wear(key) }, label));
  const opened = studio.dialog({
    title: `Picture of “${scene.scene_name}”`,
    body: [h("fieldset", { class: "dg-field" }, h("legend", { class: "dg-label" }, "Worn in this scene"), h("div", { class: "sn-chips" }, ...chips)), say],
    foot: [price, h("button", { type: "button", class: "ps-button", onclick: () => opened.close() }, "Cancel"), pay],
    onClose: () => (picturing = null),
    testid: "scene-picture",
  });
  picturing = opened;

  function draw(answer) {
    if (picturing !== opened) return;
    const plan = answer.plan ?? {};
    pay.disabled = Boolean(answer.sentence);
    price.textContent = answer.sentence ? "" : plan.price_words;
    const warnings = (plan.warnings ?? []).map((words) => h("p", { class: "sn-warn" }, icon("alert"), words));
    say.replaceChildren(...(answer.sentence ? [h("p", { class: "sn-warn sn-bad" }, icon("alert"), answer.sentence)]
      : [h("h3", {}, "Final prompt"), h("p", { class: "sn-prompt" }, plan.prompt), h("p", { class: "dg-hint" }, `${plan.model} \u00b7 ${plan.reason}`), ...warnings]));
  }

  const ask = () => act("preview", { scene: scene.id, outfit }, draw);

  function wear(key) {
    outfit = key;
    chips.forEach((chip) => chip.setAttribute("aria-pressed", String(chip.dataset.key === key)));
    pay.disabled = true;
    ask();
  }

  function order() {
    pay.disabled = true;
    act("generate", { scene: scene.id, outfit, key: studio.uuid() }, (answer) => (answer.sentence ? draw(answer) : opened.close()));
  }

  ask();
}

/* ---- cards ---- */

function progress(job) {
  const known = job.fraction !== null && job.fraction !== undefined;
  const percent = known ? Math.round(job.fraction * 100) : null;
  const fill = h("i", {});
  if (known) fill.style.width = `${percent}%`;
  return h("div", { class: "pg-bar", role: "progressbar", "aria-label": job.words, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent, "data-known": known ? "true" : job.status === "queued" ? "waiting" : "false" }, fill);
}

const hasFailed = (job) => job.status === "failed";

function jobStrip(scene) {
  const job = scene.job;
  if (!job) return null;
  const press = (action, word) => h("button", { type: "button", class: "ps-button ps-small", onclick: (event) => ((event.currentTarget.disabled = true), act(action, { job: job.id })) }, word);
  if (hasFailed(job)) return h("div", { class: "sn-job sn-failed", "data-testid": "scene-failed" }, h("p", { title: job.error_words }, h("b", {}, job.words), " ", job.error_words), h("div", { class: "sn-two" }, job.can_retry && press("retry", "Try again"), job.can_dismiss && press("dismiss", "Dismiss")));
  return h("div", { class: "sn-job", "data-testid": "scene-job" }, h("p", {}, h("b", {}, job.words)), progress(job), job.can_cancel ? press("cancel", "Cancel") : null);
}

function face(scene) {
  const url = scene.thumb_url && studio.safeUrl(scene.thumb_url);
  const nothing = () => h("span", { class: "sn-none" }, icon("picture"), h("small", {}, scene.external ? "Kept on another site" : "No picture yet"));
  const frame = h("span", { class: "sn-face" }, url ? h("img", { src: url, alt: "", loading: "lazy", decoding: "async", draggable: "false", onerror: (event) => event.target.replaceWith(nothing()) }) : nothing());
  return frame;
}

function card(scene) {
  const more = h("button", { type: "button", class: "sn-more", "aria-label": `Options of ${scene.scene_name}`, "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => toggleMenu(scene, more) }, icon("more"));
  const open = h("button", { type: "button", class: "sn-open", onclick: () => edit(byId(scene.id)) }, h("span", { class: "ps-hidden" }, `${studio.mayChange() ? "Edit" : "Open"} ${scene.scene_name} `), face(scene));
  const chat = scene.chat_url && studio.safeUrl(scene.chat_url);
  const starters = scene.scene_starters.length;
  const facts = starters ? `${starters} ${starters === 1 ? "starter" : "starters"}` : "No starters";
  return h("li", { class: "sn-card", "data-id": scene.id, "data-testid": "scene", draggable: String(studio.mayChange()) }, open, more,
    h("div", { class: "sn-say" }, h("h2", { title: scene.scene_name }, scene.scene_name), h("p", {}, scene.scene_description || scene.scene_prompt || "No description yet.")),
    jobStrip(scene),
    h("div", { class: "sn-foot" }, h("small", {}, facts),
      !scene.job && h("button", { type: "button", class: "ps-button ps-small sn-new", onclick: () => picture(byId(scene.id)) }, icon("spark"), "New picture"),
      chat ? h("a", { class: "ps-button ps-small", href: chat, target: "_blank", rel: "noreferrer noopener" }, "Start chat") : null));
}

function addCard() {
  return h("li", { class: "sn-card sn-add" }, h("button", { type: "button", "data-testid": "scene-add", onclick: () => edit() }, icon("add"), h("span", {}, "New scene")));
}

function renderEmpty() {
  const none = !scenes().length;
  empty.hidden = !none || !shown.at;
  list.hidden = !empty.hidden;
  if (empty.hidden) return;
  empty.replaceChildren(h("span", { class: "pg-art", "aria-hidden": "true" }, icon("layers")), h("h2", {}, "No scenes yet"),
    h("p", {}, "A scene is a place to meet this character: what happens there, how a chat can begin, and a picture of its own."),
    h("button", { type: "button", class: "ps-button ps-primary sn-new", "data-testid": "scene-first", onclick: () => edit() }, icon("add"), "New scene"));
}

const faces = new Map(); // id → {node, key}: a card whose row did not change keeps its element and its focus

function nodeOf(scene) {
  const key = JSON.stringify(scene);
  const old = faces.get(scene.id);
  if (old?.key === key) return old.node;
  const held = old?.node.contains(document.activeElement) ? document.activeElement.className : null;
  const node = card(scene);
  faces.set(scene.id, { node, key });
  if (held) queueMicrotask(() => node.querySelector(`.${held.trim().split(/\s+/).join(".")}`)?.focus());
  return node;
}

function render() {
  const nodes = [...scenes().map(nodeOf), addCard()];
  list.setAttribute("aria-busy", "false");
  const old = [...list.children];
  const same = old.length === nodes.length && old.every((node, at) => node === nodes[at] || (at === old.length - 1 && node.classList.contains("sn-add")));
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  if (!same) list.replaceChildren(...nodes);
  if (held?.isConnected) held.focus({ preventScroll: true }); // a card that moves does not lose it
  renderEmpty();
  document.querySelectorAll("[data-scene-count]").forEach((node) => (node.textContent = scenes().length || ""));
}

/* ---- keys and dragging ---- */

function walk(event) {
  const menu = event.target.closest(".sn-menu");
  if (menu) return studio.walkMenu(event, menu, closeMenu);
  const cell = event.target.closest(".sn-card");
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
  if (!by || !cell) return;
  event.preventDefault();
  if (event.altKey && cell.dataset.id) return move(cell.dataset.id, Math.sign(by));
  [...list.children][[...list.children].indexOf(cell) + by]?.querySelector("button")?.focus();
}

const columns = () => getComputedStyle(list).gridTemplateColumns.split(" ").length;

list.addEventListener("keydown", walk);
document.addEventListener("pointerdown", (event) => event.target.closest?.(".sn-menu, .sn-more") || closeMenu());
studio.dragToOrder(list, ".sn-card", { ids: () => scenes().map((scene) => scene.id), place });

/* ---- rows arrive ---- */

function answered(answer) {
  const then = answer && waiting.get(answer.number);
  if (!then) return;
  waiting.delete(answer.number);
  then(answer);
}

function receive() {
  const next = props.value;
  if (!next || !("scenes" in next)) return;
  const another = next.character_id !== shown.character_id;
  if (another && next.character_id !== desk.id) return; // an answer about the character before
  if (another || next.at >= shown.at) {
    if (another) (gone.clear(), faces.clear());
    shown = next;
    for (const id of [...gone]) if (!next.scenes.some((scene) => scene.id === id)) gone.delete(id);
    render();
  }
  answered(next.answer);
}

const hasJobs = () => shown.scenes.some((scene) => scene.job && !hasFailed(scene.job));
studio.on("shown", () => desk.id !== shown.character_id && read());
studio.on("push", (message) => {
  if (message.type === "resync") return soon();
  if (message.character_id !== desk.id) return;
  if (message.type === "scenes" || (message.type === "job" && (hasJobs() || document.body.dataset.stage === "scenes"))) soon();
});
studio.on("new-scene", () => studio.mayChange() && (studio.setView("scenes"), edit()));
watch("value", receive);
receive();
if (desk.id !== null) read();
