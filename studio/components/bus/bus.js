/* One WebSocket a page. Its messages say only what changed; the rows are asked for. */
const { desk, on } = window.studio;
const OVER = ["completed", "failed", "cancelled"];
const CALM = 120; // ms: a burst of messages becomes one question now and one at the end
const SIGNED_OUT = 4401; // the session has ended, or its rights have changed
const NO_ROLE = 4403; // the studio is there, and lets nobody in: the next click says why
let socket = null;
let pause = 500;
let leaving = false;
let first = true;
const timers = {};

function soon(name) {
  if (desk.id === null || desk.id === desk.leaving) return; // nobody is on the desk: there is nothing to ask for again
  if (timers[name]) return void (timers[name].again = true);
  timers[name] = { again: false };
  name === "record" ? trigger("record", { id: desk.id }) : window.studio.announce(`read-${name}`);
  setTimeout(() => {
    const again = timers[name].again;
    delete timers[name];
    if (again) soon(name);
  }, CALM);
}

function resync() {
  window.studio.announce("pushed", { type: "resync" });
  soon("record");
  soon("tiles");
  window.studio.badge?.retry();
}

function receive(message) {
  window.studio.announce("push", message);
  if (message.type === "resync") return resync();
  window.studio.announce("pushed", message); // to whatever else is on the page
  if (desk.id === null || message.character_id !== desk.id) return;
  if (message.type === "members" && message.mine) (soon("record"), message.op === "delete" || soon("tiles")); // what one may do with it
  if (message.type === "character") (soon("record"), window.studio.announce("character"));
  if (message.type === "portraits" || message.type === "job") soon(isProgress(message) ? "running" : "tiles");
}

/** A job goes on: no tile comes, ends or changes its place. */
const isProgress = (message) => message.type === "job" && message.op === "update" && !OVER.includes(message.status);

function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + props.url_);
  socket.onopen = () => {
    pause = 500;
    window.studio.back();
    window.studio.announce("push-open");
    if (!first) (window.studio.announce("push", { type: "resync" }), resync());
    first = false;
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => {
    if (leaving) return;
    if (event.code === SIGNED_OUT) return window.studio.signIn();
    if (event.code !== NO_ROLE) window.studio.away();
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 15000);
  };
}

window.addEventListener("pagehide", () => ((leaving = true), socket?.close()));
// a page from the back-forward cache has lost its socket
window.addEventListener("pageshow", (event) => event.persisted && ((leaving = false), connect()));
on("say", (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message)));
connect();
