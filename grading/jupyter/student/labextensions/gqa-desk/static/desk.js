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

  const plugin = {
    id: "gqa-desk:plugin",
    description: "Focus in the lesson, the chat's newest message in view, a map that is not stale",
    autoStart: true,
    activate: (app) => {
      keepMapFresh(app);
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
