"use strict";
// Values under the pointer, runs picked out in a legend, and maps that turn. Without a script the page is whole but for the maps.
const tip = document.getElementById("tip");
const scale = (told) => {
  const [low, high, start, stop, kind] = told.split(" ").map((part, k) => (k < 4 ? Number(part) : part));
  const log = kind === "log", a = log ? Math.log10(low) : low, b = log ? Math.log10(high) : high;
  return (place) => { const v = a + ((place - start) / (stop - start)) * (b - a); return log ? 10 ** v : v; };
};
const number = (value) => String(Number(value.toPrecision(3)));
const points = (path) => (path.points ??= path.getAttribute("d").slice(1).split("L").map((pair) => pair.split(" ").map(Number)));
const show = (text, event) => {
  tip.textContent = text; tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 6)}px`;
  tip.style.top = `${Math.max(4, event.clientY - box.height - 10)}px`;
};
for (const chart of document.querySelectorAll("svg.chart")) {
  const [x, y] = [scale(chart.dataset.x), scale(chart.dataset.y)];
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  mark.setAttribute("class", "near"); mark.setAttribute("r", 5);
  chart.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    let best = null;
    for (const run of chart.querySelectorAll(".run")) {
      if (chart.closest(".some") && !run.classList.contains("picked")) continue;
      for (const [a, b] of points(run.querySelector(".line"))) {
        const far = (a - at.x) ** 2 + (b - at.y) ** 2;
        if (!best || far < best.far) best = { far, a, b, name: run.dataset.run };
      }
    }
    if (!best || best.far > 900) { tip.hidden = true; mark.remove(); return; }
    mark.setAttribute("cx", best.a); mark.setAttribute("cy", best.b); chart.append(mark);
    const labels = [...chart.querySelectorAll(".label")].map((label) => label.textContent);
    show(`${best.name}: ${labels[0]} ${number(x(best.a))}, ${labels[1]} ${number(y(best.b))}`, event);
  });
  chart.addEventListener("pointerleave", () => { tip.hidden = true; mark.remove(); });
}
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const part = button.closest(".pickable"), on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    const names = [...part.querySelectorAll('.legend button[aria-pressed="true"]')].map((each) => each.value);
    part.classList.toggle("some", names.length > 0);
    for (const run of part.querySelectorAll("[data-run]")) run.classList.toggle("picked", names.includes(run.dataset.run));
  });
}
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const map of document.querySelectorAll(".map")) {
  const { names, codes, places } = JSON.parse(map.querySelector("script").textContent);
  const canvas = map.querySelector("canvas"), pen = canvas.getContext("2d"), [by, split, sides] = map.querySelectorAll("select");
  const key = map.querySelector(".key"), spin = map.querySelector("button"), count = places.x2.length;
  let turn = 0.6, tilt = 0.35, turning = !still, seen = false;
  const middle = (axis) => { const all = places[axis], low = Math.min(...all), high = Math.max(...all); return [(low + high) / 2, Math.max(high - low, 1e-9) / 2]; };
  const box = Object.fromEntries(Object.keys(places).map((axis) => [axis, middle(axis)]));
  const at = (axis, k) => (places[axis][k] - box[axis][0]) / box[axis][1];
  const draw = () => {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * ratio; canvas.height = height * ratio; pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement), shade = (k) => style.getPropertyValue(`--c${k % 10}`);
    const deep = sides.value === "3", code = codes[by.value], list = [];
    for (let k = 0; k < count; k++) {
      if (split.value && names.split[codes.split[k]] !== split.value) continue;
      let [u, v, w] = deep ? [at("x3", k), at("y3", k), at("z3", k)] : [at("x2", k), at("y2", k), 0];
      if (deep) {
        [u, w] = [u * Math.cos(turn) + w * Math.sin(turn), w * Math.cos(turn) - u * Math.sin(turn)];
        [v, w] = [v * Math.cos(tilt) - w * Math.sin(tilt), w * Math.cos(tilt) + v * Math.sin(tilt)];
        u *= 0.8; v *= 0.8;
      }
      list.push([u, v, w, code[k]]);
    }
    list.sort((one, other) => one[2] - other[2]);
    for (const [u, v, w, which] of list) {
      pen.globalAlpha = names[by.value][which] === "" ? 0.25 : deep ? 0.55 + 0.3 * Math.max(-1, Math.min(1, w)) : 0.8;
      pen.fillStyle = names[by.value][which] === "" ? style.getPropertyValue("--c7") : shade(which);
      pen.beginPath(); pen.arc(width / 2 + u * width * 0.47, height / 2 - v * height * 0.47, deep ? 2.4 + 0.8 * w : 2.6, 0, 7); pen.fill();
    }
    spin.hidden = !deep; spin.textContent = turning ? "Hold still" : "Turn";
  };
  const colour = () => {
    key.replaceChildren(...names[by.value].map((name, k) => {
      const one = document.createElement("span"), dot = document.createElement("i");
      one.className = `c${k % 10}`; if (name === "") dot.style.background = "var(--c7)";
      one.append(dot, name === "" ? "not asked" : by.value === "right" ? (name === "yes" ? "right" : "wrong") : name);
      return one;
    }));
    draw();
  };
  for (const select of [by, split, sides]) select.addEventListener("change", colour);
  spin.addEventListener("click", () => { turning = !turning; draw(); });
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; turning = false; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    turn += (event.clientX - held[0]) / 120; tilt += (event.clientY - held[1]) / 120; held = [event.clientX, event.clientY]; draw();
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!step || sides.value !== "3") return;
    event.preventDefault(); turning = false; turn += step[0]; tilt += step[1]; draw();
  });
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; if (seen) draw(); }).observe(canvas);
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const tick = () => { if (seen && turning && sides.value === "3") { turn += 0.006; draw(); } requestAnimationFrame(tick); };
  colour(); requestAnimationFrame(tick);
}
