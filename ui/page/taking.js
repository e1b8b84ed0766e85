/** From chosen files to pictures of the question that is being written. */

/** @import { Composer } from "./composer.js" */
/** @import { Rect } from "./raster.js" */
/** @import { PictureRef } from "./records.js" */
/** @import { Service } from "./service.js" */
/** @import { Store } from "./store.js" */
import { groups } from "./clips.js";
import { hasPages, pagesOf } from "./documents.js";
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

  /** @param {File[]} files */
  async take(files) {
    const { limits } = this.#service;
    this.#composer.say("");
    for (const file of files) {
      const isFull = groups(this.#composer.pictures).length >= limits.pictures;
      const isPaged = await hasPages(file).catch(() => null);
      if (isPaged === null) this.#composer.say(say("picture.damaged", { name: file.name })); // gone or changed since
      else if (isPaged) await this.#takePages(file);
      else if (!isFull && isVideo(file)) await this.#takeVideo(file);
      else if (!isFull) await this.#add(file);
      else this.#composer.say(say("too_many_pictures", { n: limits.pictures }));
    }
  }

  /** Adds the pages of a file, up to the most that can be asked about one by one. @param {File} file */
  async #takePages(file) {
    const { name } = file;
    const { pages } = this.#service.limits;
    this.#composer.say(say("reading_pages", { name }));
    try {
      for await (const { picture, page, of } of pagesOf(file)) {
        if (this.#composer.pictures.length >= pages) return this.#composer.say(say("too_many_pages", { name, n: page - 1, of }));
        if (!(await this.#add(picture, { isOriginal: true }))) return;
      }
      this.#composer.say("");
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      this.#composer.say(say("picture.pdf", { name, message }));
    }
  }

  /** Adds the frames of a video. @param {File} file */
  async #takeVideo(file) {
    this.#composer.say(say("reading_video", { name: file.name }));
    try {
      this.#composer.add(await clipOf(file, this.#service.limits.video, this.#store.pictures));
      this.#composer.say("");
    } catch (error) {
      this.#tell(error);
    }
  }

  /** @param {Blob & {name?: string}} file @param {{isOriginal?: boolean}} [choice] @returns {Promise<boolean>} */
  async #add(file, choice) {
    const added = await this.prepare(file, choice);
    if (added) this.#composer.add([added]);
    return added !== null;
  }

  /** Says why a file was refused. @param {unknown} error */
  #tell(error) {
    const isSaid = error instanceof PictureError;
    this.#composer.say(isSaid ? say(`picture.${error.code}`, error.values) : say("picture.not_kept"));
  }

  /**
   * Keeps a picture as it is sent.
   *
   * @param {Blob & {name?: string}} file
   * @param {{isOriginal?: boolean, part?: Rect}} [choice]
   * @returns {Promise<PictureRef | null>} null: it was refused, and the person told
   */
  async prepare(file, choice) {
    const { limits } = this.#service;
    try {
      const prepared = await prepare(
        file,
        {
          minTokens: limits.image_tokens.min,
          autoTokens: limits.image_tokens.details.auto,
          maxTokens: limits.image_tokens.max,
          bodyBytes: limits.body_bytes,
          sourcePixels: limits.source_pixels,
          formats: limits.formats,
        },
        choice,
      );
      return await keep(prepared, this.#store.pictures);
    } catch (error) {
      this.#tell(error);
      return null;
    }
  }
}
