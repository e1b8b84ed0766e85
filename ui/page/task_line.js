/** The ready tasks as buttons. One of several formats has a choice beside it. */

/** @import { Task } from "./ready_task.js" */
import { button, el, put } from "./dom.js";
import { about, hasText, say } from "./words.js";

export class TaskLine {
  root = el("div", { class: "tasks", role: "group", "aria-label": say("tasks") });
  #onChoose;
  /** @type {Task[]} */
  #tasks = [];
  /** @type {Entry[]} */
  #entries = [];

  /** @param {(task: Task, name: string) => void} onChoose */
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  /**
   * Shows the tasks that have a name on this page and make sense for this number of
   * pictures.
   *
   * @param {Task[]} tasks
   * @param {number} nPictures
   * @param {(task: Task) => number} secondsOf
   */
  show(tasks, nPictures, secondsOf) {
    if (tasks !== this.#tasks) {
      this.#tasks = tasks;
      this.#entries = tasks.filter(({ id }) => hasText(`task_${id}`)).map((task) => new Entry(formsOf(task, tasks), this.#onChoose));
      put(this.root, ...this.#entries.map(({ root }) => root));
    }
    for (const { root, ask, task } of this.#entries) {
      root.hidden = nPictures < task.pictures;
      ask.title = say("about", { time: about(secondsOf(task)) });
    }
  }
}

class Entry {
  #forms;
  #choice;

  /** @param {Task[]} forms at least one @param {(task: Task, name: string) => void} onChoose */
  constructor(forms, onChoose) {
    const [first] = forms;
    const name = say(`task_${first?.id}`);
    this.#forms = forms;
    this.ask = button(name, () => onChoose(this.task, this.#named(name)), { class: "task", "data-task": first?.id });
    const formats = forms.map(({ id, format }) => el("option", { value: id }, format));
    this.#choice = el("select", { class: "task-format", "aria-label": name }, ...formats);
    this.root = el("span", { class: "task-entry" }, this.ask, forms.length > 1 && this.#choice);
  }

  /** @param {string} name of all forms @returns {string} of the chosen one */
  #named(name) {
    return this.#forms.length > 1 ? `${name} (${this.task.format})` : name;
  }

  /** The task in the chosen format. @returns {Task} */
  get task() {
    const found = this.#forms.find(({ id }) => id === this.#choice.value) ?? this.#forms[0];
    if (!found) throw new Error("A task has no form.");
    return found;
  }
}

/** A task, and those that differ from it in their format. @param {Task} task @param {Task[]} tasks */
function formsOf(task, tasks) {
  return [task, ...tasks.filter(({ id, format }) => format && id.startsWith(`${task.id}-`))];
}
