/** Branches of a conversation. Pure. */

/** @import { Message } from "./records.js" */

/**
 * The messages from the first one to `leaf`.
 *
 * @param {Message[]} messages
 * @param {string | null} leaf
 * @returns {Message[]}
 */
export function branch(messages, leaf) {
  const byId = new Map(messages.map((message) => [message.id, message]));
  /** @type {Message[]} */
  const found = [];
  for (let at = leaf; at !== null && byId.has(at); ) {
    const message = /** @type {Message} */ (byId.get(at));
    byId.delete(at); // a circle in an imported file ends here
    found.unshift(message);
    at = message.parent;
  }
  return found;
}

/**
 * The versions of a message: all with its parent and role, in time order, itself included.
 *
 * @param {Message[]} messages
 * @param {Message} message
 * @returns {Message[]}
 */
export function versions(messages, { parent, role }) {
  return messages.filter((one) => one.parent === parent && one.role === role);
}

/**
 * Where the newest branch through a message ends.
 *
 * @param {Message[]} messages in time order
 * @param {string} id
 * @returns {string}
 */
export function newestLeaf(messages, id) {
  let leaf = id;
  for (const message of messages) {
    // children are younger than their parents
    if (message.parent === leaf && isNewest(messages, message)) leaf = message.id;
  }
  return leaf;
}

/** @param {Message[]} messages @param {Message} message */
function isNewest(messages, { id, parent }) {
  return messages.findLast((one) => one.parent === parent)?.id === id;
}
