import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyOf, collectionsOf, refusalOf } from "../../frontend/static/resources.js";

const DESCRIPTION = {
  paths: {
    "/health": { get: {} },
    "/books": {
      get: {},
      post: { requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Book" } } } } },
    },
    "/books/{record_id}": { get: {}, put: {} },
  },
  components: {
    schemas: {
      Book: {
        required: ["title"],
        properties: {
          title: { type: "string" },
          year: { anyOf: [{ type: "integer" }, { type: "null" }] },
          lent: { type: "boolean" },
          due_on: { type: "string", format: "date" },
        },
      },
    },
  },
};

test("resources are found with their fields", () => {
  const [books, ...others] = collectionsOf(DESCRIPTION);

  assert.equal(others.length, 0);
  assert.equal(books.path, "/books");
  assert.deepEqual(
    books.fields.map((field) => [field.name, field.input, field.required]),
    [["title", "text", true], ["year", "number", false], ["lent", "checkbox", false], ["due_on", "date", false]],
  );
});

test("what a form holds becomes what the API takes", () => {
  const [books] = collectionsOf(DESCRIPTION);

  const body = bodyOf(books.fields, { title: "A", year: "1974", due_on: "" });

  assert.deepEqual(body, { title: "A", year: 1974, lent: false });
});

test("a refusal is told in one line", () => {
  assert.equal(refusalOf(422, { detail: [{ loc: ["body", "year"], msg: "must be a number" }] }), "year: must be a number");
  assert.equal(refusalOf(409, { detail: "title: taken" }), "title: taken");
  assert.equal(refusalOf(502, null), "The server answered 502");
});
