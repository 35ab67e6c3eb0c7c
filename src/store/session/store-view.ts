import type {
  Entry,
  EntryList,
  Moment,
  NewEntry,
  NewStream,
  OutlinesOf,
  SessionStore,
  Snapshot,
  SourceFile,
  StoredOutput,
  TextSlice,
  Totals,
} from '../types.ts';

/** A store that answers as another one does, but for what a subclass says. */
export abstract class StoreView implements SessionStore {
  /** The other one, as it is now. */
  protected abstract readonly viewed: SessionStore;

  get sessionId(): string {
    return this.viewed.sessionId;
  }

  get textPath(): string {
    return this.viewed.textPath;
  }

  get indexDir(): string {
    return this.viewed.indexDir;
  }

  get waitingTexts(): number | undefined {
    return this.viewed.waitingTexts;
  }

  get totals(): Totals {
    return this.viewed.totals;
  }

  get entries(): readonly Entry[] {
    return this.viewed.entries;
  }

  get list(): EntryList {
    return this.viewed.list;
  }

  entry(id: string): Entry | undefined {
    return this.viewed.entry(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.viewed.entryByHash(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.viewed.outputsOf(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.viewed.source(path);
  }

  append(entries: readonly NewEntry[], outlinesOf?: OutlinesOf): Promise<readonly Entry[]> {
    return this.viewed.append(entries, outlinesOf);
  }

  appendStream(stream: NewStream): Promise<Entry> {
    return this.viewed.appendStream(stream);
  }

  read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    return this.viewed.read(offsetChars, lengthChars);
  }

  readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.viewed.readBytes(offsetChars, lengthChars);
  }

  readLines(first: number, last: number): Promise<TextSlice> {
    return this.viewed.readLines(first, last);
  }

  readEntry(entry: Entry): Promise<string> {
    return this.viewed.readEntry(entry);
  }

  readOriginal(entry: Entry): AsyncIterable<Uint8Array> {
    return this.viewed.readOriginal(entry);
  }

  verify(): Promise<readonly Entry[]> {
    return this.viewed.verify();
  }

  at(moment: Moment): Promise<SessionStore> {
    return this.viewed.at(moment);
  }

  snapshot(): Promise<Snapshot> {
    return this.viewed.snapshot();
  }
}
