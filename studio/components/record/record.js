/* Opens characters: hidden, no face of its own. The row it receives goes through studio.fill into the form. */
const { desk, on } = window.studio;
desk.fields = props.fields_;
on("reopen", ({ id, forced }) => trigger("open", { id, forced }));
on("create", () => trigger("create", {}));

/** A new character waits for its name; whoever began to type elsewhere meanwhile is left in peace. */
function welcome() {
  window.studio.setView("details");
  setTimeout(() => {
    if (!document.activeElement?.matches("#rail :is(input, textarea)")) document.querySelector("#f_name input")?.focus();
  }, 60);
}

watch("value", () => {
  const id = props.value?.id;
  const here = new URLSearchParams(location.search).get("character");
  if (id && id !== here) history[props.value.made ? "pushState" : "replaceState"]({}, "", `?character=${encodeURIComponent(id)}`);
  document.body.classList.toggle("ps-nobody", !id);
  document.body.classList.add("ps-ready");
  if (props.value?.made) welcome();
});
