// A list of notes as a value. Pure: no page and no storage in here.

export const LONGEST = 500;

// Returns the list with one more note at its end.
export function added(notes, text) {
  const written = text.trim();
  if (!written) throw new Error("Write something first");
  if (written.length > LONGEST) throw new Error(`A note has at most ${LONGEST} characters`);
  const id = notes.reduce((largest, note) => Math.max(largest, note.id), 0) + 1;
  return [...notes, { id, text: written, done: false }];
}

export function toggled(notes, id) {
  return notes.map((note) => (note.id === id ? { ...note, done: !note.done } : note));
}

export function removed(notes, id) {
  return notes.filter((note) => note.id !== id);
}

// Reads what was kept; whatever is not a list of notes counts as an empty one.
export function parsed(text) {
  try {
    const read = JSON.parse(text ?? "[]");
    const isNote = (note) => Number.isInteger(note?.id) && typeof note.text === "string";
    return Array.isArray(read) ? read.filter(isNote) : [];
  } catch {
    return [];
  }
}
