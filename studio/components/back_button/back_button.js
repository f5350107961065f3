/* Back to the character before, as the browser's own button does; nothing to go back to, nothing to press. */
const button = element.querySelector(".bb");
button.append(window.studio.icon("back"));
const first = history.length;
const mark = () => (button.disabled = history.length <= first && !history.state?.studio);
button.addEventListener("click", () => history.back());
window.studio.on("shown", mark);
mark();
