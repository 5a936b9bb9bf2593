() => {
  // WCAG 2.2, 1.4.11: the bars and signs against the sheet they are on.
  const luminance = (text) => {
    const [x, y, z] = text.match(/[\d.]+/g).slice(0, 3).map(Number).map(
      (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const sheet = luminance(getComputedStyle(document.querySelector(".timeline")).backgroundColor);
  const found = {};
  for (const [name, property] of [[".p-checking", "fill"], [".p-applying", "fill"], [".hatch-line", "fill"], [".outline", "stroke"],
      [".link", "stroke"], [".mark", "fill"], [".edge", "stroke"], [".node rect", "stroke"], [".what .icon", "color"]]) {
    const [one, two] = [luminance(getComputedStyle(document.querySelector(name))[property]), sheet].sort((a, b) => b - a);
    found[name] = (one + 0.05) / (two + 0.05);
  }
  return found;
}
