const cells = row => [...row.cells].map(c => c.textContent);
const rowsOf = table => [...table.rows].map(cells);
const latex = s => [...s].map(c => LATEX[c] ?? c).join("");
const markdown = s => s.replace(/([\\`*_\[\]<>|#$~])/g, "\\$1").replace(/^(\s*)([-+])(\s)/, "$1\\$2$3")
  .replace(/^(\s*)(\d+)([.)])(\s)/, "$1$2\\$3$4");
const quoted = s => /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
const AS = {
  csv: t => rowsOf(t).map(r => r.map(quoted).join(",") + "\n").join(""),
  latex: t => {
    const [head, ...body] = rowsOf(t).map(r => r.map(latex).join(" & ") + " \\\\");
    const columns = cells(t.rows[0]).map((_, j) => j < t.dataset.text ? "l" : "r").join("");
    return [`\\begin{tabular}{${columns}}`, "\\toprule", head, "\\midrule", ...body, "\\bottomrule", "\\end{tabular}", ""].join("\n");
  },
  markdown: t => {
    const [head, ...body] = rowsOf(t).map(r => r.map(markdown));
    const rule = head.map((_, j) => j < t.dataset.text ? "---" : "---:");
    return [head, rule, ...body].map(r => `| ${r.join(" | ")} |\n`).join("");
  },
};
function copy(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done ? Promise.resolve() : navigator.clipboard.writeText(text);
}
document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.save) {
    const link = document.createElement("a");
    link.download = button.dataset.save;
    link.href = button.closest("figure").querySelector("img").src;
    link.click();
    return;
  }
  const place = button.closest(".table, .code"), words = button.textContent;
  const text = button.dataset.copy === "text" ? place.querySelector("code").textContent : AS[button.dataset.copy](place.querySelector("table"));
  copy(text).then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = words; }, 1200); });
});
