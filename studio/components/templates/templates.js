/* Ready-made people to start from: a press begins a new character with that template's words. */
const studio = window.studio;
const { h } = studio;
let dialog = null;

async function start(template) {
  dialog.close();
  if (studio.isDirty()) await studio.flush();
  studio.announce("create", { template: template.key });
}

function card(template, at) {
  return h("button", { type: "button", class: "tm-card", "data-first": at === 0, onclick: () => start(template) }, h("b", {}, template.name), h("small", {}, template.role), h("span", {}, template.description));
}

studio.on("open-templates", () => {
  dialog = studio.dialog({
    title: "Start from a template",
    sentence: "A new character with these words; every one of them can be changed.",
    body: [h("div", { class: "tm-list" }, ...props.choices_.map(card))],
    isWide: true,
    testid: "templates",
  });
});
