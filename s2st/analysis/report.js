// Tables are sorted by the buttons of their heads: up, down, and back to the first order.
"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const first = [...body.rows];
  const collator = new Intl.Collator("en", { numeric: true });

  // Rank of a cell's kind (number, text, empty), then what to compare within it.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value !== undefined) return [0, Number(cell.dataset.value)];
    const text = cell.textContent.trim();
    return text === "" ? [2, 0] : [1, text];
  };

  const sort = (column, direction) => {
    const keyed = first.map((row) => [key(row, column), row]);
    keyed.sort(([[rank, a]], [[otherRank, b]]) => {
      if (rank !== otherRank) return rank - otherRank; // texts and empty cells last, both ways
      return direction * (rank === 1 ? collator.compare(a, b) : a - b);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      for (const other of heads) other.removeAttribute("aria-sort");
      if (before === "descending") {
        body.append(...first);
        return;
      }
      head.setAttribute("aria-sort", before === "ascending" ? "descending" : "ascending");
      sort(column, before === "ascending" ? -1 : 1);
    });
  });
}
