/* Who is on the desk: the picture the platform shows, the name as it is typed, and whether others see it. */
const studio = window.studio;
const { h, icon, desk } = studio;
const frame = element.querySelector(".av-face");
const name = element.querySelector(".av-name");
const state = element.querySelector(".av-state");
const more = element.querySelector(".av-more");
const suggest = element.querySelector(".av-suggest");
suggest.append(icon("spark"), h("span", { class: "ps-hidden" }, "Suggest every field"));
suggest.addEventListener("click", () => studio.announce("suggest", { wanted: "all" }));
let face = { id: null, url: null }; // the primary portrait as the grid shows it, fresher than the row

function picture() {
  const url = studio.safeUrl((face.id === desk.id && face.url) || desk.facts.picture || "");
  if (!desk.facts.picture && !(face.id === desk.id && face.url)) return null;
  return url;
}

function chip(text, kind) {
  return h("span", { class: `av-chip${kind ? ` av-${kind}` : ""}` }, text);
}

function draw() {
  const url = picture();
  frame.replaceChildren(icon("person"));
  if (url) frame.append(h("img", { src: url, alt: "", onerror: (event) => event.target.remove() }));
  name.textContent = (desk.typed.name ?? "").trim() || "Untitled";
  const adult = desk.typed.content_rating === "nsfw";
  state.replaceChildren(...[desk.facts.public ? chip("Public", "public") : chip("Draft"), adult ? chip("Adult") : null].filter(Boolean));
  more.textContent = url ? "Choose another portrait" : "Make the first portrait";
}

more.addEventListener("click", () => {
  studio.setView("portraits");
  (document.querySelector(picture() ? ".pg-open" : "#f_own_words :is(input, textarea)") ?? document.querySelector("#gen"))?.focus();
});
studio.on("values", draw);
studio.on("facts", draw);
studio.on("shown", draw);
studio.on("face", (next) => ((face = next), draw()));
draw();
