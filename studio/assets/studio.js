/* What every part of the page shares: safe DOM building, icons, notices, overlays, and the desk, which knows
   what is typed, what is saved, and what is kept for later. Text of people reaches the page through
   textContent and setAttribute only. */
(() => {
  "use strict";

  // Auth leads here with a message's link where its own page for it is not allowed: it belongs to that page.
  const brought = new URLSearchParams(location.hash.slice(1));
  if (brought.has("access_token") && brought.has("type")) {
    const letter = location.hash;
    history.replaceState(null, "", location.pathname + location.search);
    location.replace("/sign-in/password" + letter);
    return;
  }

  const SVG = "http://www.w3.org/2000/svg";
  const ICONS = {
    add: "M12 5v14M5 12h14",
    alert: "M12 4 3 19.5h18L12 4Zm0 6v4.5m0 2.6v.1",
    back: "m14.5 6-6 6 6 6",
    check: "m5 12.5 4.5 4.5L19 7.5",
    close: "m6 6 12 12M18 6 6 18",
    compare: "M12 4v16M9 7H4v10h5m6-10h5v10h-5",
    copy: "M9 9h10v11H9zM15 9V4H5v11h4",
    everywhere: "M4 5.500h12v9H4zm5 12h6m-3-3v3M20 9v10.500H10",
    leave: "M13 5H5v14h8M10 12h10m-3.500-4 4 4-4 4",
    down: "m6.5 9.5 5.5 5.5 5.5-5.5",
    up: "m6.5 14.500 5.5-5.5 5.5 5.5",
    download: "M12 4v11m-4.5-4L12 15.5 16.5 11M5 19.5h14",
    earlier: "M19 12H5m5-5-5 5 5 5",
    later: "M5 12h14m-5-5 5 5-5 5",
    files: "M8 8h11v12H8zM5 16V4h11",
    forward: "m9.5 6 6 6-6 6",
    heart: "M12 19.500c-4.800-3.300-7.500-6.200-7.500-9.300A4 4 0 0 1 12 8a4 4 0 0 1 7.500 2.200c0 3.100-2.700 6-7.500 9.300Z",
    help: "M9.2 9.3a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2.1m0 3v.1M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z",
    likeness: "M4.500 9V4.500H9m6 0h4.500V9m0 6v4.500H15m-6 0H4.500V15M12 11.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4Zm-3.500 5c.4-2 1.800-3 3.500-3s3.100 1 3.500 3",
    layers: "m12 4 8 4.2-8 4.2-8-4.2L12 4Zm-8 8.3 8 4.2 8-4.2M4 16.2l8 4.2 8-4.2",
    more: "M12 6v.1M12 12v.1M12 18v.1",
    moon: "M19.5 14.3A8 8 0 0 1 9.7 4.5a8 8 0 1 0 9.8 9.8Z",
    person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8.5c.6-4 3.6-6 7.5-6s6.900 2 7.500 6",
    picture: "M4 5h16v14H4zm0 11 4.500-4.500 4 4 3-3L20 16M15.500 9.300v.1",
    redo: "M19 5v5h-5M18.600 10A7.500 7.500 0 1 0 19.300 14",
    ring: "M12 19.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15Z",
    select: "M8.500 12.300 11 14.800l4.800-5.300M5 5h14v14H5z",
    share: "M7 13.500a2 2 0 1 0 0-3 2 2 0 0 0 0 3Zm0-1.500 9-5m-9 5 9 5m1.500-9.500a1.800 1.800 0 1 0 0-3.600 1.800 1.800 0 0 0 0 3.600Zm0 13a1.800 1.800 0 1 0 0-3.600 1.800 1.800 0 0 0 0 3.600Z",
    search: "M10.800 17.500a6.700 6.700 0 1 0 0-13.400 6.700 6.700 0 0 0 0 13.400Zm4.900-1.800L20 20",
    spark: "M12 4c.7 4.700 2.600 6.900 8 8-5.400 1.100-7.300 3.300-8 8-.7-4.700-2.600-6.900-8-8 5.400-1.100 7.300-3.300 8-8Z",
    star: "m12 4.200 2.400 5 5.400.7-4 3.800 1 5.400-4.800-2.600-4.800 2.600 1-5.400-4-3.800 5.400-.7 2.400-5Z",
    sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 3v2m0 14v2M3 12h2m14 0h2M5.600 5.600 7 7m10 10 1.400 1.400m0-12.800L17 7M7 17l-1.400 1.400",
    upload: "M12 15.500V4.500M7.500 9 12 4.500 16.500 9M5 19.500h14",
    trash: "M5 7h14M10 7V4.500h4V7m-7.500 0 .8 12.500h9.400L17.500 7M10.300 10.500v5.500m3.400-5.500v5.500",
  };

  /** An element with attributes, `on…` listeners and children; strings become text, never markup. */
  function h(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /** One of our own line icons, 24 by 24, coloured by the text around it. */
  function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "ps-icon");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  }

  /** Addresses come from rows: only our own origin and plain web schemes may be followed. */
  function safeUrl(value) {
    try {
      const url = new URL(value, location.origin);
      return ["http:", "https:", "blob:"].includes(url.protocol) ? value : null;
    } catch {
      return null;
    }
  }

  const announce = (name, detail) => window.dispatchEvent(new CustomEvent(`studio:${name}`, { detail }));
  const on = (name, listener) => window.addEventListener(`studio:${name}`, (event) => listener(event.detail ?? {}));

  // crypto.randomUUID exists in secure contexts only; a team may open the studio over plain http in its network
  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  /* ---- notices: a sentence at the foot of the page, with at most one thing to do about it ---- */

  function noticeHost() {
    let host = document.querySelector(".ps-notices");
    if (!host) document.body.append((host = h("div", { class: "ps-notices", role: "status", "aria-live": "polite" })));
    return host;
  }

  /** Show a sentence; returns a function that takes it away. `onEnd` runs once however it ends; `seconds: 0` stays. */
  function notice(sentence, { action = null, onAction = null, onEnd = null, seconds = 6 } = {}) {
    const card = h("div", { class: `ps-notice${seconds ? "" : " ps-stays"}`, "data-testid": "notice" }, h("span", {}, sentence));
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      card.remove();
      onEnd?.();
    };
    const act = () => {
      onAction?.();
      end();
    };
    if (action) card.append(h("button", { type: "button", class: "ps-notice-act", onclick: act }, action));
    card.append(h("button", { type: "button", class: "ps-notice-x", "aria-label": "Dismiss", onclick: end }, icon("close")));
    card.style.setProperty("--life", `${seconds}s`);
    const timer = seconds ? setTimeout(end, seconds * 1000) : null;
    noticeHost().append(card);
    return end;
  }

  async function copyText(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = h("textarea", { class: "ps-hidden", readonly: true });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    notice("Copied.", { seconds: 2 });
  }

  /** Keep Tab inside an open overlay. */
  function trapTab(event, box) {
    if (event.key !== "Tab") return;
    const stops = [...box.querySelectorAll("button, a[href], input, textarea, [tabindex='0']")].filter((stop) => !stop.disabled && stop.offsetParent !== null);
    if (!stops.length) return;
    const first = stops[0];
    const last = stops[stops.length - 1];
    if (event.shiftKey && document.activeElement === first) (event.preventDefault(), last.focus());
    else if (!event.shiftKey && document.activeElement === last) (event.preventDefault(), first.focus());
  }

  /** A popover under (or above) its button: opens, closes on Escape, a click elsewhere or a choice. */
  function popover(button, panel, { onOpen = null } = {}) {
    const isOpen = () => !panel.hidden;
    const close = (giveFocusBack = false) => {
      if (!isOpen()) return;
      panel.hidden = true;
      button.setAttribute("aria-expanded", "false");
      if (giveFocusBack) button.focus();
    };
    const open = () => {
      panel.hidden = false;
      button.setAttribute("aria-expanded", "true");
      onOpen?.();
    };
    button.addEventListener("click", () => (isOpen() ? close() : open()));
    document.addEventListener("pointerdown", (event) => {
      if (isOpen() && !panel.contains(event.target) && !button.contains(event.target)) close();
    });
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (event.stopPropagation(), close(true));
    });
    return { open, close, isOpen };
  }

  /** Which of `count` stops a key leads to from the stop `at` (-1 for none); null where the key leads nowhere. */
  function stopAfter(key, at, count) {
    if (key === "Home") return 0;
    if (key === "End") return count - 1;
    if (key === "ArrowDown") return (at + 1) % count;
    if (key === "ArrowUp") return (Math.max(at, 0) - 1 + count) % count;
    return null;
  }

  /** Arrow keys, Home and End walk through the focusable children that match `selector`. */
  function walkWithArrows(box, selector) {
    box.addEventListener("keydown", (event) => {
      const stops = [...box.querySelectorAll(selector)];
      const inText = event.target.matches("input, textarea") && (event.key === "Home" || event.key === "End");
      const next = stops.length && !inText ? stopAfter(event.key, stops.indexOf(document.activeElement), stops.length) : null;
      if (next !== null) (event.preventDefault(), stops[next].focus());
    });
  }

  /* ---- the server is away, and is back ---- */

  const CONNECTION = "Connection to the server was lost"; // Gradio's own words for what ours say already
  let stopAway = null;
  let awayTimer = null;

  const isAway = () => document.body.classList.contains("ps-offline");

  function hideTwice() {
    if (!isAway()) return;
    for (const item of document.querySelectorAll(".toast-message-item")) if (item.textContent.includes(CONNECTION)) item.classList.add("ps-told");
  }

  function away() {
    if (isAway()) return;
    document.body.classList.add("ps-offline");
    hideTwice();
    const say = () => (stopAway = notice("The studio is away. What you type is kept in this browser until it is back.", { seconds: 0 }));
    awayTimer = setTimeout(say, 1500); // a short break needs no words
  }

  function back() {
    clearTimeout(awayTimer);
    stopAway?.();
    stopAway = null;
    document.body.classList.remove("ps-offline");
  }

  /* ---- a page that has not come whole: a script or its first rows were lost on the way ---- */

  const LATE = 20000; // ms
  const sayLate = () => (stopLate = notice("This page has not come whole.", { action: "Load it again", onAction: () => location.reload(), seconds: 0 }));
  const lateTimer = setTimeout(sayLate, LATE);
  let stopLate = null;

  /** Its first rows are here. */
  function hasCome() {
    clearTimeout(lateTimer);
    stopLate?.();
  }

  /** The page shows its first rows: what waited for it may begin. */
  function ready() {
    hasCome();
    document.body.classList.add("ps-ready");
  }

  /* ---- the desk: one character, what is typed and what is saved ---- */

  const same = (one, other) => JSON.stringify(one ?? "") === JSON.stringify(other ?? "");
  let tab = sessionStorage.getItem("studio:tab") || uuid();
  /* Of several people at one browser each finds their own drafts alone: the sign-in names them for us in a cookie. */
  const whose = /(?:^|; )(?:__Host-)?studio_desk=([0-9a-f]+)/.exec(document.cookie)?.[1];
  const personal = (key) => (whose ? `${whose}:${key}` : key);
  const draftKey = (id) => personal(`studio:draft:${id}:${tab}`);
  sessionStorage.setItem("studio:tab", tab);

  // `base`: what stood under a draft that was given back, where the row has moved on since
  // `tried`: field → values that were sent and not answered yet; they may stand in the row
  const desk = { id: null, version: 0, fields: [], saved: {}, typed: {}, base: {}, tried: {}, facts: {}, name: "" };

  /* Only what a tab that is gone left behind is given back elsewhere. What a closing tab writes is not to be relied on,
     nor is a clock: a hidden tab's stands still. A tab holds a lock by its name for as long as it lives; where the page
     came over plain http there are no locks, and tabs ask each other who is there. */
  const lockOf = (name) => `studio:tab:${name}`;
  const HEARD = 1000; // ms in which a tab that is there has answered, a hidden one too
  const tabs = new BroadcastChannel("studio:tabs");
  const heard = new Map(); // tab → when it last said that it is there
  tabs.addEventListener("message", ({ data }) => (data ? heard.set(data, performance.now()) : tabs.postMessage(tab)));

  /** Answers with a function that knows which tabs are there. */
  async function otherTabs() {
    if (navigator.locks) {
      const { held } = await navigator.locks.query();
      const names = new Set(held.map((lock) => lock.name));
      return (other) => names.has(lockOf(other));
    }
    const asked = performance.now();
    tabs.postMessage(null);
    await new Promise((resolve) => setTimeout(resolve, HEARD));
    return (other) => heard.get(other) >= asked;
  }

  const GOING = 3000; // ms in which the page that was in this tab before is gone

  /** Hold a tab's lock until this page is gone; answers whether it came free. */
  const hold = (name) => new Promise((resolve) => {
    const held = () => (resolve(true), new Promise(() => {}));
    navigator.locks.request(lockOf(name), { signal: AbortSignal.timeout(GOING) }, held).catch(() => resolve(false));
  });

  const isTaken = async (name) => (navigator.locks ? !(await hold(name)) : (await otherTabs())(name));

  /** A tab that was duplicated began with the name of the first one. */
  async function ownName() {
    if (!(await isTaken(tab))) return;
    tab = uuid();
    sessionStorage.setItem("studio:tab", tab);
    if (navigator.locks) hold(tab);
    if (desk.id !== null) keepDraft();
  }

  function readDraft(key) {
    try {
      return { key, ...JSON.parse(localStorage.getItem(key) || "null") };
    } catch {
      return { key }; // not ours, or cut short: there is nothing to give back
    }
  }

  /** The drafts of a character, the oldest first. */
  function readDrafts(id) {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(personal(`studio:draft:${id}`)));
    return keys.map(readDraft).filter((draft) => draft.values).sort((one, other) => one.at.localeCompare(other.at));
  }

  const isOurs = (draft) => (draft.tab ?? tab) === tab;

  const dropDraft = (id) => localStorage.removeItem(draftKey(id));

  function keepDraft() {
    const values = changes();
    if (!Object.keys(values).length) return dropDraft(desk.id);
    const under = Object.fromEntries(Object.keys(values).map((field) => [field, stoodUnder(field)]));
    const draft = { tab, version: desk.version, values, base: under, tried: desk.tried, at: new Date().toISOString() };
    try {
      localStorage.setItem(draftKey(desk.id), JSON.stringify(draft));
    } catch {
      notice("This browser keeps no drafts (its storage is full or switched off). Use Save now before leaving.");
    }
  }

  /* A form that is kept as one draft (the create page, a scene): each tab has its own under `name`, so that none writes
     over another's. */
  const formKey = (name) => personal(`${name}:${tab}`);
  const ownForm = (name) => readDraft(formKey(name)).draft ?? null;

  /** Keep a form's draft for a reload; null drops it. */
  function keepForm(name, draft) {
    try {
      draft === null ? localStorage.removeItem(formKey(name)) : localStorage.setItem(formKey(name), JSON.stringify({ tab, draft, at: new Date().toISOString() }));
    } catch {
      notice("This browser keeps no drafts (its storage is full or switched off). Save before leaving.");
    }
  }

  /** What a tab that is gone left of that form, the latest; it is this tab's from then on. Null where there is none, or
      where the form is not free for it any more (`isFree`). */
  async function leftForm(name, isFree) {
    const others = () => Object.keys(localStorage).filter((key) => key.startsWith(personal(`${name}:`)) && key !== formKey(name));
    if (!others().length) return null;
    const isThere = await otherTabs();
    const left = others().map(readDraft).filter((one) => one.draft && !isThere(one.tab)).sort((one, other) => one.at.localeCompare(other.at)).at(-1);
    if (!left || !isFree()) return null;
    localStorage.removeItem(left.key);
    keepForm(name, left.draft);
    return left.draft;
  }

  const isTried = (field, value) => (desk.tried[field] ?? []).some((one) => same(one, value));

  /** Values are on their way. Until they are answered nobody knows whether they were saved. */
  function trying(values) {
    for (const [field, value] of Object.entries(values)) if (!isTried(field, value)) desk.tried[field] = [...(desk.tried[field] ?? []), value];
    keepDraft();
  }

  /** They were answered, with a no: they do not stand in the row. */
  function notSaved(values) {
    for (const [field, value] of Object.entries(values)) desk.tried[field] = (desk.tried[field] ?? []).filter((one) => !same(one, value));
  }

  /** Fields whose typed value differs from the saved one, or from one that may be saved. */
  function changes() {
    const differs = (field) => !same(desk.typed[field], desk.saved[field]) || desk.tried[field]?.some((one) => !same(one, desk.typed[field]));
    return Object.fromEntries(desk.fields.filter(differs).map((field) => [field, desk.typed[field]]));
  }

  /** What a typed field was typed over. */
  const stoodUnder = (field) => (field in desk.base ? desk.base[field] : desk.saved[field]);

  const isDirty = () => desk.id !== null && Object.keys(changes()).length > 0;
  const inOrder = (values) => desk.fields.map((field) => values[field]);

  /** Every edit of every field arrives here; nothing leaves the browser. */
  function edited(values) {
    if (desk.id === null) return;
    Object.assign(desk.typed, values);
    keepDraft();
    announce("values", desk.typed);
    if (isDirty()) announce("dirty");
  }

  function take(record) {
    Object.assign(desk, { id: record.id, version: record.version, saved: { ...record.values }, typed: { ...record.values }, base: {}, tried: {} });
  }

  let givenBackIsSaved = null;

  /** Out of this browser at once: the page may be loaded again before the row has come. */
  function discard() {
    Object.assign(desk, { typed: { ...desk.saved }, base: {}, tried: {} });
    dropDraft(desk.id);
    loadTheirs();
  }

  function giveBack(drafts) {
    const known = ([field]) => desk.fields.includes(field);
    for (const draft of drafts) {
      Object.assign(desk.typed, Object.fromEntries(Object.entries(draft.values).filter(known)));
      Object.assign(desk.base, Object.fromEntries(Object.entries(draft.base ?? {}).filter(known)));
      for (const [field, values] of Object.entries(draft.tried ?? {})) desk.tried[field] = [...(desk.tried[field] ?? []), ...values];
      localStorage.removeItem(draft.key);
    }
    if (!drafts.length || !isDirty()) return;
    desk.version = Math.min(desk.version, ...drafts.map((draft) => draft.version)); // what was typed was typed over that version: a newer row is a conflict
    keepDraft();
    const when = new Date(drafts.at(-1).at).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    const stop = notice(`We put back what you typed at ${when} and had not saved yet.`, { action: "Discard it", onAction: discard, seconds: 10 });
    givenBackIsSaved = () => {
      stop(); // there is nothing to discard any more
      givenBackIsSaved = null;
      notice(`What you typed at ${when} was put back, and is saved now.`);
    };
    announce("dirty");
  }

  /** What tabs that are gone left of this character; a field that is being typed here waits for the next look. */
  async function giveBackOfOthers(id) {
    if (readDrafts(id).every(isOurs)) return;
    const isThere = await otherTabs();
    while (saving()) await new Promise((resolve) => setTimeout(resolve, 100));
    if (desk.id !== id) return;
    const isFree = (draft) => Object.keys(draft.values).every((field) => !(field in changes()));
    const left = readDrafts(id).filter((draft) => !isOurs(draft) && !isThere(draft.tab) && isFree(draft));
    giveBack(left);
    if (left.length) put(changes(), () => announce("wear"));
  }

  /** News of a character that has left the desk since they were asked for. */
  const isOvertaken = (record) => Boolean(record.pushed) && desk.id !== null && record.id !== desk.id;

  let roles = null; // of who is signed in; null where nobody signs in, or it is not known yet
  const mayMake = () => roles === null || roles.includes("editor");
  const mayChange = () => desk.facts.may_change !== false && mayMake();

  /** Who may only look is offered no beginning of anything; the rows decide about each one that stands. */
  function knowRoles(known) {
    roles = known;
    document.body.classList.toggle("ps-reader", !mayMake());
    announce("roles");
  }

  /** The character on the desk can be seen no more: what stands here stays, and is not changed. */
  function withhold(sentence) {
    Object.assign(desk.facts, { may_change: false, may_remove: false, lost: sentence });
    announce("facts", desk.facts);
  }

  /** Decide, when a row arrives, what the form shows: Python never writes over what is being typed. */
  function fill(record, values) {
    desk.fields = record?.fields ?? desk.fields;
    if (!record?.id) {
      Object.assign(desk, { id: null, version: 0, saved: {}, typed: {}, base: {}, tried: {}, facts: {} });
      announce("shown", desk);
      return values;
    }
    const sameOne = record.id === desk.id;
    if (isOvertaken(record)) return inOrder(desk.typed);
    if (record.lost) {
      withhold(record.lost);
      return inOrder(desk.typed);
    }
    desk.facts = record.facts ?? {};
    announce("facts", desk.facts);
    if (sameOne && !record.forced && (record.version <= desk.version || isDirty() || saving())) return inOrder(desk.typed);
    if (record.forced) dropDraft(record.id);
    take(record);
    givenBackIsSaved = null; // what was put back belonged to the row before
    if (!sameOne) giveWordsBack();
    if (!record.forced) giveBack(readDrafts(record.id).filter(isOurs));
    if (!record.forced) giveBackOfOthers(record.id);
    announce("shown", desk);
    announce("values", desk.typed);
    return inOrder(desk.typed);
  }

  /** A save came back good: what was sent is now what is saved; what was typed since stays unsaved. */
  function savedAs(answer) {
    if (answer.id !== desk.id) return dropDraft(answer.id);
    Object.assign(desk.saved, answer.changes);
    for (const field of Object.keys(answer.changes)) (delete desk.base[field], delete desk.tried[field]);
    desk.version = answer.version;
    givenBackIsSaved?.();
    keepDraft();
    announce("values", desk.typed);
    announce("saved", answer);
  }

  /** Of `mine`, the fields that somebody else changed too, and to something else. Our own save whose answer was lost
      on the way is nobody else's. */
  function clashes(theirs, mine) {
    const isTheirs = (field) => !same(theirs[field], mine[field]) && !same(theirs[field], stoodUnder(field)) && !isTried(field, theirs[field]);
    return Object.keys(mine).filter(isTheirs);
  }

  /** Go on from the version somebody else saved, with `mine` typed over it; their other fields are taken. What was
      typed since `shown` was put before the person stays. */
  function typeOver(version, theirs, mine, shown = {}) {
    const since = Object.fromEntries(Object.entries(changes()).filter(([field, value]) => !same(value, shown[field])));
    Object.assign(desk, { version, saved: { ...theirs }, typed: { ...theirs, ...mine, ...since }, base: {}, tried: {} });
    keepDraft();
    announce("reopen", { id: desk.id, forced: false }); // the fields show what is typed here
    announce("values", desk.typed);
  }

  /* Own words are no part of the character, so no row keeps them: this tab does. Gradio reloads the page by
     itself when the server was away for a moment. */
  const wordsBox = () => document.querySelector("#f_own_words :is(input, textarea)");
  const wordsKey = () => `studio:words:${desk.id}`;

  function keepWords() {
    if (desk.id !== null) sessionStorage.setItem(wordsKey(), wordsBox().value);
  }

  function giveWordsBack() {
    const box = wordsBox();
    if (!box || desk.id === null) return;
    box.value = sessionStorage.getItem(wordsKey()) ?? "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** Values a part of the page puts into fields: kept at once, as if typed; `wear` asks Gradio to show them. */
  function put(values, wear) {
    edited(values);
    wear();
  }

  /** What the fields show after a `put`. */
  const putOn = (values) => desk.fields.map((field, at) => desk.typed[field] ?? values[at]);

  const saving = () => window.studio.badge?.isSaving() ?? false;
  const flush = () => window.studio.badge?.flush() ?? Promise.resolve(true);
  const loadTheirs = () => announce("reopen", { id: desk.id, forced: true });

  /** Go to another character: save first, and keep what cannot be saved for later. */
  async function open(id, { push = true } = {}) {
    if (isDirty()) await flush();
    if (push) history.pushState({}, "", `?character=${encodeURIComponent(id)}`);
    announce("reopen", { id, forced: false });
  }

  // Gradio's Textbox tells of key presses only: not of Delete, pasting, dictation or a spell checker's mending. And
  // while its line is down it tells of nothing at all, also not of a choice
  document.addEventListener("input", (event) => {
    const field = event.target.closest?.("[id^=f_]")?.id.slice(2);
    if (field === "own_words") keepWords();
    if (desk.fields.includes(field) && !event.target.matches(".tc-input, .el-text")) edited({ [field]: event.target.value });
  });

  window.addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("character");
    if (id) open(id, { push: false });
  });
  // a phone may never come back to a hidden page
  document.addEventListener("visibilitychange", () => document.hidden && isDirty() && flush());

  /* ---- theme ---- */

  const wished = () => localStorage.getItem("studio:theme");
  const isDark = () => document.body.classList.contains("dark");

  function applyTheme() {
    const theme = wished();
    if (theme && (theme === "dark") !== isDark()) document.body.classList.toggle("dark", theme === "dark");
    announce("theme", { dark: isDark() });
  }

  function toggleTheme() {
    localStorage.setItem("studio:theme", isDark() ? "light" : "dark");
    applyTheme();
  }

  /** Bring a field of the character before the person: its half of the page, its open section, the focus. */
  function lead(field) {
    setView("details");
    const box = document.querySelector(`#f_${field}`);
    box?.closest(".section.closed")?.querySelector(".sh")?.click();
    box?.querySelector("input, textarea, button")?.focus();
  }

  function setView(view) {
    document.body.dataset.view = view;
    announce("view", { view });
  }

  function start() {
    ownName();
    applyTheme();
    setView("portraits");
    new MutationObserver(hideTwice).observe(document.body, { childList: true, subtree: true });
    // Gradio sets the class from the system when it starts, after us
    new MutationObserver(() => wished() && (wished() === "dark") !== isDark() && applyTheme()).observe(document.body, { attributeFilter: ["class"] });
  }

  /* ---- keys for the whole page ---- */

  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    if (event.key === "Enter") (event.preventDefault(), document.querySelector("#gen")?.click());
    if (event.key.toLowerCase() === "s") (event.preventDefault(), flush());
  });

  /* ---- the session ended while the page was open ---- */

  let isLeaving = false;

  /** To the sign-in, and back to this very place. What is typed stands as a draft in this browser and comes back too. */
  function signIn() {
    if (isLeaving) return;
    isLeaving = true;
    document.activeElement?.blur(); // a word nobody finished is typed all the same
    if (desk.id !== null) keepDraft();
    const here = new URL(location.href);
    if (desk.id !== null && document.body.dataset.room === "editor") here.searchParams.set("character", desk.id);
    location.assign(`/sign-in?next=${encodeURIComponent(here.pathname + here.search + here.hash)}`);
  }

  // a session that ended answers 401; without this a click would do nothing at all
  const plainFetch = window.fetch;
  window.fetch = async (...request) => {
    const answer = await plainFetch(...request);
    if (answer.status === 401) signIn();
    return answer;
  };
  // the page a browser kept while its person was at the sign-in
  window.addEventListener("pageshow", (event) => event.persisted && (isLeaving = false));

  window.studio = {
    h, icon, icons: ICONS, safeUrl, announce, on, uuid, notice, copyText, trapTab, popover, stopAfter, walkWithArrows,
    isAway, away, back, hasCome, ready, signIn, lead, isOwn: () => true,
    desk, changes, isDirty, edited, fill, savedAs, trying, notSaved, isOvertaken, mayChange, mayMake, knowRoles, withhold, clashes, typeOver, flush, open, same, put, putOn,
    toggleTheme, isDark, setView, ownForm, keepForm, leftForm, badge: null,
  };

  if (document.body) start();
  else window.addEventListener("DOMContentLoaded", start);
})();
