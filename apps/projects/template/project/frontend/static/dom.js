// Builds elements. Text is always set as text, so nothing that somebody stored can become markup.

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function showProblem(message) {
  const place = document.getElementById("problem");
  place.textContent = message;
  place.hidden = !message;
}

// Runs what a person asked for; a failure is shown, never swallowed.
export async function attempt(action) {
  showProblem("");
  try {
    await action();
  } catch (error) {
    showProblem(error.message || String(error));
  }
}
