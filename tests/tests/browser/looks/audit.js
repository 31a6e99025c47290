// Finds what makes a page hard to use for people with a screen reader, with little sight, or without
// a mouse. Returns a list of faults. The body of a function.
const faults = [];
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = (it) => it.checkVisibility() && !it.closest(".unseen");
const name = (it) => `<${it.tagName.toLowerCase()} class="${it.className}"> ${it.textContent.trim().slice(0, 40)}`;
const must = (holds, it, what) => { if (!holds) faults.push(`${what}: ${name(it)}`); };

must(document.documentElement.lang, document.documentElement, "no language");
const ids = all("[id]").map((it) => it.id);
must(new Set(ids).size === ids.length, document.body, "an id is there twice");
for (const table of all("table")) must(table.caption?.textContent, table, "a table without a caption");
for (const head of all("th")) must(head.scope, head, "a heading cell without a scope");
for (const section of all("section")) {
  must(document.getElementById(section.getAttribute("aria-labelledby")), section, "a section without a name");
}
for (const it of all("button, a, [role=region], [role=img]")) {
  must(it.ariaLabel || it.textContent.trim(), it, "nothing to read out");
}
let level = 0;
for (const heading of all("h1, h2, h3, h4")) {
  const next = Number(heading.tagName[1]);
  must(next <= level + 1, heading, "a heading skips a level");
  level = next;
}
for (const it of all("*")) {
  const scrolls = /auto|scroll/.test(getComputedStyle(it).overflow);
  const moves = it.scrollHeight > it.clientHeight + 1 || it.scrollWidth > it.clientWidth + 1;
  if (scrolls && moves) must(it.tabIndex >= 0, it, "can't be scrolled with the keyboard");
}

// https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
const luminance = (colour) => {
  const [r, g, b] = numbers(colour).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = (it) => {
  for (; it; it = it.parentElement) {
    const colour = getComputedStyle(it).backgroundColor;
    if ((numbers(colour)[3] ?? 1) === 1) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
let texts = 0;
for (const it of all("body *")) {
  const hasText = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!hasText || !shown(it) || it.disabled || /SCRIPT|STYLE/.test(it.tagName)) continue;
  texts += 1;
  const ratio = contrast(getComputedStyle(it).color, background(it));
  must(ratio >= 4.5, it, `contrast ${ratio.toFixed(2)}`);
}
must(texts > 40, document.body, `only ${texts} texts`);
for (const it of all(".bar i")) {
  if (!shown(it)) continue;
  const ratio = contrast(getComputedStyle(it).backgroundColor, background(it.parentElement));
  must(ratio >= 3, it, `contrast ${ratio.toFixed(2)} of a graphic`);
}
return faults;
