// The panel in a page of WhatsApp Web. Its shadow root is closed, so that the page cannot read it.
"use strict";

/** Creates an element with properties and children. */
function element(tag, properties, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const panel = {
  host: element("div"),
  request: element("textarea", { rows: 5, spellcheck: false }),
  use: element("button", { textContent: "Use the passkey" }),
  answer: element("textarea", { rows: 5, readOnly: true }),
  copy: element("button", { textContent: "Copy the answer", disabled: true }),
  close: element("button", { textContent: "Close" }),
  message: element("p", { role: "alert" }),
};

/** Lets the owner use the passkey for the pasted request. */
async function useRequest() {
  panel.use.disabled = true;
  panel.message.textContent = panel.answer.value = "";
  try {
    panel.answer.value = await answerRequest(panel.request.value);
    panel.message.textContent = "Copy the answer, and paste it where the request came from.";
  } catch (error) {
    panel.message.textContent =
      error.name === "NotAllowedError" ? "The passkey was not used, or there is none here." : error.message;
  }
  panel.copy.disabled = panel.answer.value === "";
  panel.use.disabled = false;
}

/** Copies the answer, which is good for one linking, and clears the panel. */
async function copyAnswer() {
  await navigator.clipboard.writeText(panel.answer.value);
  panel.message.textContent = "Copied.";
}

function showPanel() {
  document.documentElement.append(panel.host);
  panel.request.focus();
}

function buildPanel() {
  const style = new CSSStyleSheet();
  style.replaceSync(`
    :host { all: initial; position: fixed; inset: 1rem 1rem auto auto; z-index: 2147483647; width: 24rem }
    form { font: 15px/1.4 system-ui, sans-serif; padding: 1rem; color: #111; background: #fff; border-radius: .5rem;
      box-shadow: 0 .2rem 1.5rem #0006 }
    label { display: block } textarea { display: block; width: 100%; box-sizing: border-box; font: 12px monospace }
    button { margin: .5rem .5rem .5rem 0 } p:empty { display: none }
  `);
  const root = panel.host.attachShadow({ mode: "closed" });
  root.adoptedStyleSheets = [style];
  const form = element("form", {}, [
    element("label", {}, ["Paste the request of wapi:", panel.request]),
    panel.use,
    element("label", {}, ["The answer for wapi:", panel.answer]),
    panel.copy,
    panel.close,
    panel.message,
  ]);
  for (const button of [panel.use, panel.copy, panel.close]) button.type = "button";
  panel.use.addEventListener("click", useRequest);
  panel.copy.addEventListener("click", copyAnswer);
  panel.close.addEventListener("click", () => panel.host.remove());
  root.append(form);
}

buildPanel();
chrome.runtime.onMessage.addListener(showPanel);
