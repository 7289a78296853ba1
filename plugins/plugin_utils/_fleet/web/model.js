// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The document, as the views need it: one item for each listener, and for each conflict or change that has none.

const FLAGS = { conflict: 1, missing: 2, change: 4, unknown: 8, ephemeral: 16, open: 32 };

// Worst first: a cell of the matrix has the colour of its worst state. Each has a symbol and a word, so none needs its colour.
const STATES = [
  { key: 'refused', symbol: '✖', word: 'in the way, and must not be stopped' },
  { key: 'unknown_owner', symbol: '⁇', word: 'in the way, owner not known' },
  { key: 'in_the_way', symbol: '!', word: 'in the way of the plan' },
  { key: 'owner_changed', symbol: '≠', word: 'another owner than before' },
  { key: 'new', symbol: '+', word: 'new' },
  { key: 'gone', symbol: '−', word: 'gone' },
  { key: 'addresses_changed', symbol: '⇄', word: 'other addresses than before' },
  { key: 'unknown', symbol: '?', word: 'owner not known' },
  { key: 'missing', symbol: '○', word: 'planned, nobody there yet' },
  { key: 'planned', symbol: '✓', word: 'as planned' },
  { key: 'ephemeral', symbol: '~', word: 'on an ephemeral port' },
  { key: 'held', symbol: '•', word: 'listening' },
];
const STATE = new Map(STATES.map((state, rank) => [state.key, { ...state, rank }]));
const STATUS = { ok: 'seen', failed: 'failed', unreachable: 'unreachable', not_run: 'not run' };

const NOBODYS = ['none', 'kernel'];
// The words of table.py; a test holds them to be the same.
const WHY_UNKNOWN = {
  unknown: 'no process was seen with it: it may just be ending',
  not_asked: 'the facts were gathered without owners (details: none)',
  not_root: 'only root sees processes of other users: become helps',
  hidepid: '/proc hides the processes of other users: become helps',
  descriptors_refused: 'not even root may look into that process there',
  pid_namespace: 'seen from inside a container: look from outside of it',
  owners_hidden: 'psutil may not see it: become helps',
  sockets_refused: 'psutil may not see it: become helps',
  kernel: 'the kernel itself has it',
  none: 'no process has it',
};

const isHidden = (row) => row.owner_status !== 'known' && !NOBODYS.includes(row.owner_status);
const isLocal = (row) => /^127\.|^::1$/.test(row.address);
const ownerOf = (row) => row.name || (row.owner_status === 'none' ? 'nobody' : row.owner_status === 'kernel' ? 'kernel' : 'unknown');
const containerOf = (row) => (row.container ? row.container.name || (row.container.id || '').slice(0, 12) || row.container.engine || '' : '');
const ownersOf = (cell) => [...new Set(cell.rows.map(ownerOf))];
const placeOf = (row) => row.service || containerOf(row);
const addressOf = (row) => (row.address.includes(':') ? `[${row.address}]` : row.address) + (row.interface ? `%${row.interface}` : '');
const portLabel = (one) => `${one.port}${one.last ? `-${one.last}` : ''}${one.protocol ? `/${one.protocol}` : ''}`;

function buildModel(report) {
  const model = { report, hosts: [], items: [], ports: new Map(), groups: new Set() };
  const byName = new Map();
  for (const entry of report.hosts) {
    const host = { entry, name: visible(entry.name), index: model.hosts.length, cells: new Map(), conflicts: [], changes: [], unknown: 0 };
    model.hosts.push(host);
    byName.set(entry.name, host);
    entry.groups.forEach((group) => model.groups.add(group));
  }
  const cellAt = (host, port, protocol) => {
    const key = `${port}/${protocol}`;
    if (!model.ports.has(key)) model.ports.set(key, { key, port, protocol, hosts: 0, problems: 0, planned: false });
    if (!host.cells.has(key)) host.cells.set(key, { host, port: model.ports.get(key), rows: [], conflicts: [], changes: [], items: [] });
    return host.cells.get(key);
  };
  for (const host of model.hosts) {
    for (const row of host.entry.listeners) {
      const cell = cellAt(host, row.port, row.protocol);
      if (!cell.rows.length) cell.port.hosts += 1;
      cell.rows.push(row);
      if (isHidden(row)) host.unknown += 1;
    }
  }
  for (const [list, name] of [[report.conflicts, 'conflicts'], [report.changes, 'changes']]) {
    for (const one of list) {
      const host = byName.get(one.host);
      if (!host || !STATE.has(one.kind)) continue;
      host[name].push(one);
      // One of both protocols that nobody is on has its place beside tcp.
      const cell = cellAt(host, one.port, one.protocol || 'tcp');
      cell[name].push(one);
      // one conflict weighs more than any number of changes; what comes and goes in the ephemeral range weighs nothing
      if (one.kind !== 'missing' && !one.ephemeral) cell.port.problems += name === 'conflicts' ? 1e6 : 1;
    }
  }
  addPlans(model);
  for (const host of model.hosts) for (const cell of host.cells.values()) finishCell(model, cell);
  return model;
}

// Ports of a plan are columns, also where nobody is on them; of a long range only those that somebody is on.
function addPlans(model) {
  model.plans = model.report.plans.map((items) => items.map((item) => ({ ...item, last: item.last || item.port })));
  for (const item of model.plans.flat()) {
    for (const protocol of item.protocol ? [item.protocol] : ['tcp', 'udp']) {
      for (let port = item.port; port <= item.last; port += 1) {
        const key = `${port}/${protocol}`;
        const known = model.ports.get(key);
        if (known) known.planned = true;
        else if (item.last - item.port < 8 && protocol === (item.protocol || 'tcp')) {
          model.ports.set(key, { key, port, protocol, hosts: 0, problems: 0, planned: true });
        }
      }
    }
  }
}

function wishOf(model, host, port, protocol) {
  const plan = host.entry.plan === undefined ? [] : model.plans[host.entry.plan] || [];
  return plan.find((item) => item.port <= port && port <= item.last && (!item.protocol || item.protocol === protocol));
}

function finishCell(model, cell) {
  const { host, port } = cell;
  cell.wish = wishOf(model, host, port.port, port.protocol);
  const states = [];
  for (const one of cell.conflicts) states.push(one.kind);
  for (const one of cell.changes) states.push(one.kind);
  if (cell.rows.some(isHidden)) states.push('unknown');
  if (cell.rows.length && cell.wish && !cell.conflicts.length) states.push('planned');
  if (cell.rows.some((row) => row.ephemeral)) states.push('ephemeral');
  if (cell.rows.length) states.push('held');
  cell.states = states.length > 1 ? [...new Set(states)].sort((one, other) => STATE.get(one).rank - STATE.get(other).rank) : states;
  let flags = 0;
  for (const one of cell.conflicts) flags |= one.kind === 'missing' ? FLAGS.missing : FLAGS.conflict;
  if (cell.changes.length) flags |= FLAGS.change;
  for (const row of cell.rows.length ? cell.rows : [null]) {
    const own = row === null ? 0 : (isHidden(row) ? FLAGS.unknown : 0) | (row.ephemeral ? FLAGS.ephemeral : 0) | (isLocal(row) ? 0 : FLAGS.open);
    const item = new Item(host, cell, row, flags | own);
    cell.items.push(item);
    model.items.push(item);
  }
}

class Item {
  constructor(host, cell, row, flags) {
    Object.assign(this, { host, cell, row, flags, words: null });
  }

  // Made at the first search, not while the page opens.
  get text() {
    if (this.words === null) this.words = searchText(this);
    return this.words;
  }
}

// Everything that a word of the search may be part of, in lower case. Pids are left out: 80 is a port.
function searchText({ host, cell, row }) {
  const parts = [host.name];
  if (row) {
    parts.push(row.name || '', row.user || '', row.service || '', containerOf(row), row.address, row.exe || '', row.command || '');
    for (const owner of row.owners || []) parts.push(owner.name || '', owner.user || '');
  }
  for (const one of cell.conflicts) parts.push(...one.found);
  for (const one of cell.changes) parts.push(...one.before, ...one.after);
  return parts.join('\n').toLowerCase();
}
