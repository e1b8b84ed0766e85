/** An answer that this tab follows, with what no store has of it yet. */

/** @import { Job, Message } from "./records.js" */
/** @import { Seconds } from "./progress.js" */

import { Progress } from "./progress.js";

export class Running {
  aborter = new AbortController();
  /** Whether it waits for the answers before it. */
  isWaiting = true;
  /** Whether another tab goes on with it. */
  isLeft = false;
  /** The job of the page that is asked about by itself. */
  page = "";
  /** Asks a failed question now that is to be asked again. */
  hurry = () => {};

  /**
   * @param {Job} job
   * @param {Message} message the answer so far
   * @param {Seconds} price of each stage
   */
  constructor(job, message, price) {
    this.job = job;
    this.text = message.text;
    this.thoughts = message.thoughts ?? "";
    this.received = message.received ?? "0";
    /** Followed no longer than until its job has a name. */
    this.isStopped = message.state === "stopped";
    /** When a question that failed is asked again; 0: it has not failed. */
    this.again = message.again ?? 0;
    this.progress = new Progress(job.created, price);
  }

  /** What is kept of it so far. @returns {Partial<Message>} */
  get shown() {
    const { text, thoughts } = this;
    return thoughts ? { text, thoughts } : { text };
  }

  /** What the server calls it: its job, or that of the page that is being answered. */
  get name() {
    return this.page || this.job.job;
  }

  /**
   * Ends it as soon as it has a name: the server goes on with a question that has a key,
   * though nobody listens.
   */
  stop() {
    this.isStopped = true;
    const isAsked = !this.isWaiting && !this.again;
    if (!isAsked || this.name || this.progress.isLost) this.aborter.abort();
  }

  /** Leaves it to another tab. */
  leave() {
    this.isLeft = true;
    this.again = 0;
    this.aborter.abort();
  }

  /** Resolves when a failed question is to be asked again, or is stopped. */
  async pause() {
    const ms = this.again - Date.now();
    this.progress.observe({ stage: "queue", starts_in_s: ms / 1000 }, Date.now());
    await new Promise((resolve) => {
      this.hurry = () => resolve(undefined);
      setTimeout(resolve, ms);
      this.aborter.signal.addEventListener("abort", resolve);
    });
  }

  /** Begins again, without text. */
  restart() {
    this.again = 0;
    this.page = "";
    this.text = this.thoughts = "";
    this.received = "0";
  }
}
