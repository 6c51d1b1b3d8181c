// Only what a page without scripts does more slowly: the slider says where it stands while it is moved, and an open page
// follows new snapshots: the latest state shows itself, anything else says that there is something new.
document.addEventListener("input", (event) => {
  if (event.target.id === "as_of") document.getElementById("as_of_shown").value = event.target.value;
  if (event.target.closest("form")) document.getElementById("page").dataset.touched = "";
});
let news = null;
function follow() {
  if (news) news.close();
  news = null;
  if (document.visibilityState !== "visible" || !document.getElementById("page").dataset.sequence) return;
  news = new EventSource(`${document.documentElement.dataset.root}/follow`);
  news.onmessage = () => {
    const page = document.getElementById("page");
    if ("latest" in page.dataset && !("touched" in page.dataset) && !page.querySelector("form[method=post].entry")) {
      const at = location.pathname + location.search;
      htmx.ajax("GET", at, { target: "#page", select: "#page", swap: "outerHTML" });
    } else {
      document.getElementById("news").hidden = false;
    }
  };
}
document.addEventListener("visibilitychange", follow);
document.addEventListener("DOMContentLoaded", follow);
