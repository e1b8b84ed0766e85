/** Pictures, PDFs and videos come in: dropped or pasted anywhere on the page, chosen, or photographed. */

/**
 * Calls `onFiles` with files that are dropped or pasted anywhere. While files hover over
 * the page, `<html>` has the class `is-dropping`.
 *
 * @param {(files: File[]) => void} onFiles
 * @param {AbortSignal} [signal] ends it
 */
export function watchIncoming(onFiles, signal) {
  const page = document.documentElement;
  const show = (/** @type {boolean} */ isDropping) =>
    page.classList.toggle("is-dropping", isDropping);
  const listening = { capture: true, signal };
  const claimFiles = (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.types.includes("Files")) return false;
    event.preventDefault(); // else the browser opens the file in place of the page
    return true;
  };
  window.addEventListener("dragenter", (event) => show(claimFiles(event)), listening);
  window.addEventListener("dragover", (event) => void claimFiles(event), listening);
  window.addEventListener(
    "dragleave",
    (event) => event.relatedTarget === null && show(false),
    listening,
  );
  window.addEventListener(
    "drop",
    (event) => {
      show(false);
      const files = claimFiles(event) ? [...(event.dataTransfer?.files ?? [])] : [];
      if (files.length) onFiles(files);
    },
    listening,
  );
  window.addEventListener(
    "paste",
    (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      const hasText = event.clipboardData?.types.includes("text/plain");
      // A spreadsheet copies a picture beside its text: the text is meant.
      if (!files.length || hasText) return;
      event.preventDefault();
      onFiles(files);
    },
    listening,
  );
}

/**
 * A button's way to files: opens the browser's dialog, on a phone the camera if asked.
 * Call it in the listener of a click.
 *
 * @param {(files: File[]) => void} onFiles
 * @param {{isCamera?: boolean}} [options]
 */
export function chooseFiles(onFiles, { isCamera = false } = {}) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*,.heic,.heif,application/pdf,video/*";
  input.multiple = !isCamera;
  if (isCamera) input.capture = "environment";
  input.addEventListener("change", () => {
    input.remove();
    if (input.files?.length) onFiles([...input.files]);
  });
  input.addEventListener("cancel", () => input.remove());
  input.hidden = true;
  document.body.append(input); // Safari forgets inputs that are not in the document
  input.click();
}
