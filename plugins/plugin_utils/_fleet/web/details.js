// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The panel with everything that is known of one cell or host.

const JUDGES = { port_owner: 'port_owner on the host', facts: 'comparing the facts with the plan' };
const CHANGE_WORDS = { new: 'New', gone: 'Gone', owner_changed: 'Another owner', addresses_changed: 'Other addresses' };
const CONFLICT_WORDS = { refused: 'Must not be stopped', in_the_way: 'In the way', unknown_owner: 'Owner not known', missing: 'Not there yet' };

function badge(key, text) {
  const state = STATE.get(key);
  return el('span', { class: `badge state-${key}` }, el('span', { class: 'symbol', 'aria-hidden': 'true', text: state.symbol }), ` ${visible(text)}`);
}

// A list of names and values; what is not known is left out.
function facts(pairs) {
  const list = el('dl', {});
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === '') continue;
    list.append(el('dt', { text: name }), value instanceof Node ? el('dd', {}, value) : el('dd', { text: value }));
  }
  return list;
}

function since(one, report) {
  if (!one.started) return one.stime || '';
  const old = age(one.started, report.generated);
  return old ? `${moment(one.started)} (${old})` : moment(one.started);
}

function personFacts(one, report) {
  const container = one.container ? [one.container.engine, one.container.name, (one.container.id || '').slice(0, 12)].filter(Boolean).join(' ') : '';
  return [
    ['Process', one.name ? `${one.name}${one.pid ? ` (pid ${one.pid})` : ''}` : one.pid ? `pid ${one.pid}` : ''],
    ['User', one.user], ['Service', one.service], ['Container', container], ['Since', since(one, report)],
    ['Executable', one.exe], ['Command', one.command ? el('code', { text: one.command }) : ''],
  ];
}

function listenerCard(row, report) {
  const card = el('section', { class: 'card' }, el('h3', { text: `${addressOf(row)}:${row.port}/${row.protocol}` }));
  card.append(facts(personFacts(row, report)));
  if (row.owner_status !== 'known') card.append(el('p', { class: 'note', text: WHY_UNKNOWN[row.owner_status] || row.owner_status }));
  if (row.ephemeral) card.append(el('p', { class: 'note', text: 'The port is in the range that this host gives to outgoing connections: while the server is down, one may take it.' }));
  if (row.v6only === false && row.address === '::') card.append(el('p', { class: 'note', text: 'It takes IPv4 clients too.' }));
  if (row.owners) {
    card.append(el('details', {}, el('summary', { text: `${count(row.owners.length, 'process shares', 'processes share')} this socket` }),
      ...row.owners.map((one) => facts(personFacts(one, report)))));
  }
  return card;
}

function wishText(wish) {
  const who = (names) => names.join(' or ');
  if (wish.owner && wish.owner.length) return `held by ${who(wish.owner)}`;
  return ['free', wish.keep ? `or held by ${who(wish.keep)}` : '', wish.stop_only ? `only ${who(wish.stop_only)} may be stopped` : ''].filter(Boolean).join(', ');
}

function conflictCard(one) {
  return el('section', { class: `card state-${one.kind}` }, el('h3', {}, badge(one.kind, CONFLICT_WORDS[one.kind] || one.kind)),
    facts([['Port', portLabel(one)], ['Address', one.address], ['Wanted', one.wanted], ['Found', one.found.join(', ')], ['Reason', one.reason],
      ['What to do', one.remedy], ['Passes', one.passing ? 'by itself' : ''], ['Judged by', JUDGES[one.judge]]]));
}

function changeCard(one) {
  const addresses = one.addresses_before.join(', ') !== one.addresses_after.join(', ');
  return el('section', { class: `card state-${one.kind}` }, el('h3', {}, badge(one.kind, CHANGE_WORDS[one.kind] || one.kind)),
    facts([['Before', one.before.join(', ') || 'nobody'], ['Now', one.after.join(', ') || 'nobody'],
      ['Addresses before', addresses ? one.addresses_before.join(', ') : ''], ['Addresses now', addresses ? one.addresses_after.join(', ') : '']]));
}

function cellDetails(model, host, cell) {
  const parts = [];
  if (cell.wish) parts.push(el('p', { class: 'wish' }, el('strong', { text: 'Plan: ' }), visible(wishText(cell.wish))));
  parts.push(...cell.conflicts.map(conflictCard), ...cell.changes.map(changeCard));
  parts.push(...cell.rows.map((row) => listenerCard(row, model.report)));
  if (!cell.rows.length) parts.push(el('p', { class: 'note', text: 'Nobody listens on it.' }));
  return { title: `${host.name} · ${cell.port.port}/${cell.port.protocol}`, parts };
}

function hostDetails(model, host) {
  const { entry } = host;
  const ranges = entry.ephemeral ? entry.ephemeral.tcp.map((pair) => pair.join('-')).join(', ') : 'not known';
  const seen = entry.status === 'ok';
  const parts = [];
  if (!seen) parts.push(el('section', { class: 'card unseen' }, el('h3', { text: STATUS[entry.status] || entry.status }), el('p', { text: entry.message || 'no reason given' })));
  for (const problem of entry.problems) parts.push(el('section', { class: 'card unseen' }, el('h3', { text: 'Problem' }), el('p', { text: problem })));
  parts.push(facts([['Status', STATUS[entry.status] || entry.status], ['Groups', entry.groups.join(', ')], ['Listeners', seen ? number(entry.listeners.length) : 'not known'],
    ['Owners not known', seen ? number(host.unknown) : 'not known'], ['Ephemeral ports', seen ? ranges : 'not known']]));
  parts.push(...host.conflicts.map(conflictCard));
  return { title: host.name, parts };
}

// The panel itself. It takes the focus when it opens, and gives it back when it closes.
class Panel {
  constructor(element) {
    this.element = element;
    this.heading = el('h2', { tabindex: '-1', id: 'panel-title' });
    this.content = el('div', { class: 'panel-content', tabindex: '0', role: 'group', 'aria-labelledby': 'panel-title' });
    const close = el('button', { type: 'button', class: 'close', 'aria-label': 'Close details', text: '✕', on: { click: () => this.close() } });
    element.append(el('div', { class: 'panel-head' }, this.heading, close), this.content);
    element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
  }

  open({ title, parts }, back) {
    this.back = back;
    this.heading.textContent = visible(title);
    this.content.replaceChildren(...parts);
    this.content.scrollTop = 0;
    this.element.hidden = false;
    this.heading.focus();
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    if (this.back) this.back.focus();
  }
}
