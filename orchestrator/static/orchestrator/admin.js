// Gives every search field that select2 draws the name of its label, which select2 leaves out.
const nameSearchFields = () => {
    for (const field of document.querySelectorAll("select.select2-hidden-accessible")) {
        const drawn = field.parentElement.querySelector(".select2-container");
        if (!drawn || drawn.dataset.named) continue;
        drawn.dataset.named = "yes";
        const words = field.labels?.[0]?.textContent.trim() || field.name;
        for (const part of drawn.querySelectorAll(".select2-selection, .select2-selection__rendered")) {
            part.removeAttribute("aria-labelledby");
            part.setAttribute("aria-label", words);
        }
    }
};

document.addEventListener("DOMContentLoaded", () => {
    nameSearchFields();
    // They are drawn by another script, whenever it comes to that.
    new MutationObserver(nameSearchFields).observe(document.body, { childList: true, subtree: true });
});
