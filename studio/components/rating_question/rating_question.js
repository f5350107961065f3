/* An adopted character is rated adult because that was the platform's default: ask what is meant, once. */
const studio = window.studio;
const { h, desk } = studio;
const box = element.querySelector(".rq");

async function answer(rating) {
  box.querySelectorAll("button").forEach((button) => (button.disabled = true));
  await studio.flush(); // the answer is given over the newest version
  trigger("settle", { id: desk.id, version: desk.version, rating });
}

box.replaceChildren(
  h("b", { id: "rq-title" }, "How is this character rated?"),
  h("p", {}, "Adult was the default where it came from, so perhaps nobody chose it. Pictures are made safe for work here either way. We ask this once."),
  h("div", { class: "rq-row" },
    h("button", { type: "button", class: "ps-button ps-small ps-primary", onclick: () => answer("sfw") }, "Safe for work"),
    h("button", { type: "button", class: "ps-button ps-small", onclick: () => answer("nsfw") }, "Adult is meant")));

studio.on("facts", ({ asks_rating }) => {
  box.hidden = !asks_rating;
  box.querySelectorAll("button").forEach((button) => (button.disabled = false));
});
