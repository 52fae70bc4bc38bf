/** The events of one session, so that a client can resume a stream. */
export class EventStore {
  #events = [];

  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return String(this.#events.length);
  }

  async replayEventsAfter(lastEventId, { send }) {
    const { streamId } = this.#events[Number(lastEventId) - 1];
    for (let at = Number(lastEventId); at < this.#events.length; at += 1) {
      const event = this.#events[at];
      if (event.streamId === streamId) await send(String(at + 1), event.message);
    }
    return streamId;
  }
}
