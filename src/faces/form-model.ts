/** The boundary of a form's parts, if a content type is that of a form. */
export function boundaryOf(contentType: string): string | undefined {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?boundary=(?:"([^"]+)"|([^\s;]+))/is.exec(contentType) ?? [];
  return quoted ?? plain;
}

/** Where in a form's bytes its model stands. */
export interface FoundModel {
  readonly from: number;
  readonly to: number;
}

/** What in front of a value says that it is the model's: one line of the head of its part. */
const modelName = Buffer.from('name="model"');
const headEnd = Buffer.from('\r\n\r\n');

/**
 * Reads a form until its model is known. The pieces read are held; what comes behind them is still
 * to be had from `pieces`.
 */
export async function findModel(
  pieces: AsyncIterator<Buffer, unknown>,
  boundary: string,
): Promise<{ readonly held: Buffer; readonly found?: FoundModel }> {
  const mark = Buffer.from(`--${boundary}`);
  const came: Buffer[] = [];
  // Of what came before, as much as a name that is cut in two may need.
  let end: Buffer = Buffer.alloc(0);
  let isNamed = false;
  let sizeBytes = 0;
  let lookedAtBytes = 0;
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    came.push(next.value);
    sizeBytes += next.value.length;
    const seam = Buffer.concat([end, next.value]);
    isNamed ||= seam.includes(modelName);
    end = seam.subarray(-modelName.length);
    // A file may speak of it, and the value may be still to come: each further look is worth as
    // many bytes as all before it.
    if (!isNamed || sizeBytes < 2 * lookedAtBytes) continue;
    lookedAtBytes = sizeBytes;
    const held = Buffer.concat(came);
    const found = modelIn(held, mark);
    if (found !== undefined) return { held, found };
    came.splice(0, came.length, held);
  }
  const held = Buffer.concat(came);
  const found = modelIn(held, mark);
  return found === undefined ? { held } : { held, found };
}

function modelIn(held: Buffer, mark: Buffer): FoundModel | undefined {
  for (
    let at = held.indexOf(modelName);
    at !== -1;
    at = held.indexOf(modelName, at + modelName.length)
  ) {
    const part = held.lastIndexOf(mark, at);
    if (part === -1 || held.subarray(part, at).includes(headEnd)) continue;
    const head = held.indexOf(headEnd, at);
    if (head === -1) return undefined;
    const from = head + headEnd.length;
    const to = held.indexOf(Buffer.concat([Buffer.from('\r\n'), mark]), from);
    return to === -1 ? undefined : { from, to };
  }
  return undefined;
}
