/** How far some work is, for whoever asks now and then: only the newest word of it is kept. */
export class LatestProgress<Progress> {
  #latest: Progress | undefined;
  #news = Promise.withResolvers<void>();

  /** Takes a word of it. */
  readonly tell = (progress: Progress): void => {
    this.#latest = progress;
    this.#news.resolve();
  };

  /** What is told while `work` runs. Ends with it, however that ends, which is its caller's. */
  async *during(work: Promise<unknown>): AsyncGenerator<{ readonly progress: Progress }> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
      this.#news.resolve();
    };
    void work.then(end, end);
    for (;;) {
      await this.#news.promise;
      this.#news = Promise.withResolvers();
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest !== undefined) yield { progress: latest };
      if (isDone) return;
    }
  }
}
