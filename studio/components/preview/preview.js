/* The character as the platform will show it: its card, its face in a chat, and its drawer, from what is typed now. */
const studio = window.studio;
const { h, icon, desk } = studio;
let dialog = null;
let isLooking = false; // a picture on another site is asked for by a press only

function address() {
  if (desk.facts.picture) return studio.safeUrl(desk.facts.picture);
  return isLooking ? studio.safeUrl(desk.facts.external) : null;
}

function picture(kind) {
  const url = address();
  const frame = h("span", { class: `pv-picture pv-${kind}` }, icon("person"));
  if (url) frame.append(h("img", { src: url, alt: "", referrerpolicy: "no-referrer", onerror: (event) => event.target.remove() }));
  return frame;
}

const said = (field, otherwise) => {
  const text = studio.asText(desk.typed[field]).trim();
  return text || otherwise;
};
const tags = () => [...(desk.typed.appearance_tags ?? []), ...(desk.typed.clothing_tags ?? [])];
const figure = (title, node) => h("figure", { class: "pv-figure" }, h("figcaption", {}, title), node);

function cardFace(name) {
  return h("div", { class: "pv-card" }, picture("card"), h("div", { class: "pv-card-words" }, h("b", {}, name), h("small", {}, said("role", "")), h("p", {}, said("description", "No description yet."))));
}

function chatFace(name) {
  return h("div", { class: "pv-chat" },
    h("div", { class: "pv-message" }, picture("avatar"), h("div", {}, h("b", {}, name), h("p", {}, said("first_message", "No first message yet: the chat begins in silence.")))),
    h("div", { class: "pv-answer" }, "Write a message"));
}

function drawer(name) {
  const traits = said("personality_traits", "").split(",").map((one) => one.trim()).filter(Boolean).slice(0, 6);
  return h("div", { class: "pv-drawer" }, picture("drawer"), h("b", {}, name), h("small", {}, said("role", "")), h("p", {}, said("description", "No description yet.")),
    h("div", { class: "pv-chips" }, ...[...traits, ...tags().slice(0, 8)].map((word) => h("span", {}, word))));
}

function draw() {
  const name = said("name", "Untitled");
  const outside = desk.facts.external && !isLooking && !address();
  const body = [h("div", { class: "pv-row" }, figure("Card", cardFace(name)), figure("Chat", chatFace(name)), figure("Drawer", drawer(name)))];
  if (outside) body.unshift(h("p", { class: "pv-outside" }, "The picture is kept on another site.", h("button", { type: "button", class: "ps-button ps-small", onclick: () => ((isLooking = true), draw()) }, "Show it")));
  if (dialog?.isOpen()) return dialog.show({ body });
  const onPlatform = props.page_ ? h("button", { type: "button", class: "ps-button", onclick: () => studio.visit(props.page_) }, icon("globe"), "On the platform") : null;
  const done = h("button", { type: "button", class: "ps-button ps-primary", "data-first": true, onclick: () => dialog.close() }, "Done");
  dialog = studio.dialog({ title: "Preview", sentence: "As the platform shows it, with what is typed now.", body, foot: [onPlatform, done], isWide: true, testid: "preview" });
}

studio.on("open-preview", () => {
  isLooking = false;
  draw();
});
