/* What the pages beside the editor share: asking their server, days, busy pictures. Text of people
   reaches the page through textContent and setAttribute only. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon } = studio;
  Object.assign(studio.icons, {
    menu: "M4 7h16M4 12h16M4 17h16",
    pen: "m5 19 .8-3.600L16 5.200l2.800 2.800L8.600 18.200 5 19Zm9-11.800 2.800 2.800",
    newcomer: "M10 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 8.500c.600-4 3.400-6 7-6 1.500 0 2.900.4 4 1.100M18 14.500v6m-3-3h6",
    library: "M4 5.500h7v6H4zm9 0h7v6h-7zm-9 8.500h7v6H4zm9 0h7v6h-7z",
    matrix: "M4 4.500h16v15H4zM4 9.500h16M4 14.500h16M9.300 4.500v15m5.400-15v15",
    queue: "M4 6.500h10M4 12h10M4 17.500h6m7.500-4v6.500m-2.500-2.500 2.500 2.500 2.500-2.500",
    rows: "M4 6.500h16M4 12h16M4 17.500h16",
    tag: "M4 4.500h7.500l8 8-7 7-8.500-8.500V4.500Zm4 4v.1",
    untag: "M4 4.500h7.500l8 8-7 7-8.500-8.500V4.500Zm5.500 9 4-4",
    filter: "M4 6h16l-6.300 7.200V19l-3.400-1.800v-4L4 6Z",
    stop: "M7 7h10v10H7z",
    note: "M5 5h14v10.500H11L7 19v-3.500H5V5Zm3.500 4h7m-7 3h4.500",
  });

  /** A question to the page's own server. Throws an Error with a sentence for people, and `code` and `field`. */
  async function ask(server, what, details = {}) {
    const answer = await server.answer({ what, ...details }).catch(() => null); // Gradio's client gives nothing where no answer came
    if (!answer) {
      throw Object.assign(new Error("The studio does not answer. What you typed is kept here; try again in a moment."), { code: "AWAY" });
    }
    if (typeof answer.problem === "string") throw Object.assign(new Error(answer.problem), { code: answer.code, field: answer.field });
    return answer;
  }

  /** The same, with a refusal said at the foot of the page; null then. */
  async function askOrSay(server, what, details = {}) {
    try {
      return await ask(server, what, details);
    } catch (problem) {
      studio.notice(problem.message, { seconds: 9 });
      return null;
    }
  }

  /** Run `work` soon, once for a burst of calls, and never twice at the same time. */
  function soon(work, pause) {
    let timer = null;
    let running = false;
    let again = false;
    const run = async () => {
      timer = null;
      if (running) return void (again = true);
      running = true;
      try {
        await work();
      } finally {
        running = false;
        if (again) ((again = false), start());
      }
    };
    const start = () => (timer ??= setTimeout(run, pause));
    return start;
  }

  const editorOf = (id) => `/studio/?character=${encodeURIComponent(id)}`;

  const home = () => document.querySelector(".gradio-container") ?? document.body;

  const button = (words, run, { symbol = null, kind = "", ...more } = {}) =>
    h("button", { type: "button", class: `ps-button ${kind}`, onclick: run, ...more }, symbol && icon(symbol), words);

  /** Today's moments by the clock, older ones by the day. */
  function when(iso) {
    const at = new Date(iso);
    const isToday = at.toDateString() === new Date().toDateString();
    return isToday ? `Today, ${at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" })}` : at.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
  }

  function lasting(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
  }

  const dollars = (amount) => (amount === null || amount === undefined ? "price unknown" : Number(amount) === 0 ? "free" : `$${Number(amount).toFixed(Number(amount) < 1 ? 3 : 2)}`);

  /** A picture of our own store, or a placeholder in its place; never a broken one. */
  function picture(url, words, { symbol = "picture", lazy = true } = {}) {
    const safe = url && studio.safeUrl(url);
    const empty = () => h("span", { class: "no-picture" }, icon(symbol));
    if (!safe) return empty();
    return h("img", { src: safe, alt: words, loading: lazy ? "lazy" : "eager", decoding: "async", draggable: "false", onerror: (event) => event.target.replaceWith(empty()) });
  }

  function save(url, name = "") {
    const safe = studio.safeUrl(url);
    if (!safe) return studio.notice("This picture has no file to download.");
    const link = h("a", { href: safe, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  studio.pages = { ask, askOrSay, soon, button, when, lasting, dollars, picture, save, home, editorOf };
})();
