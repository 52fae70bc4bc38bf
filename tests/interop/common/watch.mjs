/** A `fetch` that can break a stream and knows which POSTs are under way. */
export class Watch {
  /** Makes the next stream that answers a POST break after its first bytes. */
  loseNextStream = false;
  /** Where the last POST went. */
  url = null;
  #heads = new Set();
  #streams = new Set();

  fetch = async (url, init) => {
    const answer = fetch(url, init);
    if (init?.method !== "POST") return answer;
    this.url = String(url);
    this.#heads.add(answer);
    const response = await answer.finally(() => this.#heads.delete(answer));
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
    const chunks = this.loseNextStream ? 1 : Infinity;
    this.loseNextStream = false;
    return new Response(this.#watched(response.body, chunks), response);
  };

  /** Ends when every POST that was begun has its response head. */
  async sent() {
    await Promise.allSettled(this.#heads);
  }

  /** Ends when also every stream has ended that answers a POST. */
  async quiet() {
    await this.sent();
    await Promise.all(this.#streams);
  }

  #watched(body, chunks) {
    const reader = body.getReader();
    let left = chunks;
    let onEnd;
    const ended = new Promise((resolve) => { onEnd = resolve; });
    this.#streams.add(ended);
    ended.then(() => this.#streams.delete(ended));
    return new ReadableStream({
      async pull(controller) {
        try {
          if (left === 0) {
            await reader.cancel();
            throw new Error("connection lost");
          }
          left -= 1;
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        onEnd();
      },
      cancel(reason) {
        onEnd();
        return reader.cancel(reason);
      },
    });
  }
}
