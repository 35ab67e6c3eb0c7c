import { type TextMark, textPieces } from '../model/marked-text.ts';

const noMarks: readonly TextMark[] = [];

/**
 * Text of anybody: a path, a title, a line. It is set apart, so that a script that is written from
 * the right turns nothing else around, and what nobody sees has a name.
 */
export function StoredText({
  text,
  marks = noMarks,
  className,
}: {
  readonly text: string;
  readonly marks?: readonly TextMark[];
  readonly className?: string;
}) {
  return (
    <bdi class={className}>
      {textPieces(text, marks).map((piece, index) => {
        const inside =
          piece.sign === undefined ? (
            piece.text
          ) : (
            <span class="sign" title={`an invisible character: ${piece.sign}`}>
              {piece.sign}
            </span>
          );
        return piece.isMarked ? <mark key={index}>{inside}</mark> : inside;
      })}
    </bdi>
  );
}

/** The last part of a path; the whole of it is a hint. */
export function FolderName({ path }: { readonly path: string }) {
  return (
    <span title={path}>
      <StoredText text={path.slice(nameStart(path))} />
    </span>
  );
}

/** A path: its last part is what one looks for. */
export function PathText({ path }: { readonly path: string }) {
  const cut = nameStart(path);
  return (
    <span class="path">
      <StoredText className="path-folder" text={path.slice(0, cut)} />
      <StoredText className="path-name" text={path.slice(cut)} />
    </span>
  );
}

/** Where the last part of a path begins. */
export function nameStart(path: string): number {
  let end = path.length;
  while (end > 0 && isSlash(path[end - 1])) end -= 1;
  while (end > 0 && !isSlash(path[end - 1])) end -= 1;
  return end;
}

function isSlash(character: string | undefined): boolean {
  return character === '/' || character === '\\';
}
