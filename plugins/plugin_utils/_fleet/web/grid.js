// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A grid of any size that has only the cells in the document that are in view. The keyboard moves an active cell, which
// assistive technology follows through aria-activedescendant: the focus itself stays on the grid.

const HEADER_HEIGHT = 42;
const OVERSCAN = 4;
let grids = 0;

class Grid {
  // source: { label, columns: [{ title, width, sub, sort, key }], rows, rowHeight, fill(cell element, row, column),
  //           span(row): text of a row that has no cells, open(row, column), sortBy(column), sorted: { key, down } }
  constructor(container) {
    this.id = `grid${(grids += 1)}`;
    this.container = container;
    this.active = { row: 0, column: 0 };
    this.element = el('div', { class: 'grid', role: 'grid', tabindex: '0', 'aria-readonly': 'true' });
    this.head = el('div', { class: 'grid-head', role: 'rowgroup' });
    this.body = el('div', { class: 'grid-body', role: 'rowgroup' });
    this.element.append(this.head, this.body);
    container.append(this.element);
    this.waiting = false;
    this.element.addEventListener('scroll', () => this.later(), { passive: true });
    this.element.addEventListener('keydown', (event) => this.key(event));
    this.element.addEventListener('click', (event) => this.click(event));
    this.element.addEventListener('focus', () => this.mark());
    // What a cell says to those who listen is what it says to those who point at it.
    this.element.addEventListener('mouseover', ({ target }) => {
      const cell = target.closest('[aria-label].cell');
      if (cell) cell.title = cell.getAttribute('aria-label');
    });
    new ResizeObserver(() => this.later()).observe(this.element);
  }

  show(source, keepPlace = false) {
    this.source = source;
    this.kept = null;
    this.lefts = [0];
    for (const column of source.columns) this.lefts.push(this.lefts[this.lefts.length - 1] + column.width);
    const width = this.lefts[this.lefts.length - 1];
    this.element.setAttribute('aria-label', source.label);
    this.element.setAttribute('aria-rowcount', source.rows + 1);
    this.element.setAttribute('aria-colcount', source.columns.length);
    for (const part of [this.head, this.body]) part.style.width = `${width}px`;
    this.head.style.height = `${HEADER_HEIGHT}px`;
    this.body.style.height = `${source.rows * source.rowHeight}px`;
    if (!keepPlace) {
      this.active = { row: 0, column: 0 };
      this.element.scrollTo(0, 0);
    }
    this.active.row = Math.min(this.active.row, source.rows);
    this.active.column = Math.min(this.active.column, source.columns.length - 1);
    this.render();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.render();
    });
  }

  // The columns in view, without the first one, which always is.
  span() {
    const { scrollLeft, clientWidth } = this.element;
    const columns = this.source.columns.length;
    let first = 1;
    while (first < columns - 1 && this.lefts[first + 1] < scrollLeft + this.lefts[1]) first += 1;
    let last = first;
    while (last < columns && this.lefts[last] < scrollLeft + clientWidth) last += 1;
    return [Math.max(1, first - OVERSCAN), Math.min(columns, last + OVERSCAN)];
  }

  render() {
    const { source } = this;
    if (!source || !this.element.clientHeight) return;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / source.rowHeight) - OVERSCAN);
    const last = Math.min(source.rows, Math.ceil((scrollTop + clientHeight) / source.rowHeight) + OVERSCAN);
    const columns = this.span();
    this.head.replaceChildren(this.row(0, columns, (cell, column) => this.fillHead(cell, column)));
    // Rows that stay in view while the columns do are taken as they are.
    const before = this.kept && this.kept.columns === columns.join() ? this.kept.rows : new Map();
    this.kept = { columns: columns.join(), rows: new Map() };
    for (let row = first; row < last; row += 1) {
      this.kept.rows.set(row, before.get(row) || this.line(row, columns));
    }
    this.body.replaceChildren(...this.kept.rows.values());
    this.mark();
  }

  line(row, columns) {
    const { source } = this;
    const spanning = source.span ? source.span(row) : null;
    const element = this.row(row + 1, spanning === null ? columns : [1, 1], (cell, column) => source.fill(cell, row, column));
    element.style.top = `${row * source.rowHeight}px`;
    element.style.height = `${source.rowHeight}px`;
    if (spanning !== null && source.columns.length > 1) element.append(this.spanning(row, spanning));
    return element;
  }

  row(index, [first, last], fill) {
    const element = el('div', { class: 'grid-row', role: 'row', 'aria-rowindex': index + 1 });
    for (let column = 0; column < last; column = column === 0 ? first : column + 1) {
      // Most places of a matrix are empty: they have an element only while they are the active one.
      if (index > 0 && this.source.empty?.(index - 1, column)) continue;
      const cell = this.place(index, column);
      fill(cell, column);
      element.append(cell);
    }
    return element;
  }

  place(index, column) {
    const cell = document.createElement('div');
    cell.setAttribute('role', index === 0 ? 'columnheader' : column === 0 ? 'rowheader' : 'gridcell');
    cell.id = `${this.id}-${index}-${column}`;
    cell.setAttribute('aria-colindex', column + 1);
    cell.className = column === 0 ? 'cell first' : 'cell';
    cell.style.width = `${this.source.columns[column].width}px`;
    if (column > 0) cell.style.left = `${this.lefts[column]}px`;
    return cell;
  }

  spanning(row, text) {
    const cell = el('div', { role: 'gridcell', class: 'cell spanning', id: `${this.id}-${row + 1}-1`, 'aria-colindex': 2, 'aria-colspan': this.source.columns.length - 1 });
    cell.style.left = `${this.lefts[1]}px`;
    cell.style.width = `${this.lefts[this.lefts.length - 1] - this.lefts[1]}px`;
    cell.append(el('span', { class: 'spanning-text', text }));
    return cell;
  }

  fillHead(cell, index) {
    const column = this.source.columns[index];
    const { sorted } = this.source;
    const own = sorted && sorted.key === column.key;
    if (column.sort) {
      cell.setAttribute('aria-sort', own ? (sorted.down ? 'descending' : 'ascending') : 'none');
      cell.classList.add('sortable');
    }
    if (column.planned) cell.classList.add('planned');
    if (column.hint) cell.title = visible(column.hint);
    cell.append(el('span', { class: 'head-title', text: column.title }), el('span', { class: 'head-sub', text: `${column.sub || ''}${own ? (sorted.down ? ' ▼' : ' ▲') : ''}` }));
  }

  // --- the active cell

  mark() {
    const old = this.element.querySelector('.active');
    if (old) {
      old.classList.remove('active');
      if (old.classList.contains('nobody')) old.remove();
    }
    const { row } = this.active;
    const spanning = row > 0 && this.source.span && this.source.span(row - 1) !== null;
    const column = spanning ? Math.min(this.active.column, 1) : this.active.column;
    const cell = byId(`${this.id}-${row}-${column}`) || this.emptyPlace(row, column);
    if (!cell) {
      this.element.removeAttribute('aria-activedescendant');
      return;
    }
    cell.classList.add('active');
    this.element.setAttribute('aria-activedescendant', cell.id);
  }

  // The element of an empty place, made because it is the active one; null where its row or column is out of view.
  emptyPlace(row, column) {
    const line = row > 0 && this.kept && this.kept.rows.get(row - 1);
    const [first, last] = this.span();
    if (!line || column < first || column >= last || !this.source.empty?.(row - 1, column)) return null;
    const cell = this.place(row, column);
    cell.classList.add('nobody');
    cell.append(el('span', { class: 'sr', text: 'nobody' }));
    line.append(cell);
    return cell;
  }

  go(row, column) {
    const { source, element } = this;
    this.active = { row: Math.max(0, Math.min(source.rows, row)), column: Math.max(0, Math.min(source.columns.length - 1, column)) };
    const top = (this.active.row - 1) * source.rowHeight;
    const room = element.clientHeight - HEADER_HEIGHT;
    if (this.active.row > 0 && top < element.scrollTop) element.scrollTop = top;
    if (top + source.rowHeight > element.scrollTop + room) element.scrollTop = top + source.rowHeight - room;
    if (this.active.column > 0) {
      const left = this.lefts[this.active.column] - this.lefts[1];
      const wide = element.clientWidth - this.lefts[1];
      if (left < element.scrollLeft) element.scrollLeft = left;
      const right = left + source.columns[this.active.column].width;
      if (right > element.scrollLeft + wide) element.scrollLeft = right - wide;
    }
    this.render();
  }

  key(event) {
    if (event.altKey || event.metaKey) return;
    const { row, column } = this.active;
    const page = Math.max(1, Math.floor((this.element.clientHeight - HEADER_HEIGHT) / this.source.rowHeight) - 1);
    const far = event.ctrlKey;
    const moves = {
      ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1],
      PageDown: [row + page, column], PageUp: [Math.max(Math.min(row, 1), row - page), column],
      Home: [far ? 1 : row, 0], End: [far ? this.source.rows : row, this.source.columns.length - 1],
    };
    if (moves[event.key]) this.go(...moves[event.key]);
    else if (event.key === 'Enter' || event.key === ' ') this.press(row, column);
    else return;
    event.preventDefault();
  }

  click(event) {
    const cell = event.target.closest('[role="gridcell"],[role="rowheader"],[role="columnheader"]');
    if (!cell) return;
    const [, row, column] = cell.id.split('-').map(Number);
    this.active = { row, column };
    this.mark();
    this.press(row, column);
  }

  press(row, column) {
    if (row > 0) this.source.open(row - 1, column);
    else if (this.source.columns[column].sort) this.source.sortBy(this.source.columns[column]);
  }
}
