// What the learner's desk needs of JupyterLab that no setting gives. It is read as it is: JupyterLab
// asks a prebuilt extension for a container of modules, and this is one with a single plugin.
(() => {
  const MAP = "map.md";
  const SETTLED_MS = 20000; // the tutor's chat is drawn, and takes the focus, some time after the rest
  const GROWS_MS = 3000; // an answer's Markdown is rendered after it is there

  const isLesson = (widget) => widget.context?.path?.endsWith(".ipynb") && widget.content?.widgets;
  const mainWidgets = (app) => [...app.shell.widgets("main")];

  // The first key goes to the lesson: until somebody presses or clicks, the chat gets no focus.
  function keepFocus(app) {
    let ours = true;
    const stop = () => {
      ours = false;
      for (const kind of ["keydown", "pointerdown"]) document.removeEventListener(kind, stop, true);
      document.removeEventListener("focusin", back, true);
    };
    function lesson() {
      const shown = mainWidgets(app).filter((widget) => isLesson(widget) && widget.isVisible);
      return shown[0];
    }
    function back(event) {
      if (!event.target.closest?.(".MuiInputBase-root")) return;
      const widget = lesson();
      if (ours && widget) setTimeout(() => ours && app.shell.activateById(widget.id), 0);
    }
    for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, stop, true);
    document.addEventListener("focusin", back, true);
    setTimeout(stop, SETTLED_MS);
    const first = lesson();
    if (first) app.shell.activateById(first.id);
  }

  // The newest message stays in view: its end, or its beginning where it is taller than the chat.
  function keepNewest(chat) {
    const list = chat.querySelector(".jp-chat-messages-container");
    if (!list || list.dataset.gqaDesk) return;
    list.dataset.gqaDesk = "followed";
    let count = 0;
    const sizes = new ResizeObserver(show);
    let until = 0;
    function messages() {
      return list.querySelectorAll(".jp-chat-message");
    }
    function scrolls(element) {
      return element.scrollHeight > element.clientHeight && getComputedStyle(element).overflowY !== "visible";
    }
    function show() {
      const last = [...messages()].pop();
      if (!last || performance.now() > until) return;
      let scroller = list; // or what it is in: that differs by release
      while (scroller && scroller !== chat && !scrolls(scroller)) scroller = scroller.parentElement;
      if (!scroller) return; // the chat was closed
      const tall = last.offsetHeight > scroller.clientHeight;
      const edge = tall ? "top" : "bottom";
      const by = last.getBoundingClientRect()[edge] - scroller.getBoundingClientRect()[edge];
      scroller.scrollTop += by + (tall ? -8 : 16);
    }
    function look() {
      const now = messages();
      if (now.length > count) {
        until = performance.now() + GROWS_MS;
        sizes.disconnect();
        sizes.observe(now[now.length - 1]);
        for (const wait of [0, 100, 400, 1000]) setTimeout(show, wait);
      }
      count = now.length;
    }
    new MutationObserver(look).observe(list, { childList: true, subtree: true });
    look();
  }

  // The map is written anew by `gqa submit`: read it again whenever it comes to the front.
  function keepMapFresh(app) {
    app.shell.currentChanged?.connect(() => {
      const widget = app.shell.currentWidget;
      if (widget?.context?.path === MAP && !widget.context.model.dirty) widget.context.revert();
    });
  }

  // The drawing of the map is an image: a click on a lesson's box follows the table's link to it.
  function boxAt(svg, x, y) {
    return [...svg.querySelectorAll("g.node")].find((node) => {
      const rect = node.querySelector("rect");
      if (!rect) return false;
      let [left, top] = ["x", "y"].map((name) => Number(rect.getAttribute(name)));
      for (let part = node; part; part = part.parentElement) {
        const moved = /translate\(\s*([-\d.]+)[\s,]+([-\d.]+)/.exec(part.getAttribute("transform") ?? "");
        if (moved) [left, top] = [left + Number(moved[1]), top + Number(moved[2])];
      }
      const [width, height] = ["width", "height"].map((name) => Number(rect.getAttribute(name)));
      return x >= left && x <= left + width && y >= top && y <= top + height;
    });
  }

  function linkAt(image, event) {
    const [kind, text] = [image.src.split(",", 1)[0], image.src.slice(image.src.indexOf(",") + 1)];
    const source = kind.endsWith("base64") ? atob(text) : decodeURIComponent(text);
    const svg = new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
    const [left, top, width, height] = (svg.getAttribute("viewBox") ?? "").split(/[\s,]+/).map(Number);
    const shown = image.getBoundingClientRect();
    const x = left + ((event.clientX - shown.left) * width) / shown.width;
    const y = top + ((event.clientY - shown.top) * height) / shown.height;
    const number = /(?:^|-)L(\d\d)(?:-|$)/.exec(boxAt(svg, x, y)?.id ?? "")?.[1];
    if (!number) return undefined;
    const links = image.closest(".jp-RenderedMarkdown")?.querySelectorAll("td a") ?? [];
    return [...links].find((link) => link.textContent.startsWith(`${Number(number)} · `));
  }

  function keepBoxesLinks() {
    const drawing = (event) => event.target.closest?.('img[src^="data:image/svg+xml"]');
    document.addEventListener("click", (event) => {
      const image = drawing(event);
      if (image) linkAt(image, event)?.click();
    });
    document.addEventListener("mousemove", (event) => {
      const image = drawing(event);
      if (image) image.style.cursor = linkAt(image, event) ? "pointer" : "";
    });
  }

  const plugin = {
    id: "gqa-desk:plugin",
    description: "Focus in the lesson, the chat's newest message in view, a fresh map with links",
    autoStart: true,
    activate: (app) => {
      keepMapFresh(app);
      keepBoxesLinks();
      app.restored.then(() => {
        keepFocus(app);
        const chats = () => document.querySelectorAll(".jp-chat-widget, .jp-MainAreaWidget");
        new MutationObserver(() => chats().forEach(keepNewest)).observe(document.body, {
          childList: true,
          subtree: true,
        });
        chats().forEach(keepNewest);
      });
    },
  };

  (window._JUPYTERLAB ??= {})["gqa-desk"] = {
    init: () => {},
    get: () => Promise.resolve(() => ({ __esModule: true, default: plugin })),
  };
})();
