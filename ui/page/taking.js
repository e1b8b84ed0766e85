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
    this.#composer.say("");
    await this.#composer.read(async (isWanted) => {
      let areTaken = true;
      for (const file of files) areTaken = (isWanted() && (await this.#takeOne(file, isWanted))) && areTaken;
      return areTaken;
    });
  }

  /** @param {File} file @param {() => boolean} isWanted @returns {Promise<boolean>} */
  async #takeOne(file, isWanted) {
    const { limits } = this.#service;
    const isPaged = await hasPages(file).catch(() => null);
    if (isPaged === null) return this.#refuse(say("picture.damaged", { name: file.name })); // gone or changed since
    if (isPaged) return this.#takePages(file, isWanted);
    if (groups(this.#composer.pictures).length >= limits.pictures) return this.#refuse(say("too_many_pictures", { n: limits.pictures }));
    return isVideo(file) ? this.#takeVideo(file, isWanted) : this.#add(file, isWanted);
  }

  /** @param {string} text @returns {false} */
  #refuse(text) {
    this.#composer.say(text);
    return false;
  }

  /** Adds the pages of a file, up to the most that can be asked about one by one. @param {File} file @param {() => boolean} isWanted */
  async #takePages(file, isWanted) {
    const { name } = file;
    const { pages } = this.#service.limits;
    this.#composer.say(say("reading_pages", { name }));
    try {
      for await (const { picture, page, of } of pagesOf(file)) {
        if (this.#composer.pictures.length >= pages) return this.#refuse(say("too_many_pages", { name, n: page - 1, of }));
        if (!(await this.#add(picture, isWanted, { isOriginal: true }))) return false;
      }
      if (isWanted()) this.#composer.say("");
      return true;
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      return this.#refuse(say("picture.pdf", { name, message }));
    }
  }

  /** Adds the frames of a video. @param {File} file @param {() => boolean} isWanted */
  async #takeVideo(file, isWanted) {
    this.#composer.say(say("reading_video", { name: file.name }));
    try {
      const frames = await clipOf(file, this.#service.limits.video, this.#store.pictures);
      if (!isWanted()) return false;
      this.#composer.add(frames);
      this.#composer.say("");
      return true;
    } catch (error) {
      return this.#tell(error);
    }
  }

  /** @param {Blob & {name?: string}} file @param {() => boolean} isWanted @param {{isOriginal?: boolean}} [choice] */
  async #add(file, isWanted, choice) {
    const added = await this.prepare(file, choice);
    if (!added || !isWanted()) return false;
    this.#composer.add([added]);
    return true;
  }

  /** Says why a file was refused. @param {unknown} error @returns {false} */
  #tell(error) {
    const isSaid = error instanceof PictureError;
    return this.#refuse(isSaid ? say(`picture.${error.code}`, error.values) : say("picture.not_kept"));
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
