/* What the editor's parts share: more icons and the difference of two texts, word by word. Texts of people
   are shown through textContent only. */
(() => {
  "use strict";

  const studio = window.studio;
  const { h } = studio;

  Object.assign(studio.icons, {
    chat: "M5 5h14v10.500h-7.500L7 19v-3.500H5z",
    clock: "M12 7.500V12l3 2m-3 6.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17Z",
    duplicate: "M9 9h10.500v10.500H9zM15 9V4.500H4.500V15H9m5.250-3v4.500M12 14.250h4.500",
    eye: "M3 12c2.200-4 5.200-6 9-6s6.800 2 9 6c-2.200 4-5.200 6-9 6s-6.800-2-9-6Zm9 2.800a2.800 2.800 0 1 0 0-5.600 2.800 2.800 0 0 0 0 5.600Z",
    globe: "M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17ZM3.500 12h17M12 3.500c2.600 2.600 3.600 5.400 3.600 8.500s-1 5.900-3.600 8.500c-2.600-2.600-3.600-5.400-3.600-8.500s1-5.900 3.600-8.500Z",
    lock: "M6.500 11h11v8.500h-11zM9 11V8a3 3 0 0 1 6 0v3",
    swap: "M7 8h11m-3-3 3 3-3 3M17 16H6m3-3-3 3 3 3",
    undo: "M9 8 5 12l4 4m-4-4h9a5 5 0 0 1 0 9h-2",
  });

  /* ---- two texts, word by word ---- */

  const MOST = 250000; // cells of the table: beyond it one long text replaces the other
  const words = (text) => text.match(/\s+|[\p{L}\p{N}\u2019'-]+|[^\s\p{L}\p{N}]/gu) ?? [];

  /** How long the longest common run of words is, for every pair of ends. */
  function table(one, other) {
    const width = other.length + 1;
    const lengths = new Uint16Array((one.length + 1) * width);
    for (let i = one.length - 1; i >= 0; i--) {
      for (let j = other.length - 1; j >= 0; j--) {
        lengths[i * width + j] = one[i] === other[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    return (i, j) => lengths[i * width + j];
  }

  function middle(one, other) {
    if (one.length * other.length > MOST) return [["gone", one.join("")], ["new", other.join("")]];
    const at = table(one, other);
    const steps = [];
    let [i, j] = [0, 0];
    while (i < one.length && j < other.length) {
      if (one[i] === other[j]) (steps.push(["same", one[i]]), i++, j++);
      else if (at(i + 1, j) >= at(i, j + 1)) steps.push(["gone", one[i++]]);
      else steps.push(["new", other[j++]]);
    }
    return [...steps, ...one.slice(i).map((word) => ["gone", word]), ...other.slice(j).map((word) => ["new", word])];
  }

  /** [[kind, text]] of kinds same, gone, new, neighbours of one kind together. */
  studio.difference = (before, after) => {
    const [one, other] = [words(before), words(after)];
    let head = 0;
    while (head < one.length && head < other.length && one[head] === other[head]) head++;
    let tail = 0;
    while (tail < one.length - head && tail < other.length - head && one.at(-1 - tail) === other.at(-1 - tail)) tail++;
    const steps = [
      ["same", one.slice(0, head).join("")],
      ...middle(one.slice(head, one.length - tail), other.slice(head, other.length - tail)),
      ["same", one.slice(one.length - tail).join("")],
    ].filter(([, text]) => text);
    const together = [];
    for (const [kind, text] of steps) together.at(-1)?.[0] === kind ? (together.at(-1)[1] += text) : together.push([kind, text]);
    return together;
  };

  const part = (kind, text) => h({ same: "span", gone: "del", new: "ins" }[kind], {}, text);

  /** The two texts side by side, each with its own words marked; a blank between two marked words is marked too. */
  studio.sideNodes = (before, after) => {
    const steps = studio.difference(studio.asText(before), studio.asText(after));
    const side = (own) => {
      const parts = steps.filter(([kind]) => kind === "same" || kind === own);
      const isBlank = (at) => parts[at][0] === "same" && !parts[at][1].trim() && parts[at - 1]?.[0] === own && parts[at + 1]?.[0] === own;
      const marked = parts.map(([kind, text], at) => [isBlank(at) ? own : kind, text]);
      const joined = [];
      for (const [kind, text] of marked) joined.at(-1)?.[0] === kind ? (joined.at(-1)[1] += text) : joined.push([kind, text]);
      return h("p", { class: "df" }, ...joined.map(([kind, text]) => part(kind, text)));
    };
    return [side("gone"), side("new")];
  };

  /** A value as people read it: lists by lines, nothing as an empty text. */
  studio.asText = (value) => (Array.isArray(value) ? value.join("\n") : String(value ?? ""));

  /* ---- putting texts into fields ---- */

  /** Put values into fields of the desk as a person's edit. */
  studio.write = (values) => studio.put(values, () => studio.announce("wear"));

  /** The same, with a notice that takes them out again. */
  studio.writeUndoably = (values, sentence) => {
    const id = studio.desk.id;
    const before = Object.fromEntries(Object.keys(values).map((field) => [field, studio.desk.typed[field]]));
    studio.write(values);
    studio.notice(sentence, { action: "Undo", onAction: () => studio.desk.id === id && studio.write(before), seconds: 10 });
  };

  /* ---- boxes that were filled while nobody could see them ---- */

  const TALLEST = 310; // px

  /** Gradio measures a box once, when its text arrives: in a folded section, or on a phone's other half, in vain. */
  function growBoxes() {
    for (const box of document.querySelectorAll("#rail textarea:not(.el-text)")) {
      if (!box.offsetParent || box.scrollHeight <= box.clientHeight + 2) continue;
      box.style.height = `${Math.min(box.scrollHeight + 2, TALLEST)}px`;
      box.style.overflowY = "auto";
    }
  }
  const growSoon = () => requestAnimationFrame(() => requestAnimationFrame(growBoxes));
  for (const event of ["view", "section", "shown"]) studio.on(event, growSoon);

  /* ---- leaving for another page of the platform ---- */

  /** Open an address of the platform for this character, with everything saved first. */
  studio.visit = async (template) => {
    const page = window.open("", "_blank"); // a window that is opened after the save would count as unasked
    await studio.flush();
    const url = template.replaceAll("{character_id}", encodeURIComponent(studio.desk.id));
    if (!page) return studio.notice("The browser did not open a new tab. Allow it for this page, and press again.");
    page.opener = null;
    page.location = url;
  };
})();
