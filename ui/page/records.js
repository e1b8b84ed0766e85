/**
 * The records that the page keeps, as types; a browser never loads this file. Times are
 * milliseconds since 1970.
 */

/** @import { Mark } from "./overlay.js" */

/**
 * A conversation is a tree of messages; `leaf` is the last message of the branch that is
 * shown. `draft` is the question that is being written, `cover` the picture in lists.
 * `removed` is when the person removed it; it can come back for a few seconds.
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} created
 * @property {number} updated
 * @property {string | null} leaf
 * @property {Draft} [draft]
 * @property {PictureRef | null} [cover]
 * @property {number} [removed]
 */

/**
 * A question that is being written. One that `edits` another takes its place; what was
 * being written `before` comes after it.
 * @typedef {{text: string, pictures: PictureRef[], edits?: string, before?: {text: string, pictures: PictureRef[]}}} Draft
 */

/**
 * `parent` is the message before it, null for a first one; messages with the same parent
 * are branches. What the page itself says is a state, never text. `received` is the
 * `Last-Event-ID` that belongs to the text of a running answer.
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string} conversation
 * @property {string | null} parent
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {Asked} [task] of a question by a ready task
 * @property {string} [thoughts] before an answer; never sent to the model
 * @property {PictureRef[]} pictures
 * @property {number} created
 * @property {"next" | "asked" | "writing" | "done" | "stopped" | "failed"} state
 * @property {Record<string, any>} [settings] of a question: detail, max_tokens, ...
 * @property {string} [received]
 * @property {string} [finish_reason]
 * @property {{code: string, message: string, retry_after_s?: number}} [error]
 * @property {number} [again] of a failed answer: when it is asked for again by itself
 * @property {number} [tries] how often it was
 * @property {Mark[]} [marks] boxes and points of an answer
 * @property {Record<string, any>} [measured] usage, timings, and what else is known
 */

/**
 * A ready task that was asked, its name as the person saw it, and the person's own words.
 * @typedef {{id: string, name: string, words: string}} Asked
 */

/**
 * A picture of a message, by the digests of the file that is sent and of the file that
 * the person chose, if that is another one. Sizes are pixels of what is sent, upright;
 * zero where the browser cannot read the file.
 *
 * @typedef {object} PictureRef
 * @property {string} sha256
 * @property {string | null} original
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} rows image tokens from top to bottom, in the usual detail; 0 where
 *   not known
 * @property {number} columns the same from left to right
 * @property {boolean} [isFirst] the first of several frames of a file
 * @property {string} [clip] the id of the video that it is a frame of
 * @property {number} [seconds] of that frame
 */

/**
 * A question that is being answered. `message` is the answer; `job` is its name at the
 * server, once it is known. `tab` follows it for all tabs until `lease`. Without message
 * and conversation it is to be ended.
 *
 * @typedef {object} Job
 * @property {string} key the Idempotency-Key
 * @property {string} conversation
 * @property {string} message
 * @property {string | null} job
 * @property {number} created
 * @property {string} [tab]
 * @property {number} [lease]
 */

/** @typedef {{conversation: string, message?: string}} Change what was written */
/** @typedef {{conversation: Conversation, messages: Message[]}} Transcript */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

export {};
