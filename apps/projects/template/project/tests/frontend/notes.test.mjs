import assert from "node:assert/strict";
import { test } from "node:test";

import { LONGEST, added, parsed, removed, toggled } from "../../frontend/static/notes.js";

test("notes are added, marked and removed", () => {
  const two = added(added([], " buy milk "), "read");

  assert.deepEqual(two.map((note) => note.text), ["buy milk", "read"]);
  assert.equal(toggled(two, 1)[0].done, true);
  assert.deepEqual(removed(two, 1).map((note) => note.id), [2]);
});

test("an empty note and an endless one are refused", () => {
  assert.throws(() => added([], "  "), /Write something/);
  assert.throws(() => added([], "x".repeat(LONGEST + 1)), /at most/);
});

test("what was kept is read back, rubbish is not", () => {
  const notes = added([], "read");

  assert.deepEqual(parsed(JSON.stringify(notes)), notes);
  for (const rubbish of [null, "", "{", "7", '[{"id": "x"}]']) assert.deepEqual(parsed(rubbish), []);
});
