// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The five views. Each turns what the filter has left into a source for the grid.

const ROW = 28;

// Order of a table by one of its columns; what is equal stays in the order of hosts and ports.
function ordered(rows, column, down) {
  if (!column || !column.value) return rows;
  const sign = down ? -1 : 1;
  return rows.map((row) => [column.value(row), row]).sort(([one], [other]) => {
    if (one === other) return 0;
    // what is not known comes last, in both directions
    if (one === '' || one === null || one === undefined) return 1;
    if (other === '' || other === null || other === undefined) return -1;
    return sign * (typeof one === 'number' && typeof other === 'number' ? one - other : compareText(String(one), String(other)));
  }).map(([, row]) => row);
}

function textCell(cell, text, className) {
  const words = el('span', { class: 'words', text });
  if (words.textContent) cell.title = words.textContent;
  if (className) cell.classList.add(className);
  cell.append(words);
}

function stateCell(cell, key, text) {
  const state = STATE.get(key);
  cell.classList.add(`state-${key}`);
  cell.title = `${state.word}${text ? `: ${visible(text)}` : ''}`;
  cell.append(el('span', { class: 'symbol', 'aria-hidden': 'true', text: state.symbol }), el('span', { class: 'words', text }));
}

// A table of rows with columns { key, title, width, value(row), fill?(cell, row) }.
function tableSource(label, columns, rows, { sorted, sortBy, open, host }) {
  const by = sorted && columns.find((column) => column.key === sorted.key);
  const list = ordered(rows, by, sorted && sorted.down);
  return {
    label: `${label}, ${count(list.length, 'row', 'rows')}`, rows: list.length, rowHeight: ROW, sorted, sortBy, list,
    columns: columns.map((column) => ({ ...column, sort: Boolean(column.value) })),
    fill: (cell, row, column) => {
      const own = columns[column];
      if (own.fill) own.fill(cell, list[row]);
      else textCell(cell, own.value(list[row]) ?? '', own.className);
    },
    open: (row) => open(list[row], host),
  };
}

// Hosts that need a look first: not seen, then conflicts, changes, unknown owners.
const rankOf = (host) => [host.entry.status === 'ok' ? 1 : 0, host.entry.problems.length ? 0 : 1,
  -host.conflicts.filter((one) => one.kind !== 'missing').length, -host.changes.length, -host.unknown];
function byProblems(one, other) {
  one.rank ||= rankOf(one);
  other.rank ||= rankOf(other);
  const at = one.rank.findIndex((rank, index) => rank !== other.rank[index]);
  return at < 0 ? compareText(one.name, other.name) : one.rank[at] - other.rank[at];
}

const HOST_ORDERS = {
  problems: byProblems,
  name: (one, other) => compareText(one.name, other.name),
  listeners: (one, other) => other.entry.listeners.length - one.entry.listeners.length || compareText(one.name, other.name),
};
const byNumber = (one, other) => one.port - other.port || (one.protocol < other.protocol ? -1 : 1);
const PORT_ORDERS = {
  number: byNumber,
  hosts: (one, other) => other.hosts - one.hosts || byNumber(one, other),
  problems: (one, other) => other.problems - one.problems || Number(other.planned) - Number(one.planned) || other.hosts - one.hosts || byNumber(one, other),
};

function matrixSource(model, filter, options, actions) {
  const shown = filter ? new Set(model.items.filter(filter).map((item) => item.cell)) : null;
  const bare = filter ? model.hosts.filter((host) => filter(hostItem(host))) : model.hosts;
  const hosts = [...(shown ? new Set([...bare, ...[...shown].map((cell) => cell.host)]) : bare)];
  const all = [...model.ports.values()];
  const used = shown ? new Set([...shown].map((cell) => cell.port)) : null;
  const ports = (used ? all.filter((port) => used.has(port)) : all).sort(PORT_ORDERS[options.ports]);
  const sorted = options.column;
  const cellAt = (host, port) => {
    const cell = host.cells.get(port.key);
    return cell && (!shown || shown.has(cell)) ? cell : null;
  };
  hosts.sort(HOST_ORDERS[options.hosts]);
  const by = sorted && ports.find((port) => port.key === sorted.key);
  const list = by ? ordered(hosts, { value: (host) => (cellAt(host, by) ? ownersOf(cellAt(host, by)).join(' ') : '') }, sorted.down) : hosts;
  const width = options.compact ? 46 : 112;
  const columns = [{ key: 'host', title: 'Host', sub: count(list.length, 'host', 'hosts'), width: 200 }];
  for (const port of ports) {
    columns.push({ key: port.key, title: String(port.port), sub: port.protocol, width, sort: true, planned: port.planned,
      hint: `${port.key}: ${count(port.hosts, 'host', 'hosts')}${port.planned ? ', in a plan' : ''}` });
  }
  return {
    label: `Matrix of ${count(list.length, 'host', 'hosts')} and ${count(ports.length, 'port', 'ports')}`,
    columns, rows: list.length, rowHeight: ROW, sorted, sortBy: actions.sortBy, list,
    span: (row) => (list[row].entry.status === 'ok' ? null : `${STATUS[list[row].entry.status] || '?'}: ${list[row].entry.message || 'no reason given'}`),
    empty: (row, column) => column > 0 && !cellAt(list[row], ports[column - 1]),
    fill: (cell, row, column) => {
      if (column === 0) fillHost(cell, list[row]);
      else fillPort(cell, cellAt(list[row], ports[column - 1]), options.compact);
    },
    open: (row, column) => {
      const found = column > 0 && list[row].entry.status === 'ok' ? cellAt(list[row], ports[column - 1]) : null;
      if (found) actions.openCell(found);
      else if (column === 0 || list[row].entry.status !== 'ok') actions.openHost(list[row]);
    },
  };
}

function fillHost(cell, host) {
  const { entry } = host;
  const bad = entry.status !== 'ok' || entry.problems.length;
  cell.classList.toggle('unseen', bad);
  cell.title = bad ? visible(`${STATUS[entry.status]}: ${entry.message || entry.problems.join('; ')}`) : host.name;
  cell.append(el('span', { class: 'symbol', text: bad ? '⚠' : '', 'aria-hidden': 'true' }), el('span', { class: 'words', text: host.name }));
  if (bad) cell.append(el('span', { class: 'sr', text: `, ${STATUS[entry.status] || ''}${entry.problems.length ? ', with problems' : ''}` }));
  const conflicts = host.conflicts.filter((one) => one.kind !== 'missing').length;
  if (conflicts) cell.append(el('span', { class: 'pill', title: count(conflicts, 'conflict', 'conflicts') }, number(conflicts), el('span', { class: 'sr', text: conflicts === 1 ? ' conflict' : ' conflicts' })));
}

function fillPort(cell, found, compact) {
  const [worst, ...others] = found.states;
  if (!worst) return;
  const more = others.find((key) => !['held', 'planned'].includes(key) && !(key === 'unknown' && worst === 'unknown_owner'));
  const names = ownersOf(found);
  const owners = names.length ? `${names[0]}${names.length > 1 ? ` +${names.length - 1}` : ''}` : '';
  const words = owners || { gone: 'gone', missing: 'nobody yet' }[worst] || (found.conflicts[0] ? found.conflicts[0].found[0] : '') || '';
  cell.className += ` state-${worst} held${compact ? ' narrow' : ''}`;
  cell.setAttribute('aria-label', visible([...names.length ? names : [words], ...found.states.map((key) => STATE.get(key).word)].join(', ')));
  cell.append(el('span', { class: 'symbol', text: STATE.get(worst).symbol + (more ? STATE.get(more).symbol : '') }));
  if (!compact) cell.append(el('span', { class: 'words', text: words }));
}

// --- tables

const rankOfKind = (one) => (STATE.has(one.kind) ? STATE.get(one.kind).rank : STATES.length);

const worstOf = (item) => item.cell.states.find((key) => key !== 'unknown' || !item.row || isHidden(item.row)) || 'held';
const LISTENER_COLUMNS = (model) => [
  { key: 'host', title: 'Host', width: 170, value: (item) => item.host.name },
  { key: 'port', title: 'Port', width: 92, value: (item) => item.row.port, fill: (cell, item) => textCell(cell, `${item.row.port}/${item.row.protocol}`, 'number') },
  { key: 'owner', title: 'Owner', width: 170, value: (item) => (isHidden(item.row) ? '' : ownerOf(item.row)), fill: (cell, item) => stateCell(cell, worstOf(item), ownerOf(item.row) + (item.row.owners ? ` +${item.row.owners.length - 1}` : '')) },
  { key: 'user', title: 'User', width: 130, value: (item) => item.row.user || '' },
  { key: 'service', title: 'Service or container', width: 210, value: (item) => placeOf(item.row) },
  { key: 'address', title: 'Address', width: 150, value: (item) => addressOf(item.row) },
  { key: 'pid', title: 'Pid', width: 84, value: (item) => item.row.pid ?? '', className: 'number' },
  { key: 'since', title: 'Since', width: 190, value: (item) => item.row.started || item.row.stime || '', fill: (cell, item) => textCell(cell, moment(item.row.started) || item.row.stime || '') },
  { key: 'age', title: 'Age', width: 100, value: (item) => (item.row.started ? Date.parse(model.report.generated) - Date.parse(item.row.started) : ''), fill: (cell, item) => textCell(cell, age(item.row.started, model.report.generated)) },
];
const CONFLICT_COLUMNS = [
  { key: 'host', title: 'Host', width: 170, value: (one) => one.host },
  { key: 'port', title: 'Port', width: 120, value: (one) => one.port, fill: (cell, one) => textCell(cell, portLabel(one), 'number') },
  { key: 'kind', title: 'Conflict', width: 180, value: rankOfKind, fill: (cell, one) => stateCell(cell, one.kind, CONFLICT_WORDS[one.kind]) },
  { key: 'found', title: 'Found', width: 250, value: (one) => one.found.join(', ') },
  { key: 'wanted', title: 'Wanted', width: 300, value: (one) => one.wanted || '' },
  { key: 'reason', title: 'Reason', width: 320, value: (one) => one.reason || '' },
];
const CHANGE_COLUMNS = [
  { key: 'host', title: 'Host', width: 170, value: (one) => one.host },
  { key: 'port', title: 'Port', width: 100, value: (one) => one.port, fill: (cell, one) => textCell(cell, portLabel(one), 'number') },
  { key: 'kind', title: 'Change', width: 180, value: rankOfKind, fill: (cell, one) => stateCell(cell, one.kind, CHANGE_WORDS[one.kind]) },
  { key: 'before', title: 'Before', width: 280, value: (one) => one.before.join(', ') },
  { key: 'after', title: 'Now', width: 280, value: (one) => one.after.join(', ') },
  { key: 'addresses', title: 'Addresses now', width: 220, value: (one) => one.addresses_after.join(', ') },
];
const HOST_COLUMNS = [
  { key: 'host', title: 'Host', width: 200, value: (host) => host.name, fill: fillHost },
  { key: 'status', title: 'Status', width: 120, value: (host) => STATUS[host.entry.status] || '', fill: (cell, host) => textCell(cell, STATUS[host.entry.status] || host.entry.status, host.entry.status === 'ok' ? null : 'unseen') },
  { key: 'listeners', title: 'Listeners', width: 100, value: (host) => (host.entry.status === 'ok' ? host.entry.listeners.length : ''), className: 'number' },
  { key: 'conflicts', title: 'Conflicts', width: 100, value: (host) => (host.entry.status === 'ok' ? host.conflicts.filter((one) => one.kind !== 'missing').length : ''), className: 'number' },
  { key: 'changes', title: 'Changes', width: 100, value: (host) => (host.entry.status === 'ok' ? host.changes.length : ''), className: 'number' },
  { key: 'unknown', title: 'Unknown owners', width: 140, value: (host) => (host.entry.status === 'ok' ? host.unknown : ''), className: 'number' },
  { key: 'groups', title: 'Groups', width: 180, value: (host) => host.entry.groups.join(', ') },
  { key: 'message', title: 'Message', width: 480, value: (host) => [host.entry.message, ...host.entry.problems].filter(Boolean).join('; ') },
];

// Conflicts and changes are shown, worst first, when one of the items of their cell is.
function listSource(label, columns, name, model, filter, actions) {
  const cells = new Map();
  for (const host of model.hosts) for (const cell of host.cells.values()) for (const one of cell[name]) cells.set(one, cell);
  const rows = model.report[name].filter((one) => cells.has(one) && (!filter || cells.get(one).items.some(filter)));
  if (!actions.sorted) rows.sort((one, other) => rankOfKind(one) - rankOfKind(other));
  return tableSource(label, columns, rows, { ...actions, open: (one) => actions.openCell(cells.get(one)) });
}

const VIEWS = {
  matrix: { title: 'Matrix', source: matrixSource },
  listeners: {
    title: 'Listeners',
    source: (model, filter, options, actions) => tableSource('Listeners', LISTENER_COLUMNS(model), model.items.filter((item) => item.row && (!filter || filter(item))),
      { ...actions, sorted: options.column, open: (item) => actions.openCell(item.cell) }),
  },
  conflicts: { title: 'Conflicts', source: (model, filter, options, actions) => listSource('Conflicts with the plan', CONFLICT_COLUMNS, 'conflicts', model, filter, { ...actions, sorted: options.column }) },
  changes: { title: 'Changes', source: (model, filter, options, actions) => listSource('Changes since the baseline', CHANGE_COLUMNS, 'changes', model, filter, { ...actions, sorted: options.column }) },
  hosts: {
    title: 'Hosts',
    source: (model, filter, options, actions) => {
      const shown = filter ? new Set(model.items.filter(filter).map((item) => item.host)) : null;
      const rows = model.hosts.filter((host) => !shown || shown.has(host) || filter(hostItem(host))).sort(byProblems);
      return tableSource('Hosts', HOST_COLUMNS, rows, { ...actions, sorted: options.column, open: (host) => actions.openHost(host) });
    },
  },
};
