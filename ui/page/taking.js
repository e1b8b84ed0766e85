/** From chosen files to pictures of the question that is being written. */

/** @import { Composer } from "./composer.js" */
/** @import { Rect } from "./raster.js" */
/** @import { PictureRef } from "./records.js" */
/** @import { Service } from "./service.js" */
/** @import { Store } from "./store.js" */
import { ApiError } from "./api.js";
import { groups } from "./clips.js";
import { hasPages, pagesOf } from "./documents.js";
import { sentence } from "./failures.js";
import { keep, PictureError, prepare } from "./pictures.js";
import { clipOf, isVideo } from "./videos.js";
import { say } from "./words.js";

export class Taking {
  #service;
  #store;
  #composer;

  /** @param {Service} service @param {Store} store @param {Composer} composer */
  constructor(service, store, composer) {
    this.#service = service;
    this.#store = store;
    this.#composer = composer;
  }

  /**
   * @param {File[]} files
   * @param {() => boolean} isWanted
   * @param {() => boolean} isAsked whether the question has been asked meanwhile
   * @returns {Promise<boolean>} whether nothing was refused since
   */
  async take(files, isWanted, isAsked) {
    const reading = new Reading(this.#composer, isWanted, isAsked);
    reading.say("");
    for (const file of files) if (isWanted()) await this.#takeOne(file, reading);
    return reading.isWhole && isWanted();
  }

  /** @param {File} file @param {Reading} reading */
  async #takeOne(file, reading) {
    const { limits } = this.#service;
    const isPaged = await hasPages(file).catch(() => null);
    if (isPaged === null) return reading.refuse(say("picture.damaged", { name: file.name })); // gone or changed since
    if (isPaged) return this.#takePages(file, reading);
    if (groups(this.#composer.pictures).length >= limits.pictures) return reading.refuse(say("too_many_pictures", { n: limits.pictures }));
    if (isVideo(file)) return this.#takeVideo(file, reading);
    await this.#add(file, reading);
  }

  /** Adds the pages of a file, up to the most that can be asked about one by one. @param {File} file @param {Reading} reading */
  async #takePages(file, reading) {
    const { name } = file;
    const { pages } = this.#service.limits;
    const most = Math.max(1, pages - this.#composer.pictures.length);
    const refuse = (/** @type {number} */ n, /** @type {number} */ of) => reading.refuse(say("too_many_pages", { name, n, of }));
    reading.say(say("reading_pages", { name }));
    try {
      for await (const { picture, page, of } of pagesOf(file, most)) {
        if (this.#composer.pictures.length >= pages) return refuse(page - 1, of);
        if (!(await this.#add(picture, reading, { isOriginal: true }))) return;
        if (page === most && page < of) return refuse(page, of);
      }
      reading.say("");
    } catch (error) {
      reading.refuse(this.#reasonOf(name, error));
    }
  }

  /** Why a document was refused: what is wrong with it in the server's words, all else in the page's. @param {string} name @param {unknown} error */
  #reasonOf(name, error) {
    if (!(error instanceof ApiError)) return say("picture.damaged", { name }); // gone since
    const { failure } = error;
    if (failure.code === "request_too_large") return say("picture.too_large", { name, mb: (this.#service.limits.body_bytes * 0.75) >> 20 }); // Base64
    const isOwn = ["invalid_image", "invalid_request"].includes(failure.code);
    return say("picture.pdf", { name, message: isOwn ? failure.message : sentence(failure) });
  }

  /** Adds the frames of a video. @param {File} file @param {Reading} reading */
  async #takeVideo(file, reading) {
    reading.say(say("reading_video", { name: file.name }));
    try {
      reading.add(await clipOf(file, this.#service.limits.video, this.#store.pictures));
      reading.say("");
    } catch (error) {
      reading.refuse(reasonOf(error));
    }
  }

  /** @param {Blob & {name?: string}} file @param {Reading} reading @param {{isOriginal?: boolean}} [choice] */
  async #add(file, reading, choice) {
    try {
      return reading.add([await this.#prepared(file, choice)]);
    } catch (error) {
      reading.refuse(reasonOf(error));
      return false;
    }
  }

  /**
   * Keeps a picture as it is sent.
   *
   * @param {Blob & {name?: string}} file
   * @param {{isOriginal?: boolean, part?: Rect}} [choice]
   * @returns {Promise<PictureRef | null>} null: it was refused, and the person told
   */
  async prepare(file, choice) {
    try {
      return await this.#prepared(file, choice);
    } catch (error) {
      this.#composer.say(reasonOf(error));
      return null;
    }
  }

  /** @param {Blob & {name?: string}} file @param {{isOriginal?: boolean, part?: Rect}} [choice] */
  async #prepared(file, choice) {
    const { limits } = this.#service;
    const bounds = {
      minTokens: limits.image_tokens.min,
      autoTokens: limits.image_tokens.details.auto,
      maxTokens: limits.image_tokens.max,
      bodyBytes: limits.body_bytes,
      sourcePixels: limits.source_pixels,
      formats: limits.formats,
    };
    return keep(await prepare(file, bounds, choice), this.#store.pictures);
  }
}

/** Files that are being read, as long as their question is the one that is written. */
class Reading {
  /** Whether none was refused since the question was asked: else the person is to see why. */
  isWhole = true;
  #hasRefused = false;

  /** @param {Composer} composer @param {() => boolean} isWanted @param {() => boolean} isAsked */
  constructor(composer, isWanted, isAsked) {
    this.composer = composer;
    this.isWanted = isWanted;
    this.isAsked = isAsked;
  }

  /** @param {PictureRef[]} pictures @returns {boolean} whether they are of use still */
  add(pictures) {
    if (this.isWanted()) this.composer.add(pictures);
    return this.isWanted();
  }

  /** @param {string} text */
  say(text) {
    if (!this.#hasRefused && this.isWanted()) this.composer.say(text);
  }

  /** @param {string} text */
  refuse(text) {
    if (this.isWanted()) this.composer.say(text); // the latest reason is the one that is seen
    this.#hasRefused = true;
    if (this.isAsked()) this.isWhole = false;
  }
}

/** Why a file was refused. @param {unknown} error */
function reasonOf(error) {
  return error instanceof PictureError ? say(`picture.${error.code}`, error.values) : say("picture.not_kept");
}
