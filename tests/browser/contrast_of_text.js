() => {
  // WCAG 2.2, 1.4.3: contrast of every text with what is painted behind it, from the colours the browser computed.
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const box = e.matches(".node *") ? getComputedStyle(e.closest(".node").querySelector("rect")).fill : null;
      const colour = parse(box || getComputedStyle(e).backgroundColor);
      if (colour.a === 1) return colour;
      if (colour.a !== 0) throw new Error("a background that is half transparent: " + e.className);
    }
    return parse("rgb(255, 255, 255)");
  };
  const faint = [];
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, style, title, .vh")) continue;
    const style = getComputedStyle(element);
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const [one, two] = [luminance(colour), luminance(behind(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    checked += 1;
    if ((one + 0.05) / (two + 0.05) < (large ? 3 : 4.5)) {
      faint.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${((one + 0.05) / (two + 0.05)).toFixed(2)}`);
    }
  }
  return { checked, faint };
}
