"use strict";
// Without this script the page is whole: it adds copying, the choice of light or dark, and walking through a picture.
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea"); // A page opened from a file may not have the clipboard.
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  for (const button of document.querySelectorAll(".to-copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.textContent = (await copied(button.dataset.copy)) ? "copied" : "select and copy";
      setTimeout(() => { button.textContent = "copy"; }, 1600);
    });
  }

  const opened = () => { // A link into a folded section unfolds it.
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", opened);
  opened();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("#broken details:not([open])")];
    for (const box of folded) box.open = true;
  });
  addEventListener("afterprint", () => { for (const box of folded) box.open = false; });

  const walk = (figure) => {
    const plot = figure.querySelector(".plot"), detail = figure.querySelector(".detail");
    const stage = figure.querySelector(".stage"), scroll = figure.querySelector(".scroll");
    const items = [...plot.querySelectorAll(".item")].sort((a, b) => a.dataset.t - b.dataset.t);
    const looks = [...figure.parentElement.querySelectorAll(".looks th[data-t]")];
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    line.setAttribute("class", "cursor");
    let now = -1, zoom = 1;
    const words = (item) => item.querySelector("title").textContent;
    const place = (item) => {
      const part = item.querySelector("line[x1], rect[x], svg[x]");
      return part.getAttribute("x") || part.getAttribute("x1");
    };
    const show = (number) => {
      if (!items.length) return;
      if (now >= 0) items[now].classList.remove("now");
      now = Math.max(0, Math.min(items.length - 1, number));
      const item = items[now], x = place(item);
      item.classList.add("now");
      detail.textContent = `${now + 1}/${items.length}  ${words(item)}`;
      for (const [name, value] of [["x1", x], ["x2", x], ["y1", 16], ["y2", plot.getAttribute("height")]]) line.setAttribute(name, value);
      plot.append(line);
      const there = parseFloat(x) / 100 * stage.offsetWidth;
      if (there < scroll.scrollLeft + 30 || there > scroll.scrollLeft + scroll.clientWidth - 30) scroll.scrollLeft = there - scroll.clientWidth / 2;
      const seen = looks.filter((look) => +look.dataset.t <= +item.dataset.t).pop();
      for (const look of looks) look.classList.toggle("now", look === seen);
    };
    const zoomed = (factor) => {
      const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / stage.offsetWidth;
      zoom = Math.max(1, Math.min(32, factor));
      stage.style.width = `${zoom * 100}%`;
      scroll.scrollLeft = middle * stage.offsetWidth - scroll.clientWidth / 2;
    };
    const keys = {
      ArrowRight: () => show(now + 1), ArrowLeft: () => show(now < 0 ? items.length - 1 : now - 1),
      Home: () => show(0), End: () => show(items.length - 1),
      "+": () => zoomed(zoom * 1.6), "=": () => zoomed(zoom * 1.6), "-": () => zoomed(zoom / 1.6), 0: () => zoomed(1),
    };
    figure.addEventListener("keydown", (event) => {
      if (event.target !== figure || !(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    items.forEach((item, number) => {
      item.addEventListener("mouseenter", () => { detail.textContent = words(item); });
      item.addEventListener("click", () => { figure.focus(); show(number); });
    });
  };
  document.querySelectorAll(".timeline").forEach(walk);
})();
