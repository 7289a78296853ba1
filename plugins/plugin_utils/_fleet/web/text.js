// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Text and elements. What a host says reaches the page only through textContent and attributes that are never links.

// Control characters, marks and overrides of the reading direction, line and paragraph separators, invisible ones.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

// The same characters are codes already where the report was made; a file may have been written by somebody else.
function visible(text) {
  return String(text).replace(UNSAFE, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// An element: attributes by name, `text` for its text, `on` for listeners, children in order; null ones are left out.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'text') element.textContent = visible(value);
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? '' : visible(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const number = (value) => value.toLocaleString('en-US');
const count = (value, one, more) => `${number(value)} ${value === 1 ? one : more}`;
const byId = (id) => document.getElementById(id);

// "2026-03-01T06:12:44Z" -> "2026-03-01 06:12:44 UTC"; other texts as they are.
function moment(text) {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text || '') ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : text || '';
}

// How long before `until`, in the two largest units: "3 d 4 h".
function age(text, until) {
  const seconds = Math.floor((Date.parse(until) - Date.parse(text)) / 1000);
  if (!Number.isFinite(seconds) || seconds < 0) return '';
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0 s';
  const [size, name] = units[first];
  const rest = units[first + 1] ? Math.floor((seconds % size) / units[first + 1][0]) : 0;
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${units[first + 1][1]}` : ''}`;
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const compareText = (one, other) => collator.compare(one, other);
