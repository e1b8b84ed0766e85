/** The tab's title counts, and a notification comes when an answer is ready. */

/** @import { Asking } from "./asking.js" */
import { about, say } from "./words.js";

const NAME = "Edge-VL";

export class Title {
  #asking;
  #wants = false;
  /** @type {string[]} messages that are being answered */
  #before = [];

  /** @param {Asking} asking */
  constructor(asking) {
    this.#asking = asking;
    setInterval(() => this.#show(), 1000);
    document.addEventListener("visibilitychange", () => this.#show());
  }

  /** Whether this browser can notify. */
  static get canTell() {
    if (!("Notification" in window) || !window.isSecureContext) return false;
    // without the permission nothing is seen of one
    return Notification.permission === "granted" || (Notification.permission === "default" && notify());
  }

  /** Asks for the permission to notify. @returns {Promise<boolean>} */
  async tell() {
    this.#wants = (await Notification.requestPermission()) === "granted";
    return this.#wants;
  }

  #show() {
    const running = this.#asking.all().filter(({ isStopped }) => !isStopped);
    const ids = running.map(({ job }) => job.message);
    const hasEnded = this.#before.some((id) => !ids.includes(id));
    this.#before = ids;
    if (hasEnded && document.hidden && this.#wants) notify();
    if (running.length) {
      const left = Math.min(...running.map(({ progress }) => progress.left(Date.now())));
      document.title = `(≈ ${about(left)}) ${NAME}`;
    } else if (hasEnded && document.hidden) {
      document.title = `✓ ${NAME}`;
    } else if (!document.hidden) {
      document.title = NAME;
    }
  }
}

/** @returns {boolean} false: here only a service worker may, as in Chrome on Android */
function notify() {
  try {
    new Notification(NAME, { body: say("ready"), tag: "answer" });
    return true;
  } catch {
    return false;
  }
}
