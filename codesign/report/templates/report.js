"use strict";
(() => {
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "resetScale2d"]],
    toImageButtonOptions: { format: "svg" },
    showTips: false,
  };

  /* A specification with every "var(--name)" replaced by the colour that the style sheet gives it now. */
  function coloured(value, style) {
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
    }
    const name = typeof value === "string" && /^var\((--[a-z-]+)\)$/.exec(value);
    return name ? style.getPropertyValue(name[1]).trim() : value;
  }

  function open(id) {
    const target = id && document.getElementById(id);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  }

  const figures = [...document.querySelectorAll("script.figure-data")].map((block) => ({
    element: document.getElementById(block.dataset.for),
    specification: JSON.parse(block.textContent),
  }));

  function draw() {
    const style = getComputedStyle(document.documentElement);
    return Promise.all(
      figures.map(({ element, specification }) => {
        const { data, layout } = coloured(specification, style);
        return Plotly.react(element, data, layout, config);
      }),
    );
  }

  draw().then(() => {
    for (const { element } of figures) {
      element.on("plotly_click", (event) => {
        const anchor = event.points[0].customdata && event.points[0].customdata[1];
        if (!anchor) return;
        history.replaceState(null, "", `#${anchor}`);
        open(anchor);
      });
    }
    document.documentElement.dataset.figures = String(figures.length);
  });

  addEventListener("hashchange", () => open(location.hash.slice(1)));
  open(location.hash.slice(1));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => {
    for (const item of document.querySelectorAll("details")) item.open = true;
    document.documentElement.dataset.print = "";
    draw();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    draw();
  });
})();
