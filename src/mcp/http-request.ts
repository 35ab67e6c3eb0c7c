/** A message over HTTP as the protocol's library reads it, and what the work on it ends by. */
export class HttpRequest extends Request {
  /** Aborts when the client is gone or the server stops, which has a word left to say. */
  readonly work: AbortSignal;

  /** @param given.signal As any request's: there is nobody left to answer */
  constructor(
    url: string,
    { work, ...given }: RequestInit & { readonly signal: AbortSignal; readonly work: AbortSignal },
  ) {
    super(url, given);
    this.work = work;
  }
}
