// What the API offers, read from its own description. Pure: no page and no network in here.

const TYPES = { integer: "number", number: "number", boolean: "checkbox" };
const FORMATS = { date: "date", "date-time": "datetime-local", email: "email", uri: "url" };

// Returns [{name, path, fields}] of every resource that can be listed and added to.
export function collectionsOf(description) {
  return Object.entries(description.paths)
    .filter(([path, operations]) => !path.includes("{") && operations.get && operations.post?.requestBody)
    .map(([path, operations]) => {
      const sent = resolve(description, operations.post.requestBody.content["application/json"].schema);
      return { name: path.replace(/^\//, "").replaceAll("_", " "), path, fields: fieldsOf(description, sent) };
    });
}

function resolve(description, schema) {
  if (!schema.$ref) return schema;
  const parts = schema.$ref.replace(/^#\//, "").split("/");
  return parts.reduce((place, part) => place[part], description);
}

function fieldsOf(description, schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const chosen = (property.anyOf ?? [property]).find((option) => option.type !== "null") ?? property;
    const plain = resolve(description, chosen);
    return {
      name,
      label: name.replaceAll("_", " "),
      input: FORMATS[plain.format] ?? TYPES[plain.type] ?? "text",
      whole: plain.type === "integer",
      required: required.has(name),
    };
  });
}

// Turns what a form holds into what the API takes; what was left empty is not sent.
export function bodyOf(fields, form) {
  const body = {};
  for (const field of fields) {
    const value = form[field.name];
    if (field.input === "checkbox") body[field.name] = Boolean(value);
    else if (value === undefined || value === "") continue;
    else if (field.input === "number") body[field.name] = Number(value);
    else if (field.input === "datetime-local") body[field.name] = new Date(value).toISOString();
    else body[field.name] = value;
  }
  return body;
}

// Tells a person in one line why the API refused.
export function refusalOf(status, answer) {
  const detail = answer?.detail;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) {
    return detail.map((item) => `${(item.loc ?? []).slice(1).join(".")}: ${item.msg}`).join("; ");
  }
  return `The server answered ${status}`;
}
