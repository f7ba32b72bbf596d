"use strict";
(() => {
  const root = document.documentElement;
  const THEME = "exportd-theme";
  const MOST = 100000; // hits that are counted

  root.classList.add("script");
  setTheme(remembered());
  document.addEventListener("DOMContentLoaded", () => {
    const find = prepareSearch();
    prepareBar();
    prepareKeys(find);
    prepareOutline();
    prepareLinks();
    showTimes();
  });

  const id = (name) => document.getElementById(name);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

  // -- dark or light: as the system has it, until the reader says otherwise ------------

  function remembered() {
    try { return localStorage.getItem(THEME); } catch { return null; }
  }

  function setTheme(theme) {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  }

  function isDark() {
    return (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "")) === "dark";
  }

  // -- the bar -----------------------------------------------------------------------

  function prepareBar() {
    const dark = id("dark");
    press(dark, isDark());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => press(dark, isDark()));
    dark.addEventListener("click", () => {
      setTheme(isDark() ? "light" : "dark");
      press(dark, isDark());
      try { localStorage.setItem(THEME, root.dataset.theme); } catch { /* only this time, then */ }
    });

    const talk = id("talk");
    talk.addEventListener("click", () => staying(() => {
      press(talk, !isPressed(talk));
      filter();
    }));

    const unfold = id("unfold");
    unfold.addEventListener("click", () => staying(() => {
      press(unfold, !isPressed(unfold));
      for (const details of all(".aside > details")) details.open = isPressed(unfold);
    }));
  }

  // Whatever is shown or hidden: what the reader looks at stays where it is.
  function staying(change) {
    const seen = messageAt(0);
    const before = seen && seen.getBoundingClientRect().top;
    change();
    if (!seen || !window.scrollY) return;
    const place = (left) => {
      const anchor = seen.classList.contains("out") ? nextShown(seen) : seen;
      if (anchor) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
      if (left) requestAnimationFrame(() => place(left - 1));
    };
    place(2);
  }

  const numberOf = (message) => Number(message.id.slice(1));

  function nextShown(message) {
    const messages = all(".m");
    return messages.slice(messages.indexOf(message)).find((other) => !other.classList.contains("out"));
  }

  // The message so far down the window, from its top (0) to its end (1). To ask each message
  // where it is would lay out all of them.
  function messageAt(part) {
    const { bottom } = document.querySelector(".bar").getBoundingClientRect();
    const main = id("main").getBoundingClientRect();
    const x = main.left + main.width / 2;
    const from = Math.max(bottom, 0) + 4;
    for (let y = from + (window.innerHeight - from) * part; y < window.innerHeight; y += 12) {
      const found = document.elementFromPoint(x, y)?.closest(".m");
      if (found) return found;
    }
    return null;
  }

  function filter() {
    const only = isPressed(id("only"));
    const talk = isPressed(id("talk"));
    for (const message of all(".m")) {
      const found = message.classList.contains("found");
      const out = only ? !found : talk && !found && message.classList.contains("aside");
      message.classList.toggle("out", out);
    }
    for (const batch of all(".batch")) batch.classList.toggle("out", !batch.querySelector(".m:not(.out)"));
  }

  // -- search ------------------------------------------------------------------------

  function prepareSearch() {
    const query = id("query");
    const count = id("count");
    const buttons = ["previous", "next", "only"].map(id);
    const marks = window.Highlight && CSS.highlights ? new Highlight() : null;
    const here = marks && new Highlight();
    if (marks) {
      here.priority = 1;
      CSS.highlights.set("hits", marks);
      CSS.highlights.set("here", here);
    } else root.classList.add("unmarked");

    let places = null; // what can be searched, with its text: read when it is first needed
    let hits = []; // [place, start, end]
    let byPlace = new Map();
    let at = -1;
    let timer = 0;

    // Only what is near the window is marked: ten thousand marks would make it slow.
    const near = new Map();
    const watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        unmark(target);
        if (isIntersecting && marks) {
          const ranges = ranged(target, byPlace.get(target) || []);
          near.set(target, ranges);
          for (const range of ranges) marks.add(range);
        }
      }
    }, { rootMargin: "100% 0px" });

    function unmark(element) {
      for (const range of near.get(element) || []) marks.delete(range);
      near.delete(element);
    }

    function clear() {
      watcher.disconnect();
      for (const element of [...near.keys()]) unmark(element);
      if (here) here.clear();
      for (const element of all(".found")) element.classList.remove("found");
      for (const element of all(".hit")) element.classList.remove("hit");
      hits = [];
      byPlace = new Map();
      at = -1;
    }

    function search() {
      clear();
      const pattern = patternOf(query.value);
      if (pattern) {
        places ||= all(".t").map((element) => ({ element, text: element.textContent }));
        for (const { element, text } of places) {
          if (hits.length >= MOST) break;
          const found = [];
          for (const match of text.matchAll(pattern)) {
            found.push([element, match.index, match.index + match[0].length]);
            if (hits.length + found.length >= MOST) break;
          }
          if (!found.length) continue;
          for (const hit of found) hits.push(hit);
          byPlace.set(element, found);
          element.closest(".m")?.classList.add("found");
          if (!marks) element.classList.add("hit");
        }
        for (const element of byPlace.keys()) watcher.observe(element);
      }
      for (const button of buttons) button.disabled = !hits.length;
      if (!hits.length) press(id("only"), false);
      filter();
      say(pattern);
    }

    function say(pattern = true) {
      const total = hits.length.toLocaleString() + (hits.length >= MOST ? "+" : "");
      count.textContent = !pattern ? "" : !hits.length ? "no hits"
        : at < 0 ? `${total} ${hits.length === 1 ? "hit" : "hits"}` : `${(at + 1).toLocaleString()} of ${total}`;
    }

    // The first jump goes to what lies below the top of the window, not to the beginning.
    function jump(step) {
      settle();
      if (!hits.length) return;
      if (at < 0) {
        const top = messageAt(0);
        const below = top ? hits.findIndex(([element]) => numberOf(element.closest(".m")) >= numberOf(top)) : 0;
        at = below < 0 ? 0 : step < 0 ? (below || hits.length) - 1 : below;
      } else at = (at + step + hits.length) % hits.length;
      show(hits[at]);
      say();
    }

    function show(hit) {
      const [element] = hit;
      reveal(element);
      const [range] = ranged(element, [hit]);
      if (here) {
        here.clear();
        here.add(range);
      }
      bring(range);
    }

    // While the reader types the last search may still be to come.
    function settle() {
      if (!timer) return;
      clearTimeout(timer);
      timer = 0;
      search();
    }

    query.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => { timer = 0; search(); }, 150);
    });
    query.addEventListener("keydown", (event) => {
      if (event.key === "Enter") jump(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") {
        query.value = "";
        clearTimeout(timer);
        timer = 0;
        search();
        query.blur();
      }
    });
    id("next").addEventListener("click", () => jump(1));
    id("previous").addEventListener("click", () => jump(-1));
    const only = id("only");
    only.addEventListener("click", () => staying(() => {
      press(only, !isPressed(only));
      filter();
    }));
    return { jump, focus: () => query.select() };
  }

  // Words as they are, in either case; a space is any run of white space, a line's end too.
  function patternOf(words) {
    const parts = words.trim().split(/\s+/).filter(Boolean);
    if (!parts.length) return null;
    const escaped = parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&"));
    return new RegExp(escaped.join("\\s+"), "giu");
  }

  // Where hits of one element lie in its text nodes; hits in the order of their places.
  function ranged(element, hits) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const ranges = [];
    let node = walker.nextNode();
    let before = 0;
    const seek = (offset, isEnd) => {
      while (node && (isEnd ? before + node.length < offset : before + node.length <= offset)) {
        before += node.length;
        node = walker.nextNode();
      }
      return [node, offset - before];
    };
    for (const [, start, end] of hits) {
      const range = new Range();
      range.setStart(...seek(start, false));
      range.setEnd(...seek(end, true));
      ranges.push(range);
    }
    return ranges;
  }

  function reveal(element) {
    for (let up = element; up; up = up.parentElement) {
      if (up.tagName === "DETAILS" && !element.closest("summary")?.parentElement.isSameNode(up)) up.open = true;
    }
    for (const hidden of [element.closest(".m"), element.closest(".batch")]) hidden?.classList.remove("out");
  }

  // Twice: what comes into view gets its true height only then.
  function bring(range, again = 2) {
    range.startContainer.parentElement.scrollIntoView({ block: "nearest" });
    const { top } = range.getBoundingClientRect();
    window.scrollBy(0, top - window.innerHeight * 0.35);
    if (again) requestAnimationFrame(() => bring(range, again - 1));
  }

  // -- keys --------------------------------------------------------------------------

  function prepareKeys(find) {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.matches("input, textarea, select, [contenteditable]")) return;
      if (event.key === "/") find.focus();
      else if (event.key === "n") find.jump(1);
      else if (event.key === "N") find.jump(-1);
      else return;
      event.preventDefault();
    });
  }

  // -- outline -----------------------------------------------------------------------

  function prepareOutline() {
    const nav = id("outline");
    const contents = id("contents");
    const open = (on) => {
      nav.classList.toggle("open", on);
      contents.setAttribute("aria-expanded", String(on));
    };
    contents.addEventListener("click", () => open(!nav.classList.contains("open")));
    nav.addEventListener("click", (event) => event.target.closest("a") && open(false));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && nav.classList.contains("open")) {
        open(false);
        contents.focus();
      }
    });

    const links = all("li a", nav);
    const numbers = links.map((link) => Number(link.hash.slice(2)));
    let waiting = false;
    const follow = () => {
      waiting = false;
      const message = messageAt(0.3);
      if (!message) return;
      const after = numbers.findIndex((number) => number > numberOf(message));
      mark(links[(after < 0 ? links.length : after) - 1]);
    };
    let current = null;
    const mark = (link) => {
      if (link === current) return;
      current?.removeAttribute("aria-current");
      current = link || null;
      if (!link) return;
      link.setAttribute("aria-current", "true");
      const { top, bottom } = link.getBoundingClientRect();
      const box = nav.getBoundingClientRect();
      if (top < box.top || bottom > box.bottom) nav.scrollTop += top - box.top - box.height / 2;
    };
    window.addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(follow);
      waiting = true;
    }, { passive: true });
    follow();
  }

  // -- links to messages -------------------------------------------------------------

  function prepareLinks() {
    const go = () => {
      const target = location.hash.length > 1 && id(decodeURIComponent(location.hash.slice(1)));
      if (!target) return;
      for (const hidden of [target, target.closest(".batch")]) hidden?.classList.remove("out");
      const details = target.querySelector(":scope > details");
      if (details) details.open = true;
      // Again: what comes into view on the way gets its true height only then.
      const come = (left) => {
        target.scrollIntoView();
        if (left) requestAnimationFrame(() => come(left - 1));
      };
      requestAnimationFrame(() => come(3));
    };
    window.addEventListener("hashchange", go);
    go();
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.(".link");
      if (!link || !navigator.clipboard) return;
      navigator.clipboard.writeText(link.href).then(() => {
        const text = link.textContent;
        link.textContent = "copied";
        setTimeout(() => { link.textContent = text; }, 1200);
      }, () => { /* it is in the address bar all the same */ });
    });
  }

  // -- times -------------------------------------------------------------------------

  // In the reader's zone, a few at a time; their titles keep UTC.
  function showTimes() {
    const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    const short = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
    const times = all("time");
    const later = window.requestIdleCallback || ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 16));
    let next = 0;
    let today = ""; // a date is said once, where it changes
    const work = (deadline) => {
      while (next < times.length && (deadline.timeRemaining() > 2 || next < 50)) {
        const time = times[next++];
        const when = new Date(time.dateTime);
        const isSaid = time.parentElement.classList.contains("meta");
        const day = when.toDateString();
        time.textContent = (isSaid && day === today ? short : full).format(when);
        if (isSaid) today = day;
      }
      if (next < times.length) later(work);
    };
    later(work);
  }
})();
