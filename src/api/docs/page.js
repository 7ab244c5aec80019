// Shows the API's description and sends trial requests. Text of the description never becomes HTML.
'use strict';

const METHODS = ['get', 'post', 'put', 'delete'];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Resolves a reference to its schema.
function resolve(api, schema) {
  const name = schema?.$ref?.split('/').pop();
  return name ? api.components.schemas[name] : schema;
}

// An example value to start from.
function example(api, schema, depth = 0) {
  const known = resolve(api, schema) ?? {};
  if (known.example !== undefined) return known.example;
  if (known.enum) return known.enum[0];
  if (known.oneOf) return example(api, known.oneOf.at(-1), depth);
  const type = Array.isArray(known.type) ? known.type[0] : known.type;
  if (type === 'array') return depth > 3 ? [] : [example(api, known.items, depth + 1)];
  if (type === 'object' || known.properties) {
    const required = Object.entries(known.properties ?? {}).filter(([name]) => known.required?.includes(name));
    return Object.fromEntries(required.map(([name, of]) => [name, example(api, of, depth + 1)]));
  }
  if (known.format === 'uuid') return '00000000-0000-0000-0000-000000000001';
  if (type === 'integer' || type === 'number') return 0;
  if (type === 'boolean') return false;
  return '';
}

function inputs(api, operation) {
  const fields = [];
  for (const parameter of operation.parameters ?? []) {
    const input = element('input', { name: parameter.name, required: Boolean(parameter.required) });
    fields.push({ input, place: parameter.in, name: parameter.name });
  }
  const content = operation.requestBody?.content ?? {};
  if (content['multipart/form-data']) {
    const form = resolve(api, content['multipart/form-data'].schema);
    for (const [name, schema] of Object.entries(form.properties ?? {})) {
      const type = schema.format === 'binary' ? 'file' : 'text';
      fields.push({ input: element('input', { type }), place: 'form', name });
    }
  } else if (content['application/json']) {
    const value = JSON.stringify(example(api, content['application/json'].schema), null, 2);
    fields.push({ input: element('textarea', { value }), place: 'body', name: 'body' });
  }
  return fields;
}

function request(path, method, fields) {
  const headers = {};
  const token = document.getElementById('token').value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const query = new URLSearchParams();
  let body;
  let target = path;
  for (const { input, place, name } of fields) {
    if (place === 'path') target = target.replace(`{${name}}`, encodeURIComponent(input.value));
    if (place === 'query' && input.value) query.set(name, input.value);
    if (place === 'header' && input.value) headers[name] = input.value;
    if (place === 'body' && input.value) {
      body = input.value;
      headers['Content-Type'] = 'application/json';
    }
    if (place === 'form') {
      body ??= new FormData();
      const value = input.type === 'file' ? input.files[0] : input.value;
      if (value) body.append(name, value);
    }
  }
  const address = query.size ? `${target}?${query}` : target;
  return fetch(address, { method: method.toUpperCase(), headers, body });
}

async function show(response, into) {
  const type = response.headers.get('content-type') ?? '';
  let text = '';
  if (type.includes('json')) text = JSON.stringify(await response.json(), null, 2);
  else if (type.startsWith('text/event-stream')) text = '(an event stream: read it with curl -N)';
  else if (type.startsWith('text/')) text = await response.text();
  else text = `(${(await response.blob()).size} bytes of ${type || 'nothing'})`;
  into.textContent = `${response.status} ${response.statusText}\n\n${text}`;
}

function card(api, path, method, operation) {
  const fields = inputs(api, operation);
  const answer = element('pre', { hidden: true });
  const button = element('button', { type: 'button', textContent: 'Try it' });
  button.addEventListener('click', async () => {
    answer.hidden = false;
    answer.textContent = 'sending';
    try {
      await show(await request(path, method, fields), answer);
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  const answers = Object.entries(operation.responses).map(([status, { description }]) =>
    element('tr', {}, element('td', { textContent: status }), element('td', { textContent: description ?? '' })));
  return element('details', {},
    element('summary', {},
      element('span', { className: 'method', textContent: method.toUpperCase() }),
      element('code', { textContent: path }), ' ',
      element('span', { className: 'hint', textContent: operation.summary ?? '' })),
    element('p', { textContent: operation.description ?? '' }),
    ...fields.map(({ input, name, place }) =>
      element('label', {}, place === 'body' ? 'body' : `${name} (${place})`, input)),
    button, answer,
    element('table', {}, element('tbody', {}, ...answers)));
}

async function main() {
  const api = await (await fetch('/api/openapi.json')).json();
  document.getElementById('about').textContent = api.info.description;
  const operations = document.getElementById('operations');
  for (const { name, description } of api.tags) {
    operations.append(element('h2', { textContent: name }), element('p', { className: 'hint', textContent: description }));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        if (item[method]?.tags?.includes(name)) operations.append(card(api, path, method, item[method]));
      }
    }
  }
}

main().catch((error) => {
  document.getElementById('operations').textContent = `The description cannot be read: ${error}`;
});
