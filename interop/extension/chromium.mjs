// Chromium over its debugging pipe: NUL-terminated JSON on two descriptors. WebDriver cannot load an unpacked extension.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Starts Chromium with an own profile; `flags` are added to its command line. */
export async function startChromium(flags) {
  const profile = await mkdtemp(join(tmpdir(), "wapi-chromium-"));
  const program = process.env.CHROMIUM ?? "chromium";
  const args = [
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--remote-debugging-pipe",
    "--enable-unsafe-extension-debugging",
    `--user-data-dir=${profile}`,
    // Chromium refuses its sandbox to root.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ...flags,
    "about:blank",
  ];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (data) => (errors += data));
  const browser = new Chromium(child, () => errors);
  return {
    browser,
    async stop() {
      const exited = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill();
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

class Chromium {
  #input;
  #calls = new Map();
  #listeners = new Set();
  #last = 0;

  constructor(child, errors) {
    this.#input = child.stdio[3];
    let text = "";
    child.stdio[4].on("data", (data) => {
      text += data;
      const messages = text.split("\0");
      text = messages.pop();
      for (const message of messages) this.#read(JSON.parse(message));
    });
    const fail = (why) => {
      for (const call of this.#calls.values()) call.reject(new Error(`${why}: ${errors()}`));
    };
    child.on("error", (error) => fail(`Chromium does not start (${error.message})`));
    child.on("exit", () => fail("Chromium has ended"));
  }

  #read(message) {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
    else call.resolve(message.result);
  }

  /** Calls a method of the browser, or of the page with this session. */
  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { method, resolve, reject });
      this.#input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Waits for an event that fits. */
  next(method, sessionId, fits = () => true) {
    return new Promise((resolve) => {
      const listener = (message) => {
        if (message.method !== method || message.sessionId !== sessionId || !fits(message.params)) return;
        this.#listeners.delete(listener);
        resolve(message.params);
      };
      this.#listeners.add(listener);
    });
  }

  /** Evaluates an expression in a page, and waits for its promise. */
  async evaluate(sessionId, contextId, expression) {
    const options = { expression, contextId, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
}
