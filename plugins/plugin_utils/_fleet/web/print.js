// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Paper has no scrolling: what is printed is made when it is asked for, out of what the filter has left.

const MOST_PRINTED = 3000;

function plainTable(columns, rows) {
  const values = columns.filter((column) => column.value);
  const text = (column, row) => {
    const cell = el('td', {});
    if (column.fill) column.fill(cell, row);
    else cell.textContent = visible(column.value(row) ?? '');
    cell.removeAttribute('title');
    return cell;
  };
  return el('table', {}, el('thead', {}, el('tr', {}, ...values.map((column) => el('th', { scope: 'col', text: column.title })))),
    el('tbody', {}, ...rows.map((row) => el('tr', {}, ...values.map((column) => text(column, row))))));
}

function printedPart(title, columns, rows) {
  if (!rows.length) return [];
  const parts = [el('h2', { text: `${title} (${number(rows.length)})` }), plainTable(columns, rows.slice(0, MOST_PRINTED))];
  if (rows.length > MOST_PRINTED) parts.push(el('p', { text: `${number(rows.length - MOST_PRINTED)} more are not printed: filter first, or take report.json.` }));
  return parts;
}

function printedPage(model, filter) {
  const passes = (item) => !filter || filter(item);
  const inCell = (name) => model.hosts.flatMap((host) => [...host.cells.values()].filter((cell) => cell.items.some(passes)).flatMap((cell) => cell[name]))
    .sort((one, other) => rankOfKind(one) - rankOfKind(other));
  const unseen = model.hosts.filter((host) => host.entry.status !== 'ok' || host.entry.problems.length).sort(byProblems);
  return [
    ...printedPart('Hosts that are missing or partly seen', HOST_COLUMNS.filter(({ key }) => ['host', 'status', 'message'].includes(key)), unseen),
    ...printedPart('Conflicts with the plan', CONFLICT_COLUMNS, inCell('conflicts')),
    ...printedPart('Changes since the baseline', CHANGE_COLUMNS, inCell('changes')),
    ...printedPart('Listeners', LISTENER_COLUMNS(model).filter(({ key }) => key !== 'age'), model.items.filter((item) => item.row && passes(item))),
  ];
}
