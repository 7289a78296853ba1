// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The page: what is chosen on it, and how that becomes a view.

const report = JSON.parse(byId('report').textContent);
const model = buildModel(report);
const grid = new Grid(byId('view'));
const panel = new Panel(byId('panel'));
const CHIPS = [
  ['conflict', 'Conflicts', 'refused'], ['missing', 'Not there yet', 'missing'], ['change', 'Changes', 'new'],
  ['unknown', 'Unknown owner', 'unknown'], ['ephemeral', 'Ephemeral range', 'ephemeral'], ['open', 'Beyond loopback', null],
];
const CLEAR = { query: '', flags: 0, protocol: '', group: '', status: '' };
const state = { view: 'matrix', ...CLEAR, hosts: 'problems', ports: 'problems', compact: false, column: null };

// --- what the head of the page says

function tile(name, value, label, note, action, warn) {
  return el('button', { type: 'button', class: `tile${warn ? ' warn' : ''}`, 'data-tile': name, on: { click: action } },
    el('span', { class: 'tile-value', text: value }), el('span', { class: 'tile-label', text: label }), note ? el('span', { class: 'tile-note', text: note }) : null);
}

function tiles() {
  const { hosts, conflicts, changes, listeners, ports, unknown_owners: unknown, ephemeral } = report.summary;
  const toList = (flag) => () => choose({ ...CLEAR, flags: flag, view: 'listeners' });
  const missing = hosts.total - hosts.ok;
  byId('tiles').append(
    tile('hosts', missing ? `${number(hosts.ok)} of ${number(hosts.total)}` : number(hosts.total), hosts.total === 1 ? 'host seen' : 'hosts seen', missing ? `${number(missing)} missing` : '', () => choose({ ...CLEAR, view: 'hosts' }), missing > 0),
    tile('listeners', number(listeners), listeners === 1 ? 'listener' : 'listeners', count(ports, 'port', 'ports'), toList(0), false),
    conflicts ? tile('conflicts', number(conflicts.total), conflicts.total === 1 ? 'conflict' : 'conflicts', conflicts.missing ? `${number(conflicts.missing)} not there yet` : 'with the plan', () => choose({ ...CLEAR, view: 'conflicts' }), conflicts.total > 0)
      : tile('conflicts', '–', 'no plan', 'nothing to compare', () => choose({ ...CLEAR, view: 'conflicts' }), false),
    changes ? tile('changes', number(changes.total), changes.total === 1 ? 'change' : 'changes', `+${number(changes.new)}  −${number(changes.gone)}  ≠${number(changes.owner_changed)}`, () => choose({ ...CLEAR, view: 'changes' }), false)
      : tile('changes', '–', 'no baseline', 'nothing to compare', () => choose({ ...CLEAR, view: 'changes' }), false),
    tile('unknown', number(unknown), unknown === 1 ? 'unknown owner' : 'unknown owners', '', toList(FLAGS.unknown), unknown > 0),
    tile('ephemeral', number(ephemeral), 'in ephemeral range', '', toList(FLAGS.ephemeral), false),
  );
}

function banners() {
  const { hosts, complete } = report.summary;
  const bar = byId('banners');
  const words = ['failed', 'unreachable', 'not_run'].filter((key) => hosts[key]).map((key) => `${number(hosts[key])} ${STATUS[key]}`);
  if (!hosts.total) bar.append(banner('No hosts', 'Nothing is known of any host.'));
  else if (words.length) {
    bar.append(banner('Partial', `${number(hosts.total - hosts.ok)} of ${count(hosts.total, 'host is', 'hosts are')} missing: ${words.join(', ')}. What they listen on is not known.`,
      el('button', { type: 'button', text: 'Show hosts', on: { click: () => choose({ ...CLEAR, view: 'hosts' }) } })));
  }
  if (hosts.with_problems) bar.append(banner('Partial', `${count(hosts.with_problems, 'host has', 'hosts have')} problems: see the messages of the hosts.`));
  for (const notice of report.notices) bar.append(banner('Note', notice.text));
  const base = report.baseline;
  if (base) {
    const parts = [`Compared with the report of ${moment(base.generated)}.`];
    if (base.hosts_new.length) parts.push(`${count(base.hosts_new.length, 'host is', 'hosts are')} new: ${some(base.hosts_new)}.`);
    if (base.hosts_gone.length) parts.push(`${count(base.hosts_gone.length, 'host is', 'hosts are')} gone: ${some(base.hosts_gone)}.`);
    if (base.hosts_not_compared.length) parts.push(`${count(base.hosts_not_compared.length, 'host', 'hosts')} could not be compared: ${some(base.hosts_not_compared.map((one) => `${one.host} (${one.reason.replace('_', ' ')})`))}.`);
    if (base.ports_not_compared) parts.push(`${count(base.ports_not_compared, 'port', 'ports')} could not be compared, for an unknown owner.`);
    byId('compared').textContent = visible(parts.join(' '));
  }
  document.documentElement.dataset.complete = String(complete);
}

const some = (names) => names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${number(names.length - 5)} more` : '');
const banner = (word, text, ...more) => el('div', { class: 'banner' }, el('strong', { text: word }), el('span', { text }), ...more);

// --- choosing and showing

function choose(change, keepPlace = false) {
  if (change.view && change.view !== state.view) state.column = null;
  Object.assign(state, change);
  show(keepPlace);
}

const currentFilter = () => makeFilter(state);

function show(keepPlace = false) {
  const filter = currentFilter();
  const back = grid.element;
  const actions = {
    sortBy: (column) => choose({ column: { key: column.key, down: state.column && state.column.key === column.key ? !state.column.down : false } }, true),
    openCell: (cell) => panel.open(cellDetails(model, cell.host, cell), back),
    openHost: (host) => panel.open(hostDetails(model, host), back),
  };
  const source = VIEWS[state.view].source(model, filter, state, actions);
  document.documentElement.dataset.view = state.view;
  byId('empty').hidden = source.rows > 0;
  byId('empty-text').textContent = emptyText(filter);
  byId('clear').hidden = !filter;
  byId('empty-clear').hidden = !filter;
  grid.element.hidden = source.rows === 0;
  grid.show(source, keepPlace);
  controls(source);
  remember();
}

function emptyText(filter) {
  if (filter) return 'Nothing matches the search and the filters.';
  if (state.view === 'conflicts') return report.summary.conflicts ? 'No conflict with the plan on the hosts that were seen.' : 'This report was made without a plan.';
  if (state.view === 'changes') return report.baseline ? 'No change on the hosts that could be compared.' : 'This report was made without a baseline.';
  return report.hosts.length ? 'Nobody listens on the hosts that were seen.' : 'There are no hosts in this report.';
}

function controls(source) {
  for (const tab of byId('tabs').children) {
    const own = tab.dataset.view === state.view;
    tab.setAttribute('aria-selected', String(own));
    tab.tabIndex = own ? 0 : -1;
  }
  byId('view').setAttribute('aria-labelledby', `tab-${state.view}`);
  for (const chip of byId('chips').children) chip.setAttribute('aria-pressed', String((state.flags & Number(chip.dataset.flag)) !== 0));
  if (byId('search').value !== state.query) byId('search').value = state.query;
  for (const name of ['protocol', 'group', 'status', 'hosts', 'ports']) byId(name).value = state[name];
  byId('compact').setAttribute('aria-pressed', String(state.compact));
  const unit = { matrix: ['host', 'hosts'], hosts: ['host', 'hosts'], listeners: ['listener', 'listeners'], conflicts: ['conflict', 'conflicts'], changes: ['change', 'changes'] }[state.view];
  const columns = state.view === 'matrix' ? `, ${count(source.columns.length - 1, 'port', 'ports')}` : '';
  byId('status-line').textContent = `${count(source.rows, ...unit)}${columns} shown`;
}

// The address keeps what is looked at, so that it can be passed on. Nothing of it is more than text for the search box.
function remember() {
  const parts = new URLSearchParams();
  if (state.view !== 'matrix') parts.set('view', state.view);
  if (state.query) parts.set('q', state.query);
  try {
    history.replaceState(null, '', `#${parts}`);
  } catch (dummy) {
    // some viewers of artifacts don't let a page have an address of its own
  }
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  if (Object.hasOwn(VIEWS, parts.get('view') || '')) state.view = parts.get('view');
  state.query = (parts.get('q') || '').slice(0, 500);
}

// --- light and dark

function theme(name) {
  if (name === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId('theme').value = name;
}

function themes() {
  let kept = null;
  try {
    kept = localStorage.getItem('harbormaster-theme');
  } catch (dummy) {
    // from file:// a browser may keep nothing
  }
  theme(['light', 'dark'].includes(kept) ? kept : 'auto');
  byId('theme').addEventListener('change', ({ target }) => {
    theme(target.value);
    try {
      localStorage.setItem('harbormaster-theme', target.value);
    } catch (dummy) {
      // likewise
    }
  });
}

// --- wiring

function wire() {
  for (const [key, { title }] of Object.entries(VIEWS)) {
    const rows = report[key] && report[key].length;
    byId('tabs').append(el('button', { type: 'button', role: 'tab', id: `tab-${key}`, 'aria-controls': 'view', 'data-view': key, on: { click: () => choose({ view: key }) } },
      title, rows && key !== 'hosts' ? el('span', { class: 'tab-count', text: number(rows) }) : null));
  }
  byId('tabs').addEventListener('keydown', (event) => {
    const keys = Object.keys(VIEWS);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    choose({ view: keys[(keys.indexOf(state.view) + step + keys.length) % keys.length] });
    byId(`tab-${state.view}`).focus();
    event.preventDefault();
  });
  for (const [flag, label, key] of CHIPS) {
    byId('chips').append(el('button', { type: 'button', class: 'chip', 'aria-pressed': 'false', 'data-flag': FLAGS[flag], on: { click: () => choose({ flags: state.flags ^ FLAGS[flag] }) } },
      key ? el('span', { class: 'symbol', 'aria-hidden': 'true', text: STATE.get(key).symbol }) : null, label));
  }
  [...model.groups].sort(compareText).forEach((group) => byId('group').append(el('option', { value: group, text: group })));
  byId('search').addEventListener('input', ({ target }) => choose({ query: target.value.trim() }));
  for (const name of ['protocol', 'group', 'status', 'hosts', 'ports']) byId(name).addEventListener('change', ({ target }) => choose({ [name]: target.value, ...(name === 'hosts' ? { column: null } : {}) }));
  byId('compact').addEventListener('click', () => choose({ compact: !state.compact }, true));
  for (const id of ['clear', 'empty-clear']) {
    byId(id).addEventListener('click', () => {
      choose({ ...CLEAR });
      byId('search').focus();
    });
  }
  for (const { key, symbol, word } of STATES) byId('legend').append(el('li', {}, el('span', { class: `key state-${key}`, 'aria-hidden': 'true', text: symbol }), word));
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      byId('search').focus();
      event.preventDefault();
    } else if (event.key === 'Escape') panel.close();
  });
  const paper = byId('paper');
  const print = (on) => paper.replaceChildren(...(on ? printedPage(model, currentFilter()) : []));
  addEventListener('beforeprint', () => print(true));
  addEventListener('afterprint', () => print(false));
  matchMedia('print').addEventListener('change', ({ matches }) => print(matches));
}

function start() {
  byId('title').textContent = visible(report.title);
  const { collection, ansible } = report.generator;
  byId('made').textContent = visible(`${moment(report.generated)} · harbormaster.ports ${collection} · ansible-core ${ansible}${report.scope === 'plan' ? ' · only the ports of the plan' : ''}`);
  recall();
  themes();
  tiles();
  banners();
  wire();
  show();
  document.documentElement.dataset.ready = 'true';
}

start();
