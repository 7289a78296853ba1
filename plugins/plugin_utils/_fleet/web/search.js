// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What the search box and the filters mean. Words are joined by "and"; `port:443 owner:nginx` looks into one field only.

const FIELDS = {
  host: (item) => [item.host.name],
  owner: (item) => (item.row ? [ownerOf(item.row), ...(item.row.owners || []).map((one) => one.name || '')] : []),
  user: (item) => (item.row ? [item.row.user || '', ...(item.row.owners || []).map((one) => one.user || '')] : []),
  service: (item) => (item.row ? [item.row.service || ''] : []),
  container: (item) => (item.row ? [containerOf(item.row)] : []),
  address: (item) => (item.row ? [item.row.address] : []),
  status: (item) => [STATUS[item.host.entry.status] || ''],
  group: (item) => item.host.entry.groups,
};

function parseQuery(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const [, field, value] = /^([a-z]+):(.+)$/.exec(word) || [];
    const range = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp))?$/.exec(field === 'port' ? value : word);
    if (field === 'port' || (range && (range[2] || range[3]))) {
      // what is no port is on no port
      const first = range ? Number(range[1]) : -1;
      const last = range && range[2] ? Number(range[2]) : first;
      return (item) => item.cell && item.cell.port.port >= first && item.cell.port.port <= last && (!range[3] || range[3] === item.cell.port.protocol);
    }
    if (field && FIELDS[field]) return (item) => FIELDS[field](item).some((text) => text.toLowerCase().includes(value));
    if (range) return (item) => (item.cell && String(item.cell.port.port).startsWith(word)) || item.text.includes(word);
    return (item) => item.text.includes(word);
  });
}

// A function that says of an item whether it is shown; null when everything is.
function makeFilter({ query, flags, protocol, group, status }) {
  const words = parseQuery(query);
  if (!words.length && !flags && !protocol && !group && !status) return null;
  return (item) =>
    (!flags || (item.flags & flags) !== 0) &&
    (!protocol || (item.cell && item.cell.port.protocol === protocol)) &&
    (!group || item.host.entry.groups.includes(group)) &&
    (!status || item.host.entry.status === status) &&
    words.every((matches) => matches(item));
}

// A host has no port of its own: it stands for itself where it was not seen.
const hostItem = (host) => ({ host, cell: null, row: null, flags: 0, text: `${host.name}\n${host.entry.message || ''}`.toLowerCase() });
