/* Drag, or use the arrow keys, to set the width of the details; this browser remembers it. */
const edge = element.querySelector(".re");
const KEY = "studio:rail";
const clamp = (width) => Math.min(480, Math.max(280, Math.round(width)));

function set(width) {
  document.documentElement.style.setProperty("--rail", `${clamp(width)}px`);
  edge.setAttribute("aria-valuenow", clamp(width));
  localStorage.setItem(KEY, clamp(width));
}

const current = () => Number(edge.getAttribute("aria-valuenow"));
edge.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  edge.setPointerCapture(event.pointerId);
  const move = (next) => set(next.clientX);
  edge.addEventListener("pointermove", move);
  edge.addEventListener("pointerup", () => edge.removeEventListener("pointermove", move), { once: true });
});
edge.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
  if (step) (event.preventDefault(), set(current() + step));
});
set(Number(localStorage.getItem(KEY)) || 368);
