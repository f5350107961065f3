/* The reference as the details show it; what is done with it is done in the bar's menu, which a press opens. */
const studio = window.studio;
const { h, icon } = studio;
const button = element.querySelector(".rc-open");

function render(likeness) {
  const url = likeness?.url && studio.safeUrl(likeness.url);
  const words = !url ? "Upload one, or pick one from the library." : likeness.match ? `${likeness.words}.` : "Image match is off.";
  button.setAttribute("aria-label", `Reference picture: ${url ? "chosen" : "none"}. ${words}`);
  button.replaceChildren(...[url ? h("img", { src: url, alt: "" }) : h("span", { class: "rc-none" }, icon("likeness")),
    h("span", { class: "rc-words" }, h("b", {}, likeness?.match ? "Matched" : url ? "Chosen, not matched" : "None"), h("small", {}, words)), icon("forward")].filter(Boolean));
}

button.addEventListener("click", () => (studio.setView("portraits"), setTimeout(() => studio.announce("open-reference"))));
studio.on("likeness", render);
studio.on("shown", () => render(studio.likeness));
render(studio.likeness);
