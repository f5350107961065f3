/* Opens characters: hidden, no face of its own. The row it receives goes through studio.fill into the form. */
const { desk, on } = window.studio;
desk.fields = props.fields_;
window.studio.labels = props.labels_;
on("reopen", ({ id, forced }) => trigger("open", { id, forced }));
on("create", ({ template }) => trigger("create", { template: template ?? "" }));
on("duplicate", () => trigger("duplicate", { id: desk.id }));
on("remove", () => {
  desk.leaving = desk.id; // nobody asks again for a row that is going
  setTimeout(() => (desk.leaving = null), 10000);
  trigger("remove", { id: desk.id });
});
on("keep-own", () => trigger("keep", { changes: { ...desk.typed } }));
on("bring-back", ({ id, open }) => ((desk.leaving = null), trigger("bring_back", { id, public: open })));
on("wear", () => trigger("wear", {}));

// Until the first row is shown, what one typed would be written over: the fields wait for it.
document.querySelector("#rail")?.setAttribute("inert", "");
on("shown", () => {
  window.studio.hasCome(); // a page in the background draws no frames
  requestAnimationFrame(() => requestAnimationFrame(begin));
});

function begin() {
  document.querySelector("#rail")?.removeAttribute("inert");
  window.studio.ready();
}

/** A new character waits for its name; whoever began to type elsewhere meanwhile is left in peace. */
function welcome() {
  window.studio.setView("details");
  setTimeout(() => {
    if (!document.activeElement?.matches("#rail :is(input, textarea)")) document.querySelector("#f_name :is(input, textarea)")?.focus();
  }, 60);
}

watch("value", () => {
  const id = props.value?.id;
  if (id && window.studio.isOvertaken(props.value)) return;
  const here = new URLSearchParams(location.search).get("character");
  if (props.value && !id && here) history.replaceState({}, "", location.pathname);
  if (id && id !== here) history[props.value.made ? "pushState" : "replaceState"]({}, "", `?character=${encodeURIComponent(id)}`);
  document.body.classList.toggle("ps-nobody", !id);
  if (props.value?.made) welcome();
});
