// Only what a page without scripts does more slowly: the slider says where it stands while it is moved.
document.addEventListener("input", (event) => {
  if (event.target.id === "as_of") document.getElementById("as_of_shown").value = event.target.value;
});
